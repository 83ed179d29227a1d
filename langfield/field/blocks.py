"""A scene too large for one machine in blocks: cells that share out space, and for each the views that see into it.

As in VastGaussian (arXiv 2402.17427, Section 4): a block is trained on every view that shows enough of it, with all
that these views show, and gives only the Gaussians whose centres lie in its own cell. Cells tile space without gap or
overlap, so blocks put together have every Gaussian once, and what crosses a border was seen by both sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from langfield.capture.types import Camera
from langfield.errors import FormatError, SettingsError
from langfield.field.kept import kept_part
from langfield.field.types import Field
from langfield.raster.types import Gaussians

MOST_BLOCKS = 65_536
NEAR = 0.01
"""What lies nearer to a camera is not in its picture, world units."""


@dataclass(frozen=True)
class BlockSettings:
    """How a scene is cut."""

    blocks: int = 16
    overlap: float = 0.2
    """How far a block reaches beyond its cell to either side, as a share of the cell's own side."""
    least_share: float = 0.05
    """A view belongs to a block that makes at least this share of the points it shows."""


@dataclass(frozen=True)
class Cells:
    """Space cut in two again and again by planes across an axis: B cells, each point of space in exactly one."""

    axis: Int64[Tensor, " C"]
    """Of each of the B - 1 cuts: 0, 1 or 2."""
    at: Float[Tensor, " C"]
    """Where it cuts, world units, float64: what lies below goes to the first side, all else to the second."""
    sides: Int64[Tensor, "C 2"]
    """What lies on its two sides: a later cut, or -1 - the number of a cell."""

    def __len__(self) -> int:
        return len(self.axis) + 1

    def owner(self, points: Float[Tensor, "N 3"]) -> Int64[Tensor, " N"]:
        """Give the cell of each point; points that are not finite have one too."""
        node = torch.zeros(len(points), dtype=torch.int64) if len(self.axis) else torch.full((len(points),), -1)
        points = points.detach().cpu()
        while (todo := (node >= 0).nonzero()[:, 0]).numel():
            cut = node[todo]
            value = points[todo, self.axis[cut]].double()
            node[todo] = self.sides[cut, (~(value < self.at[cut])).long()]
        return -1 - node

    def boxes(self, low: Float[Tensor, " 3"], high: Float[Tensor, " 3"]) -> Float[Tensor, "B 2 3"]:
        """Give the lower and upper corner of each cell, what reaches further cut off.

        Args:
            low, high: corners of what is of interest, world units.
        """
        out = torch.stack([low, high]).double().expand(len(self), 2, 3).clone()
        todo = [(0 if len(self.axis) else -1, out[0].clone())]
        while todo:
            node, box = todo.pop()
            if node < 0:
                out[-1 - node] = box
                continue
            axis = int(self.axis[node])
            for side in (0, 1):
                part = box.clone()
                part[1 - side, axis] = self.at[node].clamp(box[0, axis], box[1, axis])
                todo.append((int(self.sides[node, side]), part))
        return out


@dataclass(frozen=True)
class Block:
    """What one worker trains."""

    number: int
    """Of its cell."""
    box: Float[Tensor, "2 3"]
    """Lower and upper corner of its cell within the scene, world units."""
    views: tuple[int, ...]
    """Rows of the cameras it is trained on, rising."""
    points: Int64[Tensor, " S"]
    """Rows of the start points it begins with, rising: all in and around its cell, and all that its views show."""


def cut_space(points: Float[Tensor, "P 3"], blocks: int) -> Cells:
    """Cut space into cells with about equally many points, across the longest side each time.

    Args:
        points: start points or centres, world units; those that are not finite are not counted.
        blocks: how many cells.

    Raises:
        SettingsError: fewer than one block, or more than there are points.
    """
    points = points.detach().double().cpu()
    points = points[points.isfinite().all(dim=1)]
    if not 1 <= blocks <= min(max(1, len(points)), MOST_BLOCKS):
        raise SettingsError(f"{len(points)} points cannot be cut into {blocks} blocks", None, "choose fewer blocks")
    axis, at, sides = list[int](), list[float](), list[list[int]]()
    todo, cells = [(points, blocks, -1, 0)], 0
    while todo:
        inside, many, parent, side = todo.pop()
        if parent >= 0:
            sides[parent][side] = len(axis) if many > 1 else -1 - cells
        if many == 1:
            cells += 1
            continue
        across = int((inside.amax(0) - inside.amin(0)).argmax()) if len(inside) else 0
        cut = _cut(inside[:, across], (many // 2) / many)
        todo += [
            (inside[inside[:, across] >= cut], many - many // 2, len(axis), 1),
            (inside[inside[:, across] < cut], many // 2, len(axis), 0),
        ]
        axis.append(across)
        at.append(cut)
        sides.append([0, 0])
    return Cells(
        torch.tensor(axis, dtype=torch.int64),
        torch.tensor(at, dtype=torch.float64),
        torch.tensor(sides, dtype=torch.int64).reshape(-1, 2),
    )


def _cut(values: Float[Tensor, " M"], share: float) -> float:
    """Give the value that a share of the values lies below."""
    if len(values) == 0:
        return 0.0
    return float(values.sort().values[min(len(values) - 1, max(1, round(share * len(values))))])


def plan_blocks(
    cameras: Sequence[Camera], points: Float[Tensor, "P 3"], settings: BlockSettings = BlockSettings()
) -> tuple[Cells, list[Block]]:
    """Cut a scene into blocks and share the views out; a view may belong to several blocks, and to one at least.

    Args:
        cameras: of all views.
        points: start points, world units.
        settings: how.

    Raises:
        SettingsError: a setting is out of range.
    """
    if not 0 <= settings.overlap <= 10 or not 0 <= settings.least_share <= 1:
        raise SettingsError("overlap goes from 0 to 10, least_share from 0 to 1", settings)
    points = points.detach().double().cpu()
    cells = cut_space(points, settings.blocks)
    boxes = cells.boxes(*_extent(points))
    margin = settings.overlap * (boxes[:, 1] - boxes[:, 0])
    around = torch.stack(
        [((points >= b[0] - m) & (points < b[1] + m)).all(1) for b, m in zip(boxes, margin, strict=True)]
    )
    around[cells.owner(points), torch.arange(len(points))] = True
    views, seen = _share_views(cameras, points, around, settings.least_share)
    return cells, [
        Block(i, boxes[i], tuple(views[i].nonzero()[:, 0].tolist()), (around[i] | seen[i]).nonzero()[:, 0])
        for i in range(len(cells))
    ]


def _extent(points: Float[Tensor, "P 3"]) -> tuple[Tensor, Tensor]:
    finite = points[points.isfinite().all(dim=1)]
    return finite.amin(dim=0), finite.amax(dim=0)


def _share_views(
    cameras: Sequence[Camera], points: Float[Tensor, "P 3"], around: Bool[Tensor, "B P"], least: float
) -> tuple[Bool[Tensor, "B V"], Bool[Tensor, "B P"]]:
    """Give which views each block has, and which points those views show."""
    views = torch.zeros(len(around), len(cameras), dtype=torch.bool)
    seen = torch.zeros_like(around)
    for row, camera in enumerate(cameras):
        shown = in_picture(camera, points)
        share = (around & shown).sum(dim=1) / shown.sum().clamp_min(1)
        chosen = share >= max(least, 1e-9)
        chosen[share.argmax()] = True
        views[:, row] = chosen
        seen[chosen] |= shown
    return views, seen


def in_picture(camera: Camera, points: Float[Tensor, "P 3"]) -> Bool[Tensor, " P"]:
    """Tell which points lie in a camera's picture, whatever hides them; lens distortion is left out."""
    pose = camera.T_world_camera.detach().double().cpu()
    local = (points.double() - pose[:3, 3]) @ pose[:3, :3]
    pixel = local @ camera.K.detach().double().cpu().T
    at = pixel[:, :2] / pixel[:, 2:].clamp_min(NEAR)
    return (local[:, 2] > NEAR) & (at >= 0).all(1) & (at[:, 0] < camera.width) & (at[:, 1] < camera.height)


def merge_blocks(cells: Cells, parts: Sequence[Gaussians]) -> Gaussians:
    """Put trained blocks together: of each the Gaussians whose centres lie in its cell.

    Args:
        cells: of all blocks.
        parts: block by block.

    Raises:
        FormatError: there are not as many parts as cells, or their spherical harmonics differ.
    """
    if len(parts) != len(cells) or len({part.sh.shape[1] for part in parts}) > 1:
        raise FormatError(f"{len(parts)} parts do not make {len(cells)} blocks of one sort", None, "train all blocks")
    kept = [cells.owner(part.means) == i for i, part in enumerate(parts)]
    columns = zip(*(part.detach().tensors() for part in parts), strict=True)
    return Gaussians(*(torch.cat([t[k.to(t.device)] for t, k in zip(c, kept, strict=True)]) for c in columns))


def merge_fields(cells: Cells, parts: Sequence[Field]) -> Field:
    """Put blocks together that have codes of one codec; things are looked for again afterwards.

    Args:
        cells: of all blocks.
        parts: block by block.

    Raises:
        FormatError: parts and cells do not fit together, or a part has codes and another has none.
    """
    gaussians = merge_blocks(cells, [part.gaussians for part in parts])
    own = [kept_part(replace(p, instances=None), cells.owner(p.gaussians.means) == i) for i, p in enumerate(parts)]
    joined = {}
    for name in ("codes", "reliability"):
        found = [getattr(part, name) for part in own]
        if len({t is None for t in found}) > 1:
            raise FormatError(f"some blocks have {name}, others have none", None, "run the language stage on all")
        joined[name] = None if found[0] is None else torch.cat(cast(list[Tensor], found), dim=1)
    return Field(gaussians, joined["codes"], parts[0].codec, parts[0].provenance, joined["reliability"])


def block_of(field: Field, cells: Cells, number: int, margin: float = 0.0) -> Field:
    """Give the part of a field in a cell, and what lies within a margin of its box, world units."""
    means = field.gaussians.means.detach().double().cpu()
    box = cells.boxes(*_extent(means))[number]
    return kept_part(
        field, ((means >= box[0] - margin) & (means <= box[1] + margin)).all(1) | (cells.owner(means) == number)
    )
