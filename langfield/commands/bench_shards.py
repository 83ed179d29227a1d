"""`langfield bench shards`: what a text costs in a field of millions of Gaussians, in time and memory."""

from __future__ import annotations

import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable
from typing import Any

from langfield.commands.bench_options import ShardBench
from langfield.commands.bench_shards_scene import prepare
from langfield.errors import SettingsError
from langfield.field.shards import load_shards
from langfield.query.gaussians import gaussian_relevancy
from langfield.query.relevancy import CANONICALS, Phrases, encode_phrases, relevancy
from langfield.sharded import ShardedRun, open_sharded
from langfield.suite.types import TextEncoder
from langfield.viewer.app import ViewerSettings
from langfield.viewer.measure import CAMERA, Hashes, Page
from langfield.viewer.shard_app import BUDGET, ShardApp

POLL_S = 0.01
DOWN = (0.0, 1.0, 0.0, 0.0)
"""Turns a page's camera to look along -z."""


def bench_shards(what: ShardBench) -> dict[str, Any]:
    """Make the scene unless it is there, and measure in processes of their own.

    Returns:
        Sizes; seconds to open, for the first question and for others, with and without a picture; the most memory of
        that process; the same of reading the whole field, and the time of decoding every vector as a multiple.
    """
    made = prepare(what)
    ours, page, whole = (_apart(work, what) for work in (measure_shards, measure_page, measure_whole))
    decoded = ours.pop("decode_s")
    return {
        **made, **ours, **page, **whole,
        "times_decoding_every_vector": round(decoded / ours["all_gaussians_s"], 1),
        "times_reading_the_whole_field": round(whole["whole_open_and_ask_s"] / ours["open_and_first_ask_s"], 1),
    }  # fmt: skip


def _apart(work: Callable[[ShardBench], dict[str, Any]], what: ShardBench) -> dict[str, Any]:
    """Run a measurement in a process of its own, whose memory is its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, (what,))


def _opened(what: ShardBench) -> ShardedRun:
    run = open_sharded(what.folder)
    if run is None:
        raise SettingsError("no shards here", what.folder)
    return run


def _encoder(run: ShardedRun) -> TextEncoder:
    return Hashes() if run.manifest["settings"]["text_encoder"] == "hashes" else run.text_encoder()


def _texts(what: ShardBench) -> list[str]:
    known = ("teapot", "red mug", "globe", "banana", "pumpkin", "candle", "cactus", "blue book", "toy car", "donut")
    names = known if what.run is not None else tuple(f"thing {i}" for i in range(48))
    return [names[i % len(names)] for i in range(what.questions + 1)]


def _peak_mib() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def measure_shards(what: ShardBench) -> dict[str, Any]:
    """Ask a sharded field; the encoder of texts is loaded before, and its part in a question is told apart."""
    start = time.perf_counter()
    encoder, dim = _encoder(_opened(what)), _opened(what).dim
    encoded = [encode_phrases(encoder, [text], dim) for text in _texts(what)]
    loaded, base = time.perf_counter(), _peak_mib()
    opened = time.perf_counter()
    run = _opened(what)
    run.encoder = encoder
    ask(run, encoded[0])
    first = time.perf_counter() - opened
    worked = time.process_time()
    times = [_timed(lambda p=p: ask(run, p)) for p in encoded[1:]]
    worked = (time.process_time() - worked) / len(times)
    things = [_timed(lambda p=p: run.asker.things(p)) for p in encoded[1:]]
    scans = [_timed(lambda p=p: scan(run, p)) for p in encoded[1:]]
    asked, memory = statistics.median(times), _peak_mib()
    decode = decode_all(run, encoded[1])
    judge = _timed(lambda: run.calibrator)
    pictures = [_timed(lambda p=p: run.answer(p)) for p in encoded[1:4]]
    return {
        "load_encoder_s": round(loaded - start, 3), "encoder_mib": base,
        "open_and_first_ask_s": round(first, 3), "ask_s": round(asked, 4), "ask_s_most": round(max(times), 4),
        "ask_processor_s": round(worked, 4),
        "things_s": round(statistics.median(things), 4), "all_gaussians_s": round(statistics.median(scans), 4),
        "encode_text_s": round(_timed(lambda: encode_phrases(encoder, ["a thing"], run.dim)), 4),
        "judge_once_s": round(judge, 3), "answer_with_picture_s": round(statistics.median(pictures), 3),
        "most_mib": memory, "most_mib_with_pictures": _peak_mib(), "decode_s": decode,
    }  # fmt: skip


def ask(run: ShardedRun, phrases: Phrases) -> tuple[int, int]:
    """Give the Gaussians of the thing that fits best, their box and place, and hold the text against every Gaussian."""
    best = int(run.asker.things(phrases)[0].argmax()) if run.shards.things is not None else -1
    many = len(run.asker.select(best).rows) if best >= 0 else 0
    return many, scan(run, phrases)


def scan(run: ShardedRun, phrases: Phrases) -> int:
    """Give how many Gaussians fit a text better than general words do, at any level."""
    return sum(int((found[0].amax(dim=0) > 0.5).sum()) for found in run.asker.relevancy(phrases))


def decode_all(run: ShardedRun, phrases: Phrases) -> float:
    """Give the seconds of decoding all codes to vectors and comparing those; measured on the first shard."""
    codes, _ = run.shards.codes(0)
    if codes is None or run.shards.codec is None:
        return 0.0
    start = time.perf_counter()
    for part in codes.flatten(0, 1).split(2**16):
        relevancy(run.shards.codec.decode(part), phrases.positives, phrases.canonicals)
    return (time.perf_counter() - start) * run.shards.count / codes.shape[1]


def measure_page(what: ShardBench) -> dict[str, Any]:
    """Open the page over the wire: seconds until something of all is there, and until a camera has its detail."""
    run = _opened(what)
    app = ShardApp(run, ViewerSettings(port=0, budget=BUDGET))  # its other end draws nothing
    app.start()
    start = time.perf_counter()
    page = Page(app)
    try:
        while not any(app.scene.counts(i)[0] for i in app.pages):
            time.sleep(POLL_S)
        while app.scene.shards_on(app.pages[0]) < len(run.shards):
            time.sleep(POLL_S)
        coarse, sent = time.perf_counter() - start, app.scene.sent_bytes
        app.refining.wait()
        start = time.perf_counter()
        page.send({**CAMERA, "wxyz": DOWN})
        while app.scene.sent_bytes == sent:
            time.sleep(POLL_S)
        app.refining.wait()
        fine = time.perf_counter() - start
        many, full = app.scene.counts(app.pages[0])
    finally:
        page.close()
        app.stop()
    return {
        "page_first_picture_s": round(coarse, 3), "page_first_bytes": sent, "page_fine_s": round(fine, 3),
        "page_bytes": app.scene.sent_bytes, "page_gaussians": many, "page_shards_in_full": full,
        "page_most_mib": _peak_mib(),
    }  # fmt: skip


def measure_whole(what: ShardBench) -> dict[str, Any]:
    """Read the whole field into memory and ask it once."""
    sharded = _opened(what)
    encoder = _encoder(sharded)
    phrases = encode_phrases(encoder, _texts(what)[:1], sharded.dim, CANONICALS)
    start = time.perf_counter()
    gaussian_relevancy(load_shards(what.folder), phrases)
    return {"whole_open_and_ask_s": round(time.perf_counter() - start, 2), "whole_most_mib": _peak_mib()}


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
