"""The gallery of failures: one HTML page that needs nothing beside it, no script and no network."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from langfield.artefacts import write_bytes
from langfield.evaluate.losses import GOOD_IOU, explain
from langfield.evaluate.page_style import STYLE
from langfield.evaluate.report import LOSSES, Metric, Summary
from langfield.evaluate.thumbnails import as_jpeg, draw_three
from langfield.evaluate.types import Losses, Outcome, Scored

Photos = Callable[[str], UInt8[np.ndarray, "H W 3"]]
MAX_FAILURES = 60
MAX_RIGHT = 6
WHEN = "when the answer holds, and when it is so"
CAPTIONS = ("the photo, label outlined", "relevancy, 0.4 to 0.7", "answer against label")


@dataclass(frozen=True)
class Entry:
    """One query of the page."""

    score: Scored
    lost: Losses | None
    verdict: str

    @property
    def failed(self) -> bool:
        """Whether the answer's IoU is under one half."""
        return self.score.iou < GOOD_IOU


def write_page(path: Path, title: str, summaries: Sequence[Summary], outcome: Outcome, photos: Photos) -> None:
    """Write the page of one protocol's outcome.

    Args:
        path: the HTML file.
        title: what was scored.
        summaries: of every source, the field's first.
        outcome: the scores, of which the field's are shown query by query.
        photos: gives a frame's picture by its name, RGB.

    Raises:
        StorageError: the disk is full or read-only.
    """
    write_bytes(path, make_page(title, summaries, outcome, photos).encode())


def make_page(title: str, summaries: Sequence[Summary], outcome: Outcome, photos: Photos) -> str:
    """Give the page's text; everything that comes from labels and captures is escaped."""
    entries = _entries(outcome)
    failures, right = [e for e in entries if e.failed], [e for e in entries if not e.failed]
    head = summaries[0]
    shown = f", the worst {MAX_FAILURES} shown" if len(failures) > MAX_FAILURES else ""
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p>Protocol <b>{escape(head.protocol)}</b>, version {head.protocol_version}. {head.queries} queries of "
        f"{head.names} names. Intervals are 95 %, from drawing whole names; seed {head.seed}.</p>",
        _metrics_table(summaries),
        _losses_bar(head),
        *(f'<p class="note">{escape(note)}</p>' for note in head.notes),
        f"<h2>{len(failures)} of {len(entries)} answers are wrong (overlap below one half){shown}</h2>",
        LEGEND,
        *(_card(e, photos) for e in failures[:MAX_FAILURES]),
        f"<h2>{len(right)} went right{', the best of them' if len(right) > MAX_RIGHT else ''}</h2>",
        *(_card(e, photos) for e in right[::-1][:MAX_RIGHT]),
        f"<h2>All {len(entries)} queries</h2>",
        _query_table(entries, list(head.metrics)),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
        'content="width=device-width, initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'\">"
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>{''.join(parts)}</main></body></html>\n"
    )


LEGEND = (
    '<p class="legend"><span class="both"></span>answer and label <span class="much"></span>too much '
    '<span class="missed"></span>missed; × where the relevancy peaks</p>'
)


def _entries(outcome: Outcome) -> list[Entry]:
    """Give the field's queries, lowest IoU first."""
    known = {(one.frame, one.text): one for one in outcome.losses}
    scores = sorted(next(iter(outcome.scores.values())), key=lambda s: s.iou)
    lost = [known.get((s.frame, s.text)) for s in scores]
    return [Entry(s, one, explain(s, one)) for s, one in zip(scores, lost, strict=True)]


def _metrics_table(summaries: Sequence[Summary]) -> str:
    names = list(summaries[0].metrics)
    head = "".join(f"<th>{escape(n)}</th>" for n in ("", *names, "queries"))
    rows = [
        f"<tr><th>{escape(s.source)}</th>{''.join(_metric(s.metrics[n]) for n in names)}<td>{s.queries}</td></tr>"
        for s in summaries
    ]
    return f"<table><tr>{head}</tr>{''.join(rows)}</table>"


def _metric(metric: Metric) -> str:
    low, high = metric.over_names
    return f"<td><b>{metric.value:.3f}</b> <small>{low:.2f}–{high:.2f}</small></td>"


def _losses_bar(summary: Summary) -> str:
    """Show where the IoU of an average query goes; the parts add up to 1."""
    if not summary.losses:
        return ""
    lost = {kind: summary.losses[kind].value for kind in LOSSES}
    answer = 1 - sum(lost.values())
    words = {
        "answer": "is left as the answer's IoU",
        "segmentation": "segmentation: no mask of any level covers it",
        "choice": "choice: the text scores another segment higher",
        "lifting": "lifting: lost between the best-scoring segment and the field's answer",
    }
    parts = {"answer": answer} | {kind: lost[kind] for kind in reversed(LOSSES)}
    bar = "".join(f'<span class="{n}" style="flex:{v:.4f}">{v:.2f}</span>' for n, v in parts.items() if v > 0.004)
    lines = "".join(f'<li><i class="{n}"></i><b>{v:+.3f}</b> {words[n]}</li>' for n, v in parts.items())
    gained = " A negative loss is a gain: 3D answers better than the 2D segments do." if lost["lifting"] < 0 else ""
    return (
        f"<h2>Where the IoU of an average query goes</h2><div class=bar>{bar}</div>"
        f"<ul class=parts>{lines}</ul><p>{gained}</p>"
    )


def _card(entry: Entry, photos: Photos) -> str:
    score, look = entry.score, entry.score.look()
    pictures, strip = "", ""
    if look is not None:
        drawn = zip(draw_three(photos(look.frame or score.frame), look), CAPTIONS, strict=True)
        pictures = "".join(_figure(as_jpeg(picture), caption, score.text) for picture, caption in drawn)
        strip = "" if look.strip is None else _figure(as_jpeg(look.strip), WHEN, score.text)
    return (
        f'<article class="{"failed" if entry.failed else "right"}"><h3>{escape(score.text)}'
        f" <small>{escape(score.frame)}</small></h3><p><b>IoU {score.iou:.2f}</b> {_values(score)}{_limits(entry.lost)}"
        f'</p><p class="verdict">{escape(entry.verdict)}</p><div class=three>{pictures}</div>{strip}</article>'
    )


def _figure(jpeg: bytes, caption: str, text: str) -> str:
    data = base64.b64encode(jpeg).decode()
    alt = f"{escape(text)}: {escape(caption)}"
    return f'<figure><img alt="{alt}" src="data:image/jpeg;base64,{data}"><figcaption>{caption}</figcaption></figure>'


def _values(score: Scored) -> str:
    flags = {name: value for name, value in score.values().items() if name != "mIoU"}
    return " ".join(f"· {escape(name)} {_flag(value)}" for name, value in flags.items())


def _flag(value: float) -> str:
    return {0.0: "no", 1.0: "yes"}.get(value, f"{value:.2f}")


def _limits(lost: Losses | None) -> str:
    return "" if lost is None else f" · best mask {lost.best:.2f} · best-scoring segment {lost.chosen:.2f}"


def _query_table(entries: Sequence[Entry], metrics: Sequence[str]) -> str:
    head = "".join(f"<th>{escape(n)}</th>" for n in ("name", "frame", *metrics, "best mask", "best-scoring", "verdict"))
    return f"<div class=wide><table><tr>{head}</tr>{''.join(_row(e, metrics) for e in entries)}</table></div>"


def _row(entry: Entry, metrics: Sequence[str]) -> str:
    values: Mapping[str, float] = entry.score.values()
    limits = ["", ""] if entry.lost is None else [f"{entry.lost.best:.2f}", f"{entry.lost.chosen:.2f}"]
    cells = [entry.score.text, entry.score.frame, *(f"{values[m]:.2f}" for m in metrics), *limits, entry.verdict]
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
