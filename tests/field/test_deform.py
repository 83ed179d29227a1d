"""Deformation: nothing moves at the start, heads against a naive twin, gradients, and crafted parts."""

from dataclasses import replace

import pytest
import torch

from langfield.errors import FormatError
from langfield.field.deform import HEADS, Deformation, deform, head_widths, load_deformation, start_deformation
from langfield.field.hexplane import PlaneSettings, features, start_planes
from langfield.raster import Gaussians

SETTINGS = PlaneSettings(grid=(2, 3, 3), times=3, resolutions=(1, 2), width=2)


def some_gaussians(dtype: torch.dtype = torch.float64) -> Gaussians:
    g = torch.Generator().manual_seed(3)
    shapes = ((6, 3), (6, 4), (6, 3), (6,), (6, 4, 3))
    return Gaussians(*(torch.randn(shape, generator=g, dtype=dtype) for shape in shapes))


def some_deformation(names: tuple[str, ...] = HEADS, dtype: torch.dtype = torch.float64) -> Deformation:
    g = torch.Generator().manual_seed(4)
    planes = start_planes(SETTINGS, torch.randn(20, 3, generator=g), (0.0, 2.0), g)
    made = start_deformation(planes, names, 5, 4, g)

    def rough(t: torch.Tensor) -> torch.Tensor:
        return torch.randn(t.shape, generator=g, dtype=dtype)

    planes = replace(planes, cells=rough(planes.cells), box=planes.box.to(dtype))
    layers = {name: rough(t) for name, t in vars(made).items() if name not in ("planes", "heads")}
    return replace(made, planes=planes, **layers)


def file_parts(made: Deformation) -> dict[str, torch.Tensor]:
    own = {name: t for name, t in vars(made).items() if name != "planes"}
    return own | {f"planes.{name}": t for name, t in vars(made.planes).items()}


def one_by_one(gaussians: Gaussians, d: Deformation, time_s: float) -> list[torch.Tensor]:
    """Move one Gaussian at a time, one head after the other, with explicit sums."""
    moved = [t.clone() for t in gaussians.tensors()]
    for n in range(len(gaussians)):
        found = features(d.planes, gaussians.means[n : n + 1], time_s)[0]
        hidden = (d.trunk_weight * found).sum(1) + d.trunk_bias
        row = 0
        for at, number in enumerate(d.heads.tolist()):
            inner = ((d.inner_weight[at] * hidden.clamp_min(0)).sum(1) + d.inner_bias[at]).clamp_min(0)
            for flat in range(head_widths((HEADS[number],), 4)[0]):
                change = (d.outer_weight[row] * inner).sum() + d.outer_bias[row]
                scale = d.planes.box.diff(dim=0).max() / 2 if number == 0 else 1.0
                moved[number][n].view(-1)[flat] += change * scale
                row += 1
    return moved


@pytest.mark.parametrize("names", [HEADS, ("means",), ("quats", "sh")])
def test_heads_are_what_loops_give(names):
    gaussians, d = some_gaussians(), some_deformation(names)
    found = deform(gaussians, d, 0.7)
    for a, b in zip(found.tensors(), one_by_one(gaussians, d, 0.7), strict=True):
        torch.testing.assert_close(a, b)
    assert [not a.equal(b) for a, b in zip(found.tensors(), gaussians.tensors(), strict=True)] == [
        name in names for name in HEADS
    ]


def test_without_a_deformation_and_with_a_new_one_nothing_moves():
    gaussians = some_gaussians(torch.float32)
    assert deform(gaussians, None, 1.0) is gaussians
    g = torch.Generator().manual_seed(0)
    new = start_deformation(start_planes(SETTINGS, gaussians.means, (0.0, 1.0), g), HEADS, 8, 4, g)
    assert all(a.equal(b) for a, b in zip(deform(gaussians, new, 0.4).tensors(), gaussians.tensors(), strict=True))


def test_gradients_are_those_of_finite_differences():
    gaussians, d = some_gaussians(), some_deformation()
    names = ("trunk_weight", "inner_weight", "inner_bias", "outer_weight")

    def moved(cells, means, *layers):
        d2 = replace(d, planes=replace(d.planes, cells=cells), **dict(zip(names, layers, strict=True)))
        return deform(Gaussians(means, *(t[:2] for t in gaussians.tensors()[1:])), d2, 1.3).tensors()

    inputs = (d.planes.cells, gaussians.means[:2], *(getattr(d, name) for name in names))
    assert torch.autograd.gradcheck(moved, [t.clone().requires_grad_() for t in inputs])


def test_rows_stay_rows_and_fewer_harmonics_are_the_first():
    gaussians, d = some_gaussians(), some_deformation()
    order = torch.randperm(6, generator=torch.Generator().manual_seed(1))
    whole = deform(gaussians, d, 1.9)
    turned = deform(Gaussians(*(t[order] for t in gaussians.tensors())), d, 1.9)
    for a, b in zip(turned.tensors(), whole.tensors(), strict=True):
        torch.testing.assert_close(a, b[order])
    flat = deform(replace(gaussians, sh=gaussians.sh[:, :1]), d, 1.9)
    torch.testing.assert_close(flat.sh, whole.sh[:, :1])


def test_parts_of_a_file_come_back_and_crafted_ones_are_refused():
    made = some_deformation(("means", "sh"))
    back = load_deformation(file_parts(made), 4)
    assert all(a.equal(b) for a, b in zip(file_parts(back).values(), file_parts(made).values(), strict=True))
    for heads in ([], [4, 0], [0, 0], [0, 9], [0, 1]):
        with pytest.raises(FormatError, match="heads"):
            load_deformation(file_parts(replace(made, heads=torch.tensor(heads, dtype=torch.uint8))), 4)
    with pytest.raises(FormatError, match="take"):
        load_deformation(file_parts(made), 9)
    with pytest.raises(FormatError, match="take"):
        load_deformation(file_parts(replace(made, trunk_weight=made.trunk_weight[:, 1:])), 4)
