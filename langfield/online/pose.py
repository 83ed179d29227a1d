"""Rigid motions: twists, their exponential, and gradients of poses as twists (Barfoot 2017, chapter 7)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

SMALL = 1e-8


def skew(v: Float[Tensor, "*B 3"]) -> Float[Tensor, "*B 3 3"]:
    """Give the matrix whose product with x is v cross x."""
    x, y, z = v.unbind(-1)
    o = torch.zeros_like(x)
    return torch.stack([o, -z, y, z, o, -x, -y, x, o], -1).reshape(*v.shape, 3)


def exp_se3(twist: Float[Tensor, " 6"]) -> Float[Tensor, "4 4"]:
    """Give the rigid motion of a twist, float64: three numbers of translation, three of rotation in radians."""
    v, w = twist.double()[:3], twist.double()[3:]
    W, angle2 = skew(w), float(w @ w)
    angle = angle2**0.5
    if angle < SMALL:
        a, b, c = 1.0, 0.5, 1 / 6
    else:
        a = float(torch.sin(w.norm()) / angle)
        b = 2 * float(torch.sin(w.norm() / 2)) ** 2 / angle2  # (1 - cos) / angle^2 without the cancellation
        c = (1 - a) / angle2 if angle > 1e-3 else 1 / 6 - angle2 / 120
    out = torch.eye(4, dtype=torch.float64)
    out[:3, :3] += a * W + b * (W @ W)
    out[:3, 3] = v + b * (W @ v) + c * (W @ (W @ v))
    return out


def inverse(T: Float[Tensor, "4 4"]) -> Float[Tensor, "4 4"]:
    """Give the inverse of a rigid motion."""
    out = torch.eye(4, dtype=T.dtype)
    out[:3, :3] = T[:3, :3].T
    out[:3, 3] = -(T[:3, :3].T @ T[:3, 3])
    return out


def rigid(T: Float[Tensor, "4 4"]) -> Float[Tensor, "4 4"]:
    """Give the pose whose rotation is the nearest exact one, float64.

    `inverse` takes rotations at their word, so rounding must not be passed on: where each pose is foretold from the
    two before it, an error of 1e-16 in their orthogonality more than doubles from frame to frame.
    """
    out = T.double().clone()
    U, _, Vh = torch.linalg.svd(out[:3, :3])
    out[:3, :3] = U @ Vh
    return out


def moved(T_world_camera: Float[Tensor, "4 4"], twist: Float[Tensor, " 6"]) -> Float[Tensor, "4 4"]:
    """Give the pose whose world-to-camera motion is exp(twist) times the old one's."""
    return rigid(T_world_camera.double() @ exp_se3(-twist.double()))


def foretold(before: Float[Tensor, "4 4"], last: Float[Tensor, "4 4"]) -> Float[Tensor, "4 4"]:
    """Give the pose after two others if the camera goes on as it did."""
    return rigid(last @ (inverse(before) @ last))


def twist_gradient(by_pose: Float[Tensor, "4 4"], T_world_camera: Float[Tensor, "4 4"]) -> Float[Tensor, " 6"]:
    """Turn a gradient by T_world_camera into one by the twist of `moved`, at zero: d T = -T hat(twist)."""
    G = -(T_world_camera.double().T @ by_pose.double())
    turn = torch.stack([G[2, 1] - G[1, 2], G[0, 2] - G[2, 0], G[1, 0] - G[0, 1]])
    return torch.cat([G[:3, 3], turn])


def angle_between(a: Float[Tensor, "4 4"], b: Float[Tensor, "4 4"]) -> float:
    """Give the angle between the rotations of two poses, radians."""
    R = a[:3, :3].double().T @ b[:3, :3].double()
    sine = torch.stack([R[2, 1] - R[1, 2], R[0, 2] - R[2, 0], R[1, 0] - R[0, 1]]).norm() / 2
    return float(torch.atan2(sine, (R.trace() - 1) / 2))
