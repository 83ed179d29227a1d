"""The emulator of CUDA's execution does what CUDA does, and tells what CUDA leaves undefined."""

import shutil
from pathlib import Path

import pytest
import torch

from tests.raster.emulated.emulated import EmulatedLauncher, EmulationError

TOYS = [Path(__file__).parent / "emulated" / "toys.cu"]
pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")


@pytest.fixture(params=[0, 1, 2], ids=lambda seed: f"seed{seed}")
def launch(request) -> EmulatedLauncher:
    return EmulatedLauncher(TOYS, request.param)


def ints(*values: int) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.int32)


def run(launch: EmulatedLauncher, kernel: str, threads: int, *arguments, blocks: int = 1) -> None:
    launch(kernel, (blocks, 1, 1), (threads, 1, 1), *arguments)


def test_a_barrier_makes_shared_memory_seen(launch):
    x, y = torch.arange(1000.0), torch.zeros(1000)
    run(launch, "reverse_blocks", 250, x, y, 1000, blocks=4)
    assert torch.equal(y, x.view(4, 250).flip(1).flatten())


def test_a_missing_barrier_shows():
    x, found = torch.arange(64.0), []
    for seed in range(8):
        y = torch.zeros(64)
        run(EmulatedLauncher(TOYS, seed), "forgot_barrier", 64, x, y, 64)
        found.append(torch.equal(y, x.flip(0)))
    assert not any(found)


def test_warp_words_are_cudas(launch):
    v = torch.randint(0, 50, (32,), generator=torch.Generator().manual_seed(3)).int()
    out = torch.zeros(7, 32, dtype=torch.int32)
    run(launch, "warp_words", 32, v, out, 32)
    lanes = torch.arange(32)
    down = torch.where(lanes % 8 + 2 < 8, lanes + 2, lanes)
    votes = sum(1 << i for i in range(32) if v[i] % 2)
    same = [sum(1 << j for j in range(32) if v[j] % 4 == v[i] % 4) for i in range(32)]
    assert (out[0] == v.sum()).all()
    assert (out[1] == v[3]).all()
    assert torch.equal(out[2], v[(lanes - 1).clamp_min(0)])
    assert torch.equal(out[3], v[down])
    assert {int(o) % 2**32 for o in out[4]} == {votes}
    assert (out[5] == (2 * int((v == 7).any()) + 1)).all()
    assert [int(o) % 2**32 for o in out[6]] == same


def test_masks_that_share_a_warp_do_not_meet(launch):
    v, out = torch.randperm(32).int(), ints(*[0] * 32)
    run(launch, "half_warps", 32, v, out)
    assert (out[::2] == v[::2].max()).all()
    assert (out[1::2] == v[1::2].max() + 1000).all()


def test_voting_barriers(launch):
    for values in ([1] * 70, [0] * 70, [0] * 69 + [5]):
        out = torch.zeros(3, 70, dtype=torch.int32)
        run(launch, "count_votes", 70, ints(*values), out, 70)
        positive = [value > 0 for value in values]
        assert out.unique(dim=1).flatten().tolist() == [sum(positive), all(positive), any(positive)]


def test_atomics_and_many_blocks(launch):
    values = torch.randint(0, 10, (5000,)).int()
    counts, total, largest = torch.zeros(10, dtype=torch.int32), torch.zeros(1), ints(0)
    run(launch, "histogram", 128, values, counts, total, largest, 5000, blocks=40)
    assert torch.equal(counts, values.long().bincount(minlength=10).int())
    assert (float(total), int(largest)) == (2500.0, int(values.max()))


def test_threads_that_left_hold_up_no_barrier(launch):
    x, y = torch.arange(64.0), torch.zeros(64)
    run(launch, "leave_early", 64, x, y, 40)
    assert torch.equal(y[:40], x[:40].flip(0))


def test_indices_in_three_dimensions(launch):
    out = torch.zeros(24 * 60, dtype=torch.int32)
    launch("where_am_i", (2, 3, 4), (5, 4, 3), out)
    assert torch.equal(out.view(24, 60), (torch.arange(24)[:, None] * 1000 + torch.arange(60)).int())


def test_shared_memory_starts_as_nothing_and_templates_have_theirs(launch):
    out = torch.zeros(32)
    run(launch, "templates", 32, out)
    assert (out == 32).all()
    run(launch, "unwritten_shared", 32, out)
    assert out.isnan().all()
    run(launch, "racy_template", 32, out, 0)  # which then writes nothing
    assert out.isnan().all()


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        ("two_barriers", "different __syncthreads: toys.cu line"),
        ("half_at_barrier", "others of the mask wait in __syncthreads"),
        ("wrong_mask", "waits for ever in a warp operation with mask ffffffff"),
    ],
)
def test_waits_without_end_fail_the_launch(launch, kernel, message):
    with pytest.raises(EmulationError, match=message):
        run(launch, kernel, 32, ints(*[0] * 32))
    y = torch.zeros(4)
    run(launch, "reverse_blocks", 4, torch.arange(4.0), y, 4)  # and the emulator goes on
    assert y.tolist() == [3, 2, 1, 0]


def test_wrong_launches_are_refused():
    launch, x = EmulatedLauncher(TOYS), torch.zeros(8)
    with pytest.raises(EmulationError, match="takes 3 arguments, got 2"):
        run(launch, "reverse_blocks", 8, x, x)
    with pytest.raises(EmulationError, match=r"argument 1 \(float\*\): got torch.float64"):
        run(launch, "reverse_blocks", 8, x, x.double(), 8)
    with pytest.raises(EmulationError, match="contiguous"):
        run(launch, "reverse_blocks", 8, x, x[::2], 8)
    with pytest.raises(EmulationError, match=r"argument 2 \(int64_t\): got torch.float32"):
        run(launch, "reverse_blocks", 8, x, x, x)
    with pytest.raises(EmulationError, match="no GPU takes this launch shape"):
        run(launch, "reverse_blocks", 1025, x, x, 8)


@pytest.fixture(scope="module", params=[0, 3], ids=lambda seed: f"seed{seed}")
def watched(request) -> EmulatedLauncher:
    return EmulatedLauncher(TOYS, request.param, checked=True)


def test_the_checked_build_lets_right_kernels_be(watched):
    x, y, out = torch.arange(64.0), torch.zeros(64), torch.zeros(7, 32, dtype=torch.int32)
    run(watched, "reverse_blocks", 16, x, y, 64, blocks=4)
    assert torch.equal(y, x.view(4, 16).flip(1).flatten())
    run(watched, "warp_private", 64, y)
    assert torch.equal(y, (torch.arange(64) ^ 1).float())
    run(watched, "warp_words", 32, out[0].clone(), out, 32)
    run(watched, "leave_early", 64, x, y, 40)
    run(watched, "histogram", 64, out[6].clone() * 0, ints(0), torch.zeros(1), ints(0), 32, blocks=2)
    run(watched, "shared_overrun", 32, y, 0)
    run(watched, "lost_update", 1, ints(0))


@pytest.mark.parametrize(
    ("kernel", "threads", "blocks", "arguments", "message"),
    [
        ("forgot_barrier", 64, 1, (torch.arange(64.0), torch.zeros(64), 64), "race on shared memory.*toys.cu:1[56]"),
        ("unordered_start", 64, 1, (ints(0),), "race on shared memory"),
        ("racy_template", 32, 1, (torch.zeros(32), 1), "race on shared memory"),
        ("lost_update", 64, 1, (ints(0),), "race on argument 0.*toys.cu"),
        ("lost_update", 1, 2, (ints(0),), "thread 0 of block 0.*thread 0 of block 1|of block 1.*of block 0"),
        ("blocks_collide", 32, 2, (torch.zeros(32),), "race on argument 0"),
        ("shared_overrun", 32, 1, (torch.zeros(32), 1), "index outside its array at toys.cu"),
        ("global_overrun", 32, 1, (torch.zeros(64), 33), "writes 4 bytes outside every tensor"),
        ("global_overrun", 32, 1, (torch.zeros(64), -1), "writes 4 bytes outside every tensor"),
    ],
)
def test_the_checked_build_finds_wrong_ones(watched, kernel, threads, blocks, arguments, message):
    with pytest.raises(EmulationError, match=message):
        run(watched, kernel, threads, *arguments, blocks=blocks)
