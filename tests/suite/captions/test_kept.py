"""Captions that were paid for stay: across runs, threads and kill -9; and can be replayed from one file."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from threading import Barrier, Event
from time import sleep

import numpy as np
import pytest

from langfield.errors import EnvironmentProblem, FormatError
from langfield.suite.captions import captioner
from langfield.suite.captions.endpoint import Endpoint
from langfield.suite.captions.endpoint_settings import EndpointSettings
from langfield.suite.captions.kept import Kept, kept_records, question_key
from langfield.suite.captions.recorded import Recorded, write_recorded
from langfield.suite.captions.types import Speechless
from tests.suite.captions.server import Asked, Reply, chat_server, says


class Counting:
    """A captioner that says how often it was asked."""

    name, parallel = "counting", 4

    def __init__(self, version: int = 1, answer: Callable[[str], str] = "about {}".format) -> None:
        self.identity = self.provenance = {"captioner": "counting", "version": version}
        self.answer, self.asked = answer, list[str]()

    def caption(self, images: Sequence[np.ndarray], prompt: str) -> str:
        self.asked.append(prompt)
        return self.answer(prompt)


def picture(value: int = 0, shape: tuple[int, int] = (4, 6)) -> np.ndarray:
    return np.full((*shape, 3), value, np.uint8)


def test_the_same_question_is_asked_once_whoever_asks(tmp_path: Path):
    asked = Counting()
    for _ in range(2):
        assert Kept(asked, tmp_path).caption([picture()], "a") == "about a"
    assert asked.asked == ["a"]


def test_pictures_their_order_and_shape_the_prompt_and_the_model_make_another_question(tmp_path: Path):
    one, two = picture(1), picture(2)
    questions = [
        ([one], "a"), ([two], "a"), ([one, two], "a"), ([two, one], "a"), ([], "a"), ([one], "b"),
        ([picture(1, (6, 4))], "a"), ([picture(1, (2, 12))], "a"),
    ]  # fmt: skip
    assert len({question_key(*q) for q in questions}) == len(questions)
    for version in (1, 2):
        asked = Counting(version)
        for _ in range(2):
            for images, prompt in questions:
                Kept(asked, tmp_path).caption(images, prompt)
        assert len(asked.asked) == len(questions)


def test_threads_that_ask_the_same_at_once_pay_once(tmp_path: Path):
    together = Barrier(8)
    asked = Counting(answer=lambda prompt: (sleep(0.02), "words")[1])
    kept = Kept(asked, tmp_path)

    def ask(_: int) -> str:
        together.wait()
        return kept.caption([picture()], "a")

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(ask, range(8))) == {"words"}
    assert asked.asked == ["a"]


def test_what_failed_is_not_kept(tmp_path: Path):
    def fail(prompt: str) -> str:
        raise Speechless("nothing")

    with pytest.raises(Speechless):
        Kept(Counting(answer=fail), tmp_path).caption([], "a")
    assert Kept(Counting(), tmp_path).caption([], "a") == "about a"


@pytest.mark.parametrize(
    "damage",
    [
        {"version": 2}, {"question": "x"}, {"text": ""}, {"text": 7}, {"text": "two\nlines"}, {"by": []},
        {"prompt": None},
        {"text": "long " * 1000},
    ],
    ids=str,
)  # fmt: skip
def test_a_damaged_file_is_named_not_believed(tmp_path: Path, damage: dict):
    kept = Kept(Counting(), tmp_path)
    kept.caption([], "a")
    path = kept.path(question_key([], "a"))
    path.write_text(json.dumps(json.loads(path.read_text()) | damage))
    with pytest.raises(FormatError, match=r"delete it") as caught:
        kept.caption([], "a")
    assert str(path) in str(caught.value)


def ask_all(url: str, folder: Path, count: int) -> list[str]:
    kept = Kept(Endpoint(EndpointSettings(url, "tiny", parallel=3)), folder)
    with ThreadPoolExecutor(3) as pool:
        return list(pool.map(lambda i: kept.caption([picture(i)], f"prompt {i}"), range(count)))


def test_after_kill_9_nothing_is_paid_twice(tmp_path: Path):
    count, before = 12, 5
    release = Event()

    def answer(asked: Asked, number: int) -> Reply:
        words = says(f"caption of {asked.prompt}")
        words.wait = release if number >= before else None
        return words

    with chat_server(answer) as server:
        child = get_context("fork").Process(target=ask_all, args=(server.url, tmp_path, count))
        child.start()
        while len(list(tmp_path.glob("??/*.json"))) < before:  # all that was answered is on disk; the rest hangs
            assert child.is_alive()
            sleep(0.01)
        while len(server.asked) < before + 3:
            sleep(0.01)
        os.kill(child.pid or 0, signal.SIGKILL)
        child.join()
        assert len(server.paid) == before
        server.answer = lambda asked, number: says(f"caption of {asked.prompt}")
        words = ask_all(server.url, tmp_path, count)
        assert len(server.paid) == len(set(server.paid)) == count
        release.set()
    assert words == [f"caption of prompt {i}" for i in range(count)]
    assert not list(tmp_path.glob("??/.*tmp*"))


def recorded(tmp_path: Path, name: str = "all.jsonl") -> tuple[Path, list[dict]]:
    kept = Kept(Counting(), tmp_path / "kept")
    for prompt in "abc":
        kept.caption([picture()], prompt)
    records = list(kept_records(tmp_path / "kept"))
    path = tmp_path / name
    path.write_text(json.dumps(records)) if path.suffix == ".json" else write_recorded(path, records)
    return path, records


@pytest.mark.parametrize("name", ["all.jsonl", "all.json"])
def test_a_recording_answers_what_the_model_answered_and_nothing_else(tmp_path: Path, name: str):
    path, records = recorded(tmp_path, name)
    replay = captioner(f"recorded:{path}")
    assert [replay.caption([picture()], prompt) for prompt in "abc"] == ["about a", "about b", "about c"]
    assert replay.provenance["made_by"] == [records[0]["by"]]
    for question in (([picture()], "d"), ([picture(1)], "a"), ([], "a")):
        with pytest.raises(EnvironmentProblem, match="no recorded caption"):
            replay.caption(*question)


def test_a_recording_that_contradicts_itself_or_is_damaged_is_refused(tmp_path: Path):
    path, records = recorded(tmp_path)
    lines = path.read_text().splitlines()
    other = json.dumps(records[0] | {"text": "something else"})
    for wrong in ([*lines, other], [*lines, "{"], [*lines, "[]"], [*lines, '"' + "x" * 2**18 + '"'], ["[" * 10**5]):
        path.write_text("\n".join(wrong))
        with pytest.raises(FormatError, match="line"):
            Recorded(path)
    path.write_text("\n".join([*lines, "", lines[0]]))  # the same record twice contradicts nothing
    assert Recorded(path).caption([picture()], "a") == "about a"
    for missing in (tmp_path / "none.jsonl", tmp_path):
        with pytest.raises(FormatError):
            Recorded(missing)
