"""Pictures without noise: the light on every corner of every mesh is traced once, then frames only look it up.

Surfaces are matt here, so a place has the same colour from everywhere; neighbouring frames agree to the rounding.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import sparse
from tabletop_objects.geometry import Mesh
from tabletop_objects.room import window
from tabletop_objects.things import Part, Thing

from langfield.errors import EnvironmentProblem, FormatError
from langfield.progress import track
from tabletop_render.cameras import View
from tabletop_render.tracer import Tracer, Truth, linear

SKY, WINDOW = (0.95, 1.0, 1.08), (9.0, 8.2, 7.0)
"""Radiance, as in `Tracer`."""
GOLDEN = (0.7548776662466927, 0.5698402909980532)
"""Steps of the plane's most even additive sequence (R2)."""
MOST_SLIPPED = 20
"""Rays of a picture that may slip through between two triangles; they see what their neighbour sees."""
FINE_M = 0.006
"""Meshes with shorter edges than this are smoothed over more of them."""


class Baked:
    """A scene whose light is known at its corners."""

    def __init__(self, things: list[Thing], folder: Path, variant: str, rounds: int) -> None:
        """Trace the light, `rounds` directions for each corner; `folder` takes the meshes."""
        if variant.startswith("scalar"):
            raise EnvironmentProblem("keeping light needs Mitsuba's compiled variant", variant, "install LLVM 19")
        self.tracer = Tracer(things, folder, variant)
        self.mi = self.tracer.mi
        keyed = [(f"t{k:02d}_{j:02d}", p) for k, thing in enumerate(things) for j, p in enumerate(thing.parts)]
        self.parts = [part for _, part in keyed]
        meshes = [part.mesh for part in self.parts]
        normals = [vertex_normals(mesh) for mesh in meshes]
        light = self._light(np.concatenate([m.vertices for m in meshes]), np.concatenate(normals), rounds)
        starts = np.cumsum([0, *(len(m.vertices) for m in meshes)])
        kept = np.split(light, starts[1:-1])
        self.colours = np.concatenate([lit(part, values) for part, values in zip(self.parts, kept, strict=True)])
        self.vertices = np.concatenate([m.vertices for m in meshes])
        self.uv = np.concatenate([m.uv if m.uv is not None else np.zeros((len(m.vertices), 2)) for m in meshes])
        self.faces = np.concatenate([m.faces + start for m, start in zip(meshes, starts, strict=False)])
        self.first_face = np.cumsum([0, *(len(m.faces) for m in meshes)])
        place = {key: k for k, (key, _) in enumerate(keyed)}
        self.part_of = np.full(len(self.tracer.owner), -1)
        for at, shape in enumerate(self.tracer.scene.shapes()):
            self.part_of[self.tracer._number(shape, at)] = place.get(shape.id(), -1)

    def picture(self, view: View, fine: int) -> tuple[np.ndarray, Truth]:
        """Give linear radiance [H, W, 3] from `fine` x `fine` rays a pixel, and the truth at pixel centres.

        Args:
            view: the camera.
            fine: odd, so that one of the rays goes through the centre.
        """
        h, w, middle = view.height, view.width, fine // 2
        big = View(view.pose, view.focal * fine, w * fine, h * fine)
        part, face, position = self._hits(big)
        colour = self._shade(part.ravel(), face.ravel(), position.reshape(-1, 3))
        image = colour.reshape(h, fine, w, fine, 3).mean((1, 3))
        centre = (slice(middle, None, fine), slice(middle, None, fine))
        depth = -(position[centre] - view.pose[:3, 3]) @ view.pose[:3, 2]
        return image, Truth(self._owner(part[centre]), depth, position[centre])

    def _owner(self, part: np.ndarray) -> np.ndarray:
        """Give the instance id of each part's number."""
        owner = np.zeros(len(self.parts), int)
        known = self.part_of >= 0
        owner[self.part_of[known]] = self.tracer.owner[known]
        return owner[part]

    def _hits(self, view: View) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Give part, face and position of what each pixel's centre sees; the room is closed, so there is something."""
        maker = self.mi.load_dict({"type": "aov", "aovs": "place:position,shape:shape_index,face:prim_index"})
        sensor = self.tracer._sensor(view, {"type": "stratified", "sample_count": 1, "jitter": False}, box=True)
        image = np.array(self.mi.render(self.tracer.scene, sensor=sensor, integrator=maker, spp=1))
        slipped = np.flatnonzero(self.part_of[np.round(image[..., 3]).astype(int)] < 0)
        if len(slipped) > MOST_SLIPPED:
            raise FormatError("rays leave the room", f"{len(slipped)} of them", "close the room or move the camera")
        flat = image.reshape(-1, image.shape[-1])
        flat[slipped] = flat[slipped - 1]
        part = self.part_of[np.round(image[..., 3]).astype(int)]
        return part, np.round(image[..., 4]).astype(int) + self.first_face[part], image[..., :3].astype(np.float64)

    def _shade(self, part: np.ndarray, face: np.ndarray, position: np.ndarray) -> np.ndarray:
        """Give linear radiance [N, 3] of places on faces."""
        corners = self.faces[face]
        weights = barycentric(position, *(self.vertices[corners[:, i]] for i in range(3)))[..., None]
        colour = (self.colours[corners] * weights).sum(1)
        uv = (self.uv[corners] * weights).sum(1)
        order = np.argsort(part, kind="stable")
        for k, rows in zip(*_groups(part, order), strict=True):
            picture = self.parts[k].material.colour
            if isinstance(picture, np.ndarray):
                colour[rows] *= looked_up(picture, uv[rows])
        return colour

    def _light(self, points: np.ndarray, normals: np.ndarray, rounds: int) -> np.ndarray:
        """Give irradiance over pi [N, 3]: the window, the sky, and what other surfaces send on (two bounces)."""
        mi, n = self.mi, len(points)
        rng, total = np.random.default_rng(0), np.zeros((n, 3))
        inner = mi.load_dict({"type": "path", "max_depth": 3, "hide_emitters": True})
        start, shift = mi.Point3f((points + 2e-4 * normals).T), rng.random((n, 4))
        frame = mi.Frame3f(mi.Vector3f(normals.T))
        place = np.array(mi.ScalarTransform4f().look_at(**WINDOW_AT).matrix, float)
        for k in track(range(rounds), "light"):
            u = (shift + (k + 1) * np.array([*GOLDEN, *GOLDEN[::-1]])) % 1
            way = frame.to_world(mi.warp.square_to_cosine_hemisphere(mi.Point2f(u[:, :2].T)))
            ray = mi.RayDifferential3f(mi.Ray3f(start, way))
            sampler = mi.load_dict({"type": "independent"})
            sampler.seed(k, n)
            open_sky = ~self.tracer.scene.ray_intersect_preliminary(ray).is_valid()
            sent, _, _ = inner.sample(self.tracer.scene, sampler, ray)
            total += np.asarray(sent).T.reshape(n, 3) + np.asarray(open_sky)[:, None] * np.asarray(SKY)
            total += self._window(points + 2e-4 * normals, normals, u[:, 2:], place)
        return total / rounds

    def _window(self, points: np.ndarray, normals: np.ndarray, u: np.ndarray, place: np.ndarray) -> np.ndarray:
        """Give what the window sends to each point through one place on it."""
        mi = self.mi
        corners = (place @ np.c_[window().vertices[:4], np.ones(4)].T).T[:, :3]
        across, down = corners[1] - corners[0], corners[3] - corners[0]
        there = corners[0] + u[:, :1] * across + u[:, 1:] * down
        way = there - points
        far = np.linalg.norm(way, axis=1)
        way /= far[:, None]
        facing = np.cross(across, down)
        area = np.linalg.norm(facing)
        cosines = (way * normals).sum(1).clip(0) * np.abs(way @ facing / area)
        ray = mi.Ray3f(mi.Point3f(points.T), mi.Vector3f(way.T), mi.Float(far * 0.999), 0.0, [])
        hidden = np.asarray(self.tracer.scene.ray_test(ray))
        return (cosines * area / far**2 / np.pi * ~hidden)[:, None] * np.asarray(WINDOW)


WINDOW_AT = {"origin": [1.5, -1.6, 2.05], "target": [0, 0, 0], "up": [0, 0, 1]}


def vertex_normals(mesh: Mesh) -> np.ndarray:
    """Give unit normals [V, 3], faces weighted by their area."""
    a, b, c = (mesh.vertices[mesh.faces[:, i]] for i in range(3))
    flat = np.cross(b - a, c - a)
    out = np.zeros_like(mesh.vertices)
    for i in range(3):
        np.add.at(out, mesh.faces[:, i], flat)
    return out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12)


def smoothed(mesh: Mesh, values: np.ndarray) -> np.ndarray:
    """Average values [V, 3] over neighbouring corners, further where edges are short."""
    f = mesh.faces
    edges = np.concatenate([f[:, [0, 1]], f[:, [1, 2]], f[:, [2, 0]]])
    length = np.median(np.linalg.norm(mesh.vertices[edges[:, 0]] - mesh.vertices[edges[:, 1]], axis=1))
    ones, shape = np.ones(2 * len(edges)), (len(values), len(values))
    beside = sparse.csr_matrix((ones, (np.r_[edges[:, 0], edges[:, 1]], np.r_[edges[:, 1], edges[:, 0]])), shape)
    count = np.asarray(beside.sum(1)).clip(1)
    for _ in range(12 if length < FINE_M else 3):
        values = 0.5 * values + 0.5 * (beside @ values) / count
    return values


def lit(part: Part, light: np.ndarray) -> np.ndarray:
    """Give the light [V, 3] on a part's corners, coloured unless a texture does that; what glows is its own light."""
    light = smoothed(part.mesh, light) if not part.material.glow else np.full_like(light, part.material.glow)
    colour = part.material.colour
    if isinstance(colour, np.ndarray):
        return light
    base = part.mesh.colour if colour is None else np.asarray(colour)
    return light * linear(np.asarray(base))


def barycentric(p: np.ndarray, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Give the weights [N, 3] of a triangle's corners at points [N, 3] on it."""
    u, v, w = b - a, c - a, p - a
    uu, uv, vv = (u * u).sum(1), (u * v).sum(1), (v * v).sum(1)
    wu, wv = (w * u).sum(1), (w * v).sum(1)
    whole = np.maximum(uu * vv - uv * uv, 1e-30)
    second, third = (vv * wu - uv * wv) / whole, (uu * wv - uv * wu) / whole
    return np.clip(np.stack([1 - second - third, second, third], 1), 0, 1)


def looked_up(picture: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """Give linear colours [N, 3] of a uint8 sRGB texture at uv [N, 2] (v up, repeating), between four texels."""
    table = linear(np.arange(256) / 255)
    height, width = picture.shape[:2]
    x, y = uv[:, 0] * width - 0.5, (1 - uv[:, 1]) * height - 0.5
    column, row = np.floor(x).astype(int), np.floor(y).astype(int)
    s, t = (x - column)[:, None], (y - row)[:, None]
    texels = [table[picture[(row + i) % height, (column + j) % width]] for i in (0, 1) for j in (0, 1)]
    return (texels[0] * (1 - s) + texels[1] * s) * (1 - t) + (texels[2] * (1 - s) + texels[3] * s) * t


def _groups(values: np.ndarray, order: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """Give the different values and the rows of each."""
    found, first = np.unique(values[order], return_index=True)
    return found, np.split(order, first[1:])
