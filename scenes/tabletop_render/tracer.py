"""Path tracing with Mitsuba 3: the scene from plain arrays, the picture, and exact truth at pixel centres."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tabletop_objects.geometry import Mesh
from tabletop_objects.room import window
from tabletop_objects.things import Material, Thing

from tabletop_render.cameras import View

PROBE = "import mitsuba as mi; mi.set_variant('llvm_ad_rgb'); mi.render(mi.load_dict(mi.cornell_box()), spp=1).numpy()"
GL_TO_MITSUBA = np.diag([-1.0, 1.0, -1.0, 1.0])
"""Mitsuba's camera looks along +z with +x to the left."""


@dataclass(frozen=True)
class Truth:
    """What each pixel's centre sees."""

    instance: np.ndarray
    """[H, W] int; 0 for the room."""
    depth: np.ndarray
    """[H, W] distance along the optical axis in metres; 0 where nothing is hit."""
    position: np.ndarray
    """[H, W, 3] world position in metres."""


def pick_variant(wanted: str) -> str:
    """Give `wanted`, or for "auto" the vectorised variant if it runs here (a wrong LLVM aborts, so a child tries)."""
    if wanted != "auto":
        return wanted
    tried = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, check=False)  # noqa: S603
    return "llvm_ad_rgb" if tried.returncode == 0 else "scalar_rgb"


def linear(colour: np.ndarray) -> np.ndarray:
    """Undo the sRGB curve."""
    c = np.asarray(colour, float)
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def write_ply(path: Path, mesh: Mesh) -> None:
    """Write a mesh as binary PLY with Mitsuba's names; v is turned over to its pictures' top-down order."""
    columns = [mesh.vertices]
    names = ["x", "y", "z"]
    if mesh.uv is not None:
        columns.append(mesh.uv * [1, -1] + [0, 1])
        names += ["u", "v"]
    if mesh.colour is not None:
        columns.append(linear(mesh.colour))
        names += ["r", "g", "b"]
    table = np.concatenate(columns, 1).astype("<f4")
    faces = np.empty(len(mesh.faces), dtype=[("n", "u1"), ("i", "<i4", 3)])
    faces["n"], faces["i"] = 3, mesh.faces
    lines = [
        "ply",
        "format binary_little_endian 1.0",
        f"element vertex {len(table)}",
        *(f"property float {n}" for n in names),
    ]
    lines += [f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header", ""]
    path.write_bytes("\n".join(lines).encode() + table.tobytes() + faces.tobytes())


def glow_of(material: Material) -> list[float]:
    """Give the linear radiance that a material emits."""
    return (material.glow * linear(np.asarray(material.colour))).tolist()


def surface(mi: Any, material: Material) -> dict[str, Any]:
    """Give Mitsuba's description of a material."""
    if material.colour is None:
        base: dict[str, Any] = {"type": "mesh_attribute", "name": "vertex_color"}
    elif isinstance(material.colour, np.ndarray):
        base = {"type": "bitmap", "bitmap": mi.Bitmap(np.array(material.colour, order="C")), "wrap_mode": "repeat"}
    else:
        base = {"type": "rgb", "value": linear(np.asarray(material.colour)).tolist()}
    return {"type": "twosided", "bsdf": {
        "type": "principled", "base_color": base, "roughness": material.roughness, "metallic": material.metallic,
        "specular": 0.5, "clearcoat": material.clearcoat, "clearcoat_gloss": 0.93,
    }}  # fmt: skip


class Tracer:
    """A loaded scene that can be photographed."""

    def __init__(self, things: list[Thing], folder: Path, variant: str) -> None:
        """Load things (the room's carry no name) by way of PLY files in `folder`."""
        import mitsuba as mi

        mi.set_variant(variant)
        mi.set_log_level(mi.LogLevel.Error)
        self.mi = mi
        description: dict[str, Any] = {"type": "scene", **self._lights(folder)}
        owner: dict[str, int] = {"window": 0}
        for k, thing in enumerate(things):
            for j, part in enumerate(thing.parts):
                key = f"t{k:02d}_{j:02d}"
                owner[key] = k + 1 if thing.name else 0
                write_ply(folder / f"{key}.ply", part.mesh)
                description[key] = self._shape(folder / f"{key}.ply", part.material)
        self.scene = mi.load_dict(description, optimize=False)
        numbers = {self._number(shape, place): owner[shape.id()] for place, shape in enumerate(self.scene.shapes())}
        self.owner = np.zeros(max(numbers) + 1, dtype=int)  # numbers go on where another scene is still held
        for number, thing in numbers.items():
            self.owner[number] = thing

    def change(self, things: list[Thing]) -> None:
        """Move the vertices and set the glow of the first things that were loaded; their faces stay."""
        values = self.mi.traverse(self.scene)
        for k, thing in enumerate(things):
            for j, part in enumerate(thing.parts):
                key = f"t{k:02d}_{j:02d}"
                values[f"{key}.vertex_positions"] = part.mesh.vertices.astype(np.float32).ravel()
                if part.material.glow:
                    values[f"{key}.emitter.radiance.value"] = glow_of(part.material)
        values.update()

    def _number(self, shape: Any, place: int) -> int:
        """Give the number under which `shape_index` reports a shape, from 1; registry order where compiled."""
        if self.mi.variant().startswith("scalar"):
            return place + 1
        import drjit

        return int(drjit.reinterpret_array(self.mi.UInt32, self.mi.ShapePtr(shape))[0])

    def _lights(self, folder: Path) -> dict[str, Any]:
        mi = self.mi
        write_ply(folder / "window.ply", window())
        place = mi.ScalarTransform4f().look_at(origin=[1.5, -1.6, 2.05], target=[0, 0, 0], up=[0, 0, 1])
        return {
            "sky": {"type": "constant", "radiance": {"type": "rgb", "value": [0.95, 1.0, 1.08]}},
            "window": {"type": "ply", "filename": str(folder / "window.ply"), "to_world": place,
                       "emitter": {"type": "area", "radiance": {"type": "rgb", "value": [9.0, 8.2, 7.0]}}},
        }  # fmt: skip

    def _shape(self, path: Path, material: Material) -> dict[str, Any]:
        shape = {
            "type": "ply",
            "filename": str(path),
            "face_normals": material.flat,
            "bsdf": surface(self.mi, material),
        }
        if material.glow:
            shape["emitter"] = {"type": "area", "radiance": {"type": "rgb", "value": glow_of(material)}}
        return shape

    def _sensor(self, view: View, sampler: dict[str, Any], box: bool) -> Any:
        to_world = self.mi.ScalarTransform4f((view.pose @ GL_TO_MITSUBA).tolist())
        return self.mi.load_dict({
            "type": "perspective", "fov": view.fov_degrees, "fov_axis": "x", "near_clip": 0.01, "far_clip": 100.0,
            "to_world": to_world, "sampler": sampler,
            "film": {"type": "hdrfilm", "width": view.width, "height": view.height, "pixel_format": "rgb",
                     "component_format": "float32", "rfilter": {"type": "box" if box else "gaussian"}},
        })  # fmt: skip

    def picture(self, view: View, samples: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Trace linear radiance, albedo and normals, each [H, W, 3] float32, with `samples` paths a pixel."""
        inner = {"type": "path", "max_depth": 6, "rr_depth": 4}
        maker = {"type": "aov", "aovs": "albedo:albedo,normal:sh_normal", "inner": inner}
        sensor = self._sensor(view, {"type": "independent", "sample_count": samples}, box=True)
        image = self.mi.render(self.scene, sensor=sensor, integrator=self.mi.load_dict(maker), spp=samples, seed=seed)
        a = np.nan_to_num(np.asarray(image, dtype=np.float32))
        return a[..., :3], a[..., 3:6], a[..., 6:9]

    def truth(self, view: View) -> Truth:
        """Trace one ray through each pixel's centre."""
        maker = {"type": "aov", "aovs": "place:position,shape:shape_index"}
        sampler = {"type": "stratified", "sample_count": 1, "jitter": False}
        sensor = self._sensor(view, sampler, box=True)
        image = np.asarray(self.mi.render(self.scene, sensor=sensor, integrator=self.mi.load_dict(maker), spp=1))
        position, shape = image[..., :3].astype(np.float64), np.round(image[..., 3]).astype(int)
        depth = -(position - view.pose[:3, 3]) @ view.pose[:3, 2]
        hit = np.any(position != 0, axis=-1)
        return Truth(np.where(hit, self.owner[np.where(hit, shape, 0)], 0), np.where(hit, depth, 0.0), position)
