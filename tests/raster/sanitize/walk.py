"""Draw poisoned scenes with kernels built under a sanitizer: python -m tests.raster.sanitize.walk NAME FIRST LAST.

Only `sanitized.walk` starts this, with the sanitizer's runtime loaded first.
"""

from __future__ import annotations

import json
import sys

import torch

from langfield import raster
from langfield.artefacts import plain
from langfield.errors import LangfieldError
from langfield.raster import Screen, build, ops, to_screen
from langfield.raster.cpu import arguments
from langfield.raster.measure.agreement import Case, draw_with
from langfield.raster.measure.poison import poisoned, poisoned_crowd, survive
from tests.raster.sanitize.sanitized import COMMON, SANITIZERS


def main(name: str, first: int, last: int, overrun: bool) -> None:
    build.FLAGS = (*COMMON, *SANITIZERS[name])
    build.library()
    if name == "memory":
        torch.set_num_threads(1)
        found = survive(draw_with("cpu"), range(first, last))
        found["questions"] = sum(ask(poisoned(seed), seed) for seed in range(first, last))
    else:
        torch.set_num_threads(4)
        draw = draw_with("cpu")
        found = {"cases": last - first, "questions": 0, "complaints": []}
        for seed in range(first, last):
            crowd = poisoned_crowd(seed)
            draw(crowd)
            found["questions"] += ask(crowd, seed)
    sys.stdout.write(json.dumps(plain(found)) + "\n")
    sys.stdout.flush()
    if overrun:
        {"memory": write_past_the_end, "threads": write_without_sharing}[name]()


def ask(case: Case, seed: int) -> int:
    """Ask the kernels besides drawing about a case; gives the number of questions answered."""
    g = torch.Generator().manual_seed(seed)
    try:
        screen = to_screen(case.gaussians, case.camera, backend="cpu")
    except LangfieldError:
        return 0
    n, (width, height) = len(screen), screen.size
    segments = torch.randint(-1, 7, (3, height, width), generator=g)
    raster.scatter_segments(screen, segments)
    raster.top_contributors(screen, 1 + seed % 9)
    pairs, atoms = 1 + seed % 5, 1 + seed % 70
    codes(screen, torch.randint(0, atoms, (n, pairs), generator=g), atoms)
    index = torch.randint(0, atoms, (n, 3, pairs), generator=g)
    raster.splat_scores(screen, index, torch.rand(n, 3, pairs, generator=g), torch.rand(3, atoms, 2, generator=g))
    ask_again(screen, g)
    a, b = (torch.rand(height, width, 3, generator=g) for _ in range(2))
    ops.ssim(a, b)
    return 7


def ask_again(screen: Screen, g: torch.Generator) -> None:
    """Keep the weights of a view and blend with them; look words up, those of a foreign file too."""
    n, levels = len(screen), 2
    words = torch.randint(-(2**15), 2**15, (n, 5), generator=g).to(torch.int16)
    table = torch.rand(8, 3, generator=g)
    scale = raster.word_scales(words, table @ table.T)
    general = raster.word_scores(words, scale, table @ torch.rand(3, 9 * levels, generator=g))
    raster.word_relevancy(words, scale, table, scale, 10.0)
    kept = raster.keep_weights(screen)
    raster.keep_weights(screen, 20)
    if kept is not None:
        limits = raster.blend_kept_against(kept, general, levels, (0.3, 10.0))
        raster.blend_kept_relevancy(kept, general[:, :levels].contiguous(), *limits)
        raster.blend_kept(kept, general)


def codes(screen: Screen, index: torch.Tensor, atoms: int) -> None:
    weight = torch.ones(index.shape, requires_grad=True)
    raster.splat_codes(screen, index, weight, atoms).sum().backward()


def write_past_the_end() -> None:
    """Make the mistake the sanitizer is there to find: room for 7 Gaussians, 8 packed."""
    n = 8
    ones = [torch.ones(shape) for shape in ((n, 2), (n, 3), (n,), (n, 3), (n,))]
    radii, room = torch.ones(n, 2, dtype=torch.int32), torch.empty(n - 1, 16)
    build.library().lf_pack(*arguments(*ones, radii, n, 1, room))


def write_without_sharing() -> None:
    """Make the mistake the sanitizer is there to find: two threads pack into one room at once."""
    import threading

    n = 200_000
    ones = [torch.ones(shape) for shape in ((n, 2), (n, 3), (n,), (n, 3), (n,))]
    radii, room = torch.ones(n, 2, dtype=torch.int32), torch.empty(n, 16)
    values = arguments(*ones, radii, n, 1, room)
    both = [threading.Thread(target=lambda: build.library().lf_pack(*values)) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), "overrun" in sys.argv)
