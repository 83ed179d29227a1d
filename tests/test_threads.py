"""One thread for torch, and the caller's number again, whoever overlaps."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from threading import Barrier

import pytest
import torch

from langfield.raster.threads import kernel_threads, kernels_only
from langfield.threads import one_thread, threads_outside

USERS = (one_thread, kernels_only)


@pytest.mark.parametrize("second", USERS)
@pytest.mark.parametrize("first", USERS)
def test_threads_that_overlap_leave_the_setting_as_it_was(
    first: Callable[[], AbstractContextManager[None]], second: Callable[[], AbstractContextManager[None]]
):
    before, met = torch.get_num_threads(), Barrier(2)

    def overlap(leads: bool) -> tuple[int, int]:
        if not leads:
            met.wait(10)
        with first() if leads else second():
            inside = torch.get_num_threads(), threads_outside()
            if leads:
                met.wait(10)
            met.wait(10)
        return inside

    try:
        torch.set_num_threads(2)
        with ThreadPoolExecutor(2) as workers:
            assert list(workers.map(overlap, (True, False))) == [(1, 2), (1, 2)]
        with ThreadPoolExecutor(1) as fresh:
            assert fresh.submit(torch.get_num_threads).result() == 2
    finally:
        torch.set_num_threads(before)


def test_inside_a_codec_fit_the_kernels_keep_their_threads():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with one_thread(), kernels_only():
            assert (torch.get_num_threads(), kernel_threads()) == (1, 2)
        assert torch.get_num_threads() == kernel_threads() == 2
    finally:
        torch.set_num_threads(before)
