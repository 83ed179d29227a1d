"""The OpenAI protocol against a server on loopback: what is sent, and what is made of every kind of answer."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from langfield.errors import EnvironmentProblem, FormatError, SettingsError
from langfield.suite.captions import captioner
from langfield.suite.captions.endpoint import Endpoint, retry_after_s
from langfield.suite.captions.endpoint_settings import EndpointSettings, read_endpoint
from langfield.suite.captions.retry import Retries, RetrySettings
from langfield.suite.captions.types import Speechless
from tests.suite.captions.clock import Clock
from tests.suite.captions.server import Reply, chat_server, says

QUICK = RetrySettings(tries=3, first_wait_s=0.001)


def endpoint(url: str, clock: Clock | None = None, **more) -> Endpoint:
    """An endpoint whose waits between attempts take no time."""
    clock = clock or Clock()
    return Endpoint(EndpointSettings(url, "tiny", retry=QUICK, **more), Retries(QUICK, clock, clock.sleep))


def picture(seed: int = 0, h: int = 20, w: int = 30) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (h, w, 3), np.uint8)


def test_pictures_arrive_in_order_bit_for_bit_before_the_prompt():
    images = [picture(0), picture(1, 33, 7)]
    with chat_server(lambda asked, n: says("A cup.")) as server:
        assert endpoint(server.url, max_tokens=77, temperature=0.5).caption(images, "What is it? {x}") == "A cup."
    (asked,) = server.asked
    assert all(np.array_equal(a, b) for a, b in zip(asked.pictures, images, strict=True))
    assert [part["type"] for part in asked.content] == ["image_url", "image_url", "text"]
    assert asked.prompt == "What is it? {x}"
    assert {k: asked.payload[k] for k in ("model", "max_tokens", "temperature")} == {
        "model": "tiny", "max_tokens": 77, "temperature": 0.5,
    }  # fmt: skip
    assert "authorization" not in asked.headers


def test_large_pictures_are_sent_smaller_in_the_same_shape():
    with chat_server(lambda asked, n: says("A cup.")) as server:
        endpoint(server.url, side_px=64).caption([picture(0, 100, 200)], "?")
    assert server.asked[0].pictures[0].shape == (32, 64, 3)


def test_a_question_in_words_alone_is_sent_as_a_string():
    with chat_server(lambda asked, n: says("yes")) as server:
        endpoint(server.url, limit_field="max_completion_tokens", temperature=None).caption([], "Is it?")
    assert server.asked[0].content == "Is it?"
    assert server.asked[0].payload["max_completion_tokens"] == 128
    assert not {"temperature", "max_tokens"} & set(server.asked[0].payload)


def test_the_key_is_sent_and_appears_nowhere_else(tmp_path: Path):
    (tmp_path / "key").write_text("sk-secret-word\n")

    def answer(asked, n):
        return Reply({"error": {"message": f"bad {asked.headers['authorization']}"}}, 401)

    with chat_server(answer) as server:
        asking = endpoint(server.url, key_file=tmp_path / "key")
        with pytest.raises(SettingsError, match="refuses the key") as caught:
            asking.caption([], "?")
    assert server.asked[0].headers["authorization"] == "Bearer sk-secret-word"
    assert len(server.asked) == 1
    for text in (
        str(caught.value),
        repr(asking.provenance),
        repr(asking.identity),
        asking.name,
        repr(asking._settings),
    ):
        assert "sk-secret" not in text


MALFORMED = {
    "no json": b"<html>busy</html>", "cut short": b'{"choices": [{"mess', "a list": b"[]", "no choices": {"error": "?"},
    "choices empty": {"choices": []}, "no message": {"choices": [{}]}, "content null": {"choices": [{"message": {}}]},
    "content a number": {"choices": [{"message": {"content": 7}}]}, "not utf-8": b"\xff\xfe\x00{",
    "deep": b"[" * 100_000,
    "says nothing": {"choices": [{"message": {"content": " ... \n"}}]}, "choices a dict": {"choices": {"0": 1}},
    "endless": {"choices": [{"message": {"content": "cup " * 600}}]}, "large": b" " * (2**20 + 1),
    "parts of no text": {"choices": [{"message": {"content": [{"type": "image"}, 3]}}]},
}  # fmt: skip


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_reply_is_asked_for_again(body):
    with chat_server(lambda asked, n: Reply(body) if n == 0 else says("A cup.")) as server:
        assert endpoint(server.url).caption([], "?") == "A cup."
    assert len(server.asked) == 2
    assert server.asked[0].payload == server.asked[1].payload


def test_malformed_to_the_end_is_speechless_and_says_why():
    with (
        chat_server(lambda asked, n: Reply(b"{}")) as server,
        pytest.raises(Speechless, match=r"cannot be used: it has no choices\[0\]"),
    ):
        endpoint(server.url).caption([], "?")
    assert len(server.asked) == 3


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504, 529])
def test_what_may_pass_is_tried_again(status: int):
    with chat_server(lambda asked, n: Reply(b"oops", status) if n < 2 else says("A cup.")) as server:
        assert endpoint(server.url).caption([], "?") == "A cup."
    assert len(server.asked) == 3


@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 413, 422])
def test_what_will_not_pass_is_not_tried_again(status: int):
    headers = {"Location": "/v1/chat/completions"}
    with (
        chat_server(lambda asked, n: Reply(b"no such model", status, headers)) as server,
        pytest.raises(SettingsError, match=f"status {status}.*no such model"),
    ):
        endpoint(server.url).caption([], "?")
    assert len(server.asked) == 1


def test_a_used_up_quota_is_not_waited_for():
    body = {"error": {"code": "insufficient_quota", "message": "pay first"}}
    with chat_server(lambda asked, n: Reply(body, 429)) as server, pytest.raises(EnvironmentProblem, match="quota"):
        endpoint(server.url).caption([], "?")
    assert len(server.asked) == 1


def test_the_wait_that_a_rate_limit_names_is_honoured():
    clock = Clock()
    with chat_server(lambda asked, n: Reply(b"", 429, {"Retry-After": "3"}) if n == 0 else says("A cup.")) as server:
        endpoint(server.url, clock).caption([], "?")
    assert clock.slept == [3]


def test_retry_after_is_read_as_seconds_or_date_and_else_ignored():
    assert retry_after_s({"retry-after": "2.5"}) == 2.5
    assert retry_after_s({"retry-after": "Thu, 26 Nov 2026 08:00:30 GMT"}, now_s=1795680000.0) == pytest.approx(30)
    assert retry_after_s({"retry-after": "Thu, 26 Nov 1998 08:00:30 GMT"}) == 0
    for nonsense in ({}, {"retry-after": "soon"}, {"retry-after": "-5"}, {"retry-after": "inf"}, {"retry-after": "²"}):
        assert retry_after_s(nonsense) == 0


@pytest.mark.parametrize("drip", [False, True], ids=["silent", "drips"])
def test_a_server_that_takes_too_long_is_left_and_asked_again(drip: bool):
    never = Event()

    def answer(asked, n):
        if n:
            return says("A cup.")
        return Reply(b" " * 1000, drip_s=0.05) if drip else Reply(b"", wait=never)

    with chat_server(answer) as server:
        assert endpoint(server.url, timeout_s=0.3).caption([], "?") == "A cup."
        never.set()
    assert len(server.asked) == 2


def test_nobody_there_is_said_with_the_address():
    with chat_server(lambda asked, n: says("A cup.")) as server:
        pass
    with pytest.raises(EnvironmentProblem, match="cannot be reached") as caught:
        endpoint(server.url).caption([], "?")
    assert server.url in str(caught.value)


def test_no_more_requests_at_once_than_allowed():
    def answer(asked, n):
        Event().wait(0.01)
        return says("A cup.")

    with chat_server(answer) as server:
        asking = endpoint(server.url, parallel=3)
        with ThreadPoolExecutor(12) as pool:
            list(pool.map(lambda i: asking.caption([], f"{i}"), range(24)))
    assert server.most_busy == 3
    assert len(server.asked) == 24


def test_costs_count_every_reply_received_and_only_counts():
    bodies = [says("..."), Reply(b"", 500), says("A cup.")]
    with chat_server(lambda asked, n: bodies[n]) as server:
        asking = endpoint(server.url, price_in=2.0, price_out=30.0)
        asking.caption([], "?")
    costs = asking.costs()
    assert (costs.requests, costs.captions, costs.tokens_in, costs.tokens_out) == (3, 1, 200, 20)
    assert costs.price == pytest.approx((200 * 2 + 20 * 30) / 1e6)
    odd = {"prompt_tokens": -4, "completion_tokens": "many"}
    with chat_server(lambda asked, n: says("A cup.", usage=odd)) as server:
        asking = endpoint(server.url)
        asking.caption([], "?")
    assert (asking.costs().tokens_in, asking.costs().tokens_out) == (0, 0)


def test_words_become_one_tidy_line():
    said = {
        '  "The cup\n is\tfull." ': "The cup is full.", "<think>Hm, red.\nCup?</think>A cup.": "A cup.",
        "A\x00 cup\x1b[31m.": "A cup [31m.",
    }  # fmt: skip
    for words, tidy in said.items():
        with chat_server(lambda asked, n, words=words: says(words)) as server:
            assert endpoint(server.url).caption([], "?") == tidy
    parts = [{"type": "text", "text": "The cup "}, {"type": "text", "text": "is full."}]
    with chat_server(lambda asked, n: says(parts)) as server:
        assert endpoint(server.url).caption([], "?") == "The cup is full."
    with chat_server(lambda asked, n: says("It is full. It stands on", finish_reason="length")) as server:
        assert endpoint(server.url).caption([], "?") == "It is full."


def test_settings_are_read_from_a_file_and_the_key_lies_beside_it(tmp_path: Path):
    (tmp_path / "key").write_text("word")
    data = {
        "base_url": "https://models.example/v1",
        "model": "m",
        "key_file": "key",
        "timeout_s": 5,
        "retry": {"tries": 2},
    }
    (tmp_path / "e.json").write_text(json.dumps(data))
    settings = read_endpoint(tmp_path / "e.json")
    assert settings.retry == RetrySettings(tries=2)
    assert settings.key() == "word"
    assert captioner(f"endpoint:{tmp_path / 'e.json'}").name == "endpoint:m"


WRONG = [
    {"base_url": "ftp://a/v1"}, {"base_url": "http://"}, {"base_url": "http://me:word@a/v1"}, {"model": ""},
    {"model": 7}, {"timeout_s": 0}, {"timeout_s": "5"}, {"timeout_s": True}, {"parallel": 0}, {"side_px": 1.5}, 
    {"temperature": -1},
    {"limit_field": "n"}, {"retry": 3}, {"retry": {"tries": 0}}, {"retry": {"more": 1}}, {"key": "sk"}, {"model": None},
    {"base_url": "http://models.example/v1", "key_file": "key"}, {"max_tokens": 10**9}, {"timeout_s": float("nan")},
]  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_settings_that_cannot_be_meant_are_refused(tmp_path: Path, wrong: dict):
    data = {"base_url": "http://127.0.0.1:1/v1", "model": "m"} | wrong
    (tmp_path / "e.json").write_text(json.dumps({k: v for k, v in data.items() if v is not None}))
    with pytest.raises(SettingsError):
        read_endpoint(tmp_path / "e.json")


@pytest.mark.parametrize("key", [b"", b"two words", b"line\nline", "schlüssel".encode(), b"x" * 5000])
def test_a_key_file_holds_one_word(tmp_path: Path, key: bytes):
    (tmp_path / "key").write_bytes(key)
    with pytest.raises(FormatError):
        replace(EndpointSettings("https://a/v1", "m"), key_file=tmp_path / "key").key()


@pytest.mark.parametrize("spec", ["", "endpoint", "endpoint:", "other:x", ":x"])
def test_a_captioner_of_no_known_kind_is_refused(spec: str):
    with pytest.raises(SettingsError, match="no captioner"):
        captioner(spec)
