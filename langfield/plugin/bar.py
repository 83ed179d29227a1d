"""The training bar: which stage, how far, how good, how long still."""

from __future__ import annotations

import time
from types import TracebackType

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from langfield.progress import LINE_EVERY_S, console, say


class StepBar:
    """One bar a stage on a terminal, a line now and then elsewhere.

    Args:
        colour_steps: steps of the colour stage, which come first.
        total_steps: steps of both stages.
        start: first step of this process.
    """

    def __init__(self, colour_steps: int, total_steps: int, start: int) -> None:
        self.ends = {"colour": min(colour_steps, total_steps), "language": total_steps}
        self.colour_steps, self.start = colour_steps, start
        self.began = self.last_line = time.monotonic()
        self.bar: Progress | None = None
        self.tasks: dict[str, int] = {}

    def __enter__(self) -> StepBar:
        out = console()
        if out.is_terminal:
            columns = (
                TextColumn("{task.description:>14}"), BarColumn(), MofNCompleteColumn(),
                TextColumn("{task.fields[note]}"), TimeElapsedColumn(), TextColumn("ETA"), TimeRemainingColumn(),
            )  # fmt: skip
            self.bar = Progress(*columns, console=out)
            self.bar.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None

    def advance(self, step: int, metrics: dict[str, float]) -> None:
        """Show that `step` (from 0) is done, with its metrics."""
        stage = "colour" if step < self.colour_steps else "language"
        done = step + 1 - (0 if stage == "colour" else self.colour_steps)
        total = self.ends[stage] - (0 if stage == "colour" else self.colour_steps)
        note = "  ".join(f"{k} {v:.4g}" for k, v in metrics.items() if k in ("loss", "psnr", "n_gaussians"))
        if self.bar is not None:
            if stage not in self.tasks:
                self.tasks[stage] = self.bar.add_task(stage, total=total, completed=done - 1, note="")
            self.bar.update(self.tasks[stage], completed=done, note=note)  # pyright: ignore
        elif time.monotonic() - self.last_line > LINE_EVERY_S or done == total:
            self.last_line = time.monotonic()
            rate = (step + 1 - self.start) / max(self.last_line - self.began, 1e-9)
            say(f"{stage}: {done}/{total}  {note}  ETA {(total - done) / max(rate, 1e-9):.0f} s")
