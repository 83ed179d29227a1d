"""The gate's decisions, one by one: keys, origins, hosts, rates, roles, and messages nobody's page sends."""

from __future__ import annotations

from typing import Any

import msgspec.msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langfield.viewer.gate import ACT, LOOK, Bucket, Door, Gate, Key, Knock, Limits, Refusal, is_this_machine
from tests.viewer.wire import packed

HOST = "127.0.0.1:7007"


class Clock:
    """A clock that stands still until told."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def knock(secret: str | None, target: str = "/", **headers: str) -> Knock:
    """A socket handshake of this machine's own page, or with the given headers instead."""
    usual = {"host": HOST, "upgrade": "websocket", "origin": f"http://{HOST}"}
    given = {k: [v] for k, v in {**usual, **headers}.items() if v}
    if secret is not None:
        target += f"?token={secret}"
    return Knock(target, given)


def test_a_key_opens_and_nothing_else_does():
    gate = Gate()
    secret = gate.owner.secret
    assert gate.admit(knock(secret)) == gate.owner
    assert gate.admit(knock(None, cookie=f"a=b; {gate.cookie}={secret}")) == gate.owner
    for wrong in (None, "", secret[:-1], secret + "x", secret.swapcase(), "ä" * 32, "x" * 5000):
        found = gate.admit(knock(wrong))
        assert isinstance(found, Refusal)
        assert found.status == 403
    assert isinstance(gate.admit(knock(None, cookie=f"langfield_00000000={secret}")), Refusal)
    assert len({Gate().owner.secret for _ in range(50)}) == 50
    assert len(secret) >= 32


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:8000", "http://localhost:7007", "file://"]
)
def test_a_page_of_another_origin_is_refused_even_with_the_key(origin: str):
    gate = Gate()
    found = gate.admit(knock(gate.owner.secret, origin=origin))
    assert isinstance(found, Refusal)
    assert "origin" in found.reason


@pytest.mark.parametrize(
    ("host", "ours"),
    [("127.0.0.1:7007", True), ("localhost:9", True), ("[::1]:7007", True), ("evil.example:7007", False),
     ("127.0.0.1.evil.example", False), ("10.0.0.1", False), ("", False), ("[", False),
     ("localhost@evil.example", False)],
)  # fmt: skip
def test_names_of_this_machine(host: str, ours: bool):
    assert is_this_machine(host) == ours
    gate = Gate()
    admitted = gate.admit(knock(gate.owner.secret, host=host or " ", origin=f"http://{host}"))
    assert isinstance(admitted, Key) == ours
    if host.startswith("10."):
        assert Gate(loopback=False).admit(knock("x", host=host, origin="")) == Refusal(
            403, "the address lacks its token; open the one printed in the terminal"
        )


def test_a_link_expires_and_never_grows():
    clock = Clock()
    gate = Gate(clock=clock)
    key = gate.issue("reader", 5)
    assert gate.admit(knock(key.secret)) == key
    door = Door(gate, key, clock)
    assert door.judge(packed("ViewerCameraMessage")) is None
    clock.now += 299
    assert gate.admit(knock(key.secret)) == key
    clock.now += 1
    assert "expired" in getattr(gate.admit(knock(key.secret)), "reason", "")
    assert "expired" in getattr(door.judge(packed("ViewerCameraMessage")), "reason", "")
    for _ in range(100):
        gate.issue("reader", 0)
    assert len(gate._keys) <= 3


def test_no_more_pages_than_allowed():
    gate = Gate(limits=Limits(clients=2))
    gate.inside = 2
    assert gate.admit(knock(gate.owner.secret)) == Refusal(503, "2 pages are open already")
    assert gate.admit(knock(gate.owner.secret, upgrade="")) == gate.owner


def test_a_reader_only_looks():
    gate = Gate()
    reader, owner = Door(gate, gate.issue("reader", None)), Door(gate, gate.owner)
    upload = {"transfer_uuid": "u", "size_bytes": 9, "part_count": 1, "part_index": 0, "content": bytes(9)}
    for kind in sorted(LOOK | ACT, reverse=True):  # an upload's start before its part
        fields: dict[str, Any] = {"updates": {"value": 1}} if kind == "GuiUpdateMessage" else upload
        assert owner.judge(packed(kind, **fields)) is None, kind
        found = reader.judge(packed(kind, **fields))
        assert (found is None) == (kind in LOOK), kind


def test_a_bucket_keeps_its_rate():
    clock = Clock()
    bucket = Bucket(10, clock)
    passed = 0
    for _ in range(1000):
        passed += bucket.take()
        clock.now += 0.01
    assert 100 <= passed <= 111


def test_of_a_flood_only_the_first_second_passes_and_other_pages_lose_nothing(capsys: pytest.CaptureFixture[str]):
    """200 questions a second for 3 s on one page, 8 a second on another, which gets all of them through."""
    clock, gate = Clock(), Gate()
    attacker, calm = Door(gate, gate.owner, clock), Door(gate, gate.owner, clock)
    ask, passed, served = packed("GuiFormSubmitMessage", uuid="u"), 0, 0
    for i in range(600):
        clock.now += 1 / 200
        refusal = attacker.judge(ask)
        passed += refusal is None
        if refusal is not None:
            assert refusal.status == 429
            gate.log.note(refusal)
        if i % 25 == 0:
            served += calm.judge(ask) is None
    assert passed == 10
    assert served == 24
    assert gate.log.counts.total() == 600 - passed
    said = capsys.readouterr().err.splitlines()
    assert len(said) == len(set(said)) == len(gate.log.counts) == 2  # too many messages, too many questions
    clock.now += 0.11
    assert attacker.judge(ask) is None  # after a pause it may ask again


def test_what_a_page_may_not_say():
    gate = Gate()
    door = Door(gate, gate.owner)
    long, deep = "x" * 3000, {"a": {"a": {"a": {"a": {"a": {"a": {"a": 1}}}}}}}
    for message, status in [
        (packed("RunJavascriptMessage", source="alert(1)"), 400), (packed("ShareUrlRequest"), 400),
        (packed("GuiUpdateMessage", uuid="u", updates={"update_cb": 1}), 403),
        (packed("GuiUpdateMessage", uuid="u", updates={"value": long}), 403),
        (packed("GuiUpdateMessage", uuid="u", updates={"value": float("nan")}), 403),
        (packed("GuiUpdateMessage", uuid="u", updates={"value": deep}), 403),
        (packed("GuiUpdateMessage", uuid="u", updates=[1]), 403),
        (packed("FileTransferStartUpload", size_bytes=2**30), 413),
        (packed("FileTransferStartUpload", size_bytes="many"), 413),
        ("text", 400), (b"\xc1", 400), (b"", 400), (b"\x93\x01\x02\x03", 400),
    ]:  # fmt: skip
        found = door.judge(message)
        assert found is not None
        assert found.status == status, message


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(st.binary() | ANYTHING.map(msgspec.msgpack.encode))
def test_whatever_comes_is_judged_without_an_error(raw: bytes):
    gate = Gate()
    found = Door(gate, gate.owner).judge(raw)
    assert found is not None


@given(
    st.sampled_from(sorted(LOOK | ACT)),
    st.dictionaries(st.sampled_from(["uuid", "updates", "size_bytes", "part_count", "transfer_uuid", "x"]), ANYTHING),
)
def test_true_kinds_with_any_content_are_judged_without_an_error(kind: str, fields: dict[str, Any]):
    gate = Gate()
    found = Door(gate, gate.owner).judge(packed(kind, **fields))
    assert found is None or found.status in (403, 413, 429)


@given(
    st.dictionaries(
        st.sampled_from(["host", "origin", "cookie", "upgrade"]), st.lists(st.text(max_size=30), min_size=1)
    ),
    st.text(max_size=60),
)
def test_no_header_or_target_opens_by_luck(headers: dict[str, list[str]], target: str):
    assert isinstance(Gate().admit(Knock(target, headers)), Refusal)
