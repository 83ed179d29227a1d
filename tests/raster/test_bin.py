"""Which tiles a Gaussian is listed in: every one where it can be seen, hardly any other, near to far."""

import pytest
import torch

from langfield.raster import ops
from langfield.raster.dispatch import pinhole_of
from langfield.raster.reference import ALPHA_CUT
from tests.raster.scenes import camera, gaussians

WIDTH, HEIGHT = 150, 100


def splats(n: int, seed: int, size: float, stretch: float = 0.0) -> tuple[torch.Tensor, ...]:
    """Give means2d, conics, opacities, depths and radii; `stretch` makes needles of them."""
    scene, pin = gaussians(n, seed, size=size), pinhole_of(camera(WIDTH, HEIGHT), torch.float32)
    scales = scene.log_scales + stretch * torch.tensor([1.0, -1.0, -1.0])
    tensors = (scene.means, scene.quats, scales, scene.logit_opacities, scene.sh, pin.viewmat)
    lens = (list(pin.intrinsics), WIDTH, HEIGHT, 3, 0.01, 0.3)
    means2d, conics, depths, opacities, _, radii = ops.project(*tensors, *lens)
    return means2d, conics, opacities, depths, radii


def listed(tiles: tuple[torch.Tensor, ...]) -> set[tuple[int, int]]:
    _, start, gaussian, _ = tiles
    tile = torch.repeat_interleave(torch.arange(len(start) - 1), start.diff().long())
    return set(zip(gaussian.tolist(), tile.tolist(), strict=True))


def seen(drawn: tuple[torch.Tensor, ...]) -> set[tuple[int, int]]:
    """Give (Gaussian, tile) where some pixel centre gets an alpha of 1/255, in double precision, pixel by pixel."""
    means2d, conics, opacities, _, radii = (t.double() for t in drawn)
    y, x = (t.flatten() for t in torch.meshgrid(torch.arange(HEIGHT) + 0.5, torch.arange(WIDTH) + 0.5, indexing="ij"))
    tile = (y // 16 * -(-WIDTH // 16) + x // 16).long()
    dx, dy = x - means2d[:, :1], y - means2d[:, 1:]
    a, b, c = (column[:, None] for column in conics.T)
    alpha = opacities[:, None] * torch.exp(-(0.5 * (a * dx * dx + c * dy * dy) + b * dx * dy))
    i, pixel = ((alpha >= ALPHA_CUT) & (radii > 0).all(1)[:, None]).nonzero().T
    return set(zip(i.tolist(), tile[pixel].tolist(), strict=True))


def boxes(drawn: tuple[torch.Tensor, ...]) -> int:
    """Give how many tiles the half extents alone would reach."""
    means2d, _, _, _, radii = drawn
    tiles = torch.tensor([-(-WIDTH // 16), -(-HEIGHT // 16)])
    low = ((means2d - radii) / 16).floor().clamp_min(0)
    high = torch.minimum(((means2d + radii) / 16).ceil(), tiles)
    return int((high - low).clamp_min(0)[(radii > 0).all(1)].prod(1).sum())


@pytest.mark.parametrize(("size", "stretch"), [(-3.5, 0.0), (-2.2, 0.0), (-0.5, 0.0), (-2.2, 2.0), (-1.0, 4.0)])
def test_no_tile_is_missed_and_few_are_listed_in_vain(size, stretch):
    found, needed, in_boxes = 0, 0, 0
    for seed in range(3):
        drawn = splats(120, seed, size, stretch)
        pairs, visible = listed(ops.bin_tiles(*drawn, WIDTH, HEIGHT)), seen(drawn)
        assert visible <= pairs
        found, needed, in_boxes = found + len(pairs), needed + len(visible), in_boxes + boxes(drawn)
    assert found <= in_boxes
    assert found <= 1.06 * needed or size < -3  # needles may pass between centres; single tiles are not looked at
    assert found < 0.6 * in_boxes or stretch < 4


def test_lists_are_near_to_far_and_slots_count_each_entry_once():
    drawn = splats(500, 1, -2.2)
    depths = drawn[3]
    depths[::7] = depths[0]  # equal depths keep their order in the scene
    first, start, gaussian, slot = ops.bin_tiles(*drawn, WIDTH, HEIGHT)
    assert start[0] == 0
    assert start[-1] == len(gaussian) == first[-1]
    for tile in range(len(start) - 1):
        ids = gaussian[start[tile] : start[tile + 1]].long()
        assert (depths[ids].diff() >= 0).all()
        assert all(i < j for i, j in zip(ids.tolist(), ids.tolist()[1:], strict=False) if depths[i] == depths[j])
    assert slot.sort().values.equal(torch.arange(len(slot), dtype=torch.int32))
    owner = torch.searchsorted(first, slot.long(), right=True) - 1
    assert owner.equal(gaussian.long())


def test_lists_do_not_depend_on_the_number_of_threads():
    drawn = splats(9000, 3, -3.0)
    before = torch.get_num_threads()
    try:
        found = []
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            found.append(ops.bin_tiles(*drawn, WIDTH, HEIGHT))
    finally:
        torch.set_num_threads(before)
    assert all(a.equal(b) for other in found[1:] for a, b in zip(found[0], other, strict=True))


def test_nothing_to_list():
    for n in (0, 5):
        none = (torch.zeros(n, 2), torch.zeros(n, 3), torch.zeros(n), torch.zeros(n), torch.zeros(n, 2).int())
        first, start, gaussian, slot = ops.bin_tiles(*none, WIDTH, HEIGHT)
        assert first.equal(torch.zeros(n + 1, dtype=torch.int64))
        assert not start.any()
        assert len(gaussian) == len(slot) == 0
