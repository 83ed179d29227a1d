"""Planes against a naive twin, closed forms and finite differences."""

from dataclasses import replace

import pytest
import torch

from langfield.errors import FormatError, SettingsError
from langfield.field.hexplane import (
    PAIRS,
    HexPlane,
    PlaneSettings,
    box_of,
    check_planes,
    features,
    roughness,
    start_planes,
)

SMALL = PlaneSettings(grid=(2, 3, 4), times=3, resolutions=(1, 2), width=2)


def rough_planes(dtype: torch.dtype = torch.float64) -> HexPlane:
    g = torch.Generator().manual_seed(0)
    planes = start_planes(SMALL, torch.rand(50, 3, generator=g) * torch.tensor([1.0, 2, 3]), (2.0, 5.0), g)
    cells = torch.randn(planes.cells.shape, generator=g, dtype=dtype)
    return replace(planes, cells=cells, box=planes.box.to(dtype))


def one_by_one(planes: HexPlane, xyz: torch.Tensor, time_s: float) -> torch.Tensor:
    """Sample with nothing but loops, one place, plane and feature at a time."""
    out = torch.zeros(len(xyz), planes.width, dtype=xyz.dtype)
    for n in range(len(xyz)):
        first = 0
        for m, sides in enumerate(planes.sides.tolist()):
            product = [1.0] * len(planes.cells)
            for a, b in PAIRS:
                u, v = (grid_place(planes, xyz[n], time_s, axis, sides[axis]) for axis in (a, b))
                for c in range(len(planes.cells)):
                    product[c] *= corners(planes.cells[c, first:], u, v, sides[a], sides[b])
                first += sides[a] * sides[b]
            width = len(planes.cells)
            out[n, m * width : (m + 1) * width] = torch.tensor(product, dtype=xyz.dtype)
    return out


def grid_place(planes: HexPlane, place: torch.Tensor, time_s: float, axis: int, side: int) -> float:
    low, high = (planes.box[:, axis] if axis < 3 else planes.span_s).tolist()
    value = float(place[axis]) if axis < 3 else time_s
    return min(max((value - low) / (high - low), 0.0), 1.0) * (side - 1)


def corners(cells: torch.Tensor, u: float, v: float, columns: int, rows: int) -> float:
    total = 0.0
    for i in range(rows):
        for j in range(columns):
            total += max(0.0, 1 - abs(v - i)) * max(0.0, 1 - abs(u - j)) * float(cells[i * columns + j])
    return total


@pytest.mark.parametrize("time_s", [1.0, 2.0, 3.3, 5.0, 9.0])
def test_sampling_is_what_loops_over_all_cells_give(time_s):
    planes = rough_planes()
    xyz = torch.rand(4, 3, dtype=torch.float64) * 4 - 0.5  # some outside the box
    torch.testing.assert_close(features(planes, xyz, time_s), one_by_one(planes, xyz, time_s))


def test_gradients_by_cells_and_places_are_those_of_finite_differences():
    planes = rough_planes()
    xyz = (planes.box[0] + torch.rand(4, 3, dtype=torch.float64) * planes.box.diff(dim=0)).requires_grad_()
    cells = planes.cells.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda c, x: features(replace(planes, cells=c), x, 3.1), (cells, xyz))
    assert torch.autograd.gradcheck(
        lambda c: torch.stack(list(vars(roughness(replace(planes, cells=c))).values())), (cells,)
    )


def test_new_planes_do_not_depend_on_time_and_hold_the_points():
    g = torch.Generator().manual_seed(1)
    xyz = torch.randn(400, 3, generator=g)
    planes = start_planes(PlaneSettings(grid=(8, 8, 8), times=4, width=2), xyz, (0.0, 1.0), g)
    torch.testing.assert_close(features(planes, xyz, 0.0), features(planes, xyz, 0.77))
    assert ((planes.box[0] < xyz) & (xyz < planes.box[1])).all(1).float().mean() > 0.95
    assert features(planes, xyz, 0.5).std(dim=0).min() > 1e-3
    check_planes(planes)


def test_roughness_in_closed_form():
    g = torch.Generator().manual_seed(2)
    planes = start_planes(
        PlaneSettings(grid=(3, 3, 3), times=5, resolutions=(1,), width=1), torch.rand(9, 3), (0, 1), g
    )
    flat = roughness(replace(planes, cells=torch.ones_like(planes.cells)))
    assert [float(v) for v in vars(flat).values()] == [0, 0, 0]
    ramp = torch.arange(5.0)[:, None].expand(5, 3)  # time runs along rows: no acceleration
    steps = torch.arange(3.0).expand(3, 3)  # one more per column
    cells = torch.cat([*(steps.reshape(1, 9),) * 3, *(ramp.reshape(1, 15),) * 3], 1)
    measured = roughness(replace(planes, cells=cells))
    assert float(measured.space) == pytest.approx(1)
    assert float(measured.time) == pytest.approx(0)
    assert float(measured.motion) == pytest.approx((1 + 0 + 1 + 2 + 3) / 5)
    bent = replace(planes, cells=torch.cat([cells[:, :27], ramp.square().reshape(1, 15).repeat(1, 3)], 1))
    assert float(roughness(bent).time) == pytest.approx(4)  # second difference of i squared is 2


def test_a_box_is_never_flat():
    flat = torch.rand(20, 3) * torch.tensor([1.0, 1, 0])
    low, high = box_of(flat, 1.0)
    assert (high > low).all()
    assert (box_of(torch.zeros(1, 3), 0.9).diff(dim=0) > 0).all()


def test_what_does_not_fit_is_refused():
    g = torch.Generator()
    bad = (replace(SMALL, grid=(1, 4, 4)), replace(SMALL, width=0), replace(SMALL, resolutions=()))
    for settings in (*bad, replace(SMALL, box_share=0.0), replace(SMALL, times=9999)):
        with pytest.raises(SettingsError, match="planes need"):
            start_planes(settings, torch.rand(9, 3), (0.0, 1.0), g)
    with pytest.raises(SettingsError, match="forward"):
        start_planes(SMALL, torch.rand(9, 3), (1.0, 1.0), g)
    planes = rough_planes()
    for broken in (
        replace(planes, cells=planes.cells[:, 1:]),
        replace(planes, sides=-planes.sides),
        replace(planes, box=planes.box.flip(0)),
        replace(planes, span_s=planes.span_s.flip(0)),
    ):
        with pytest.raises(FormatError):
            check_planes(broken)
