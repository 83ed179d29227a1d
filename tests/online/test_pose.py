"""Twists against the matrix exponential, and their gradients against differences."""

import torch

from langfield.online.pose import angle_between, exp_se3, foretold, inverse, moved, skew, twist_gradient


def hat(twist: torch.Tensor) -> torch.Tensor:
    out = torch.zeros(4, 4, dtype=torch.float64)
    out[:3, :3], out[:3, 3] = skew(twist[3:]), twist[:3]
    return out


def test_exponential_is_the_matrix_exponential():
    g = torch.Generator().manual_seed(0)
    for size in (0.0, 1e-12, 1e-9, 1e-6, 1e-4, 1e-3, 0.1, 1.0, 3.0):
        twist = torch.randn(6, generator=g, dtype=torch.float64)
        twist[3:] *= size / twist[3:].norm()
        torch.testing.assert_close(exp_se3(twist), torch.linalg.matrix_exp(hat(twist)), rtol=0, atol=1e-12)


def test_inverse_and_moved_agree():
    twist = torch.tensor([0.3, -0.2, 0.5, 0.4, 0.1, -0.7], dtype=torch.float64)
    pose = exp_se3(torch.tensor([1.0, 2, 3, 0.2, 0.5, 0.1], dtype=torch.float64))
    torch.testing.assert_close(inverse(moved(pose, twist)), exp_se3(twist) @ inverse(pose))


def test_gradient_by_twist_is_that_of_moved():
    g = torch.Generator().manual_seed(1)
    weights = torch.randn(4, 4, generator=g, dtype=torch.float64)
    weights[3] = 0
    pose = exp_se3(torch.randn(6, generator=g, dtype=torch.float64))
    found = twist_gradient(weights, pose)
    for k in range(6):
        step = torch.zeros(6, dtype=torch.float64)
        step[k] = 1e-6
        slope = ((moved(pose, step) - moved(pose, -step)) * weights).sum() / 2e-6
        assert abs(float(slope - found[k])) < 1e-8


def test_angle_of_a_turn():
    turn = exp_se3(torch.tensor([0, 0, 0, 0, 0.4, 0], dtype=torch.float64))
    assert abs(angle_between(torch.eye(4, dtype=torch.float64), turn) - 0.4) < 1e-12


def test_a_camera_that_goes_on_as_it_did_stays_rigid():
    step = exp_se3(torch.tensor([0.01, 0.02, -0.01, 0.03, -0.02, 0.01], dtype=torch.float64))
    before, last = torch.eye(4, dtype=torch.float64), step
    for _ in range(300):
        before, last = last, foretold(before, last)
    torch.testing.assert_close(last[:3, :3] @ last[:3, :3].T, torch.eye(3, dtype=torch.float64), rtol=0, atol=1e-12)
    torch.testing.assert_close(last, torch.linalg.matrix_power(step, 301), rtol=0, atol=1e-9)
