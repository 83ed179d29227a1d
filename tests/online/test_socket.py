"""Frames over a loopback socket: all of them in order, one sender with the token, and no sender stops the stream."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from langfield.capture.rgbd import RgbdFrame
from langfield.errors import EnvironmentProblem, FormatError, SettingsError
from langfield.online import wire
from langfield.online.socket import HOST, SocketSettings, SocketSource, send_frames
from tests.online.frames import frame

QUICK = SocketSettings(greet_s=0.5, message_s=0.6, absent_s=5)


class Frames:
    """Frames in memory as a stream; an error among them is raised."""

    name, unit, count = "frames", "metre", None

    def __init__(self, items: list[RgbdFrame | FormatError]) -> None:
        self.items = items

    def __iter__(self) -> Iterator[RgbdFrame]:
        return map(self.give, range(len(self.items)))

    def give(self, k: int) -> RgbdFrame:
        item = self.items[k]
        if isinstance(item, FormatError):
            raise item
        return item


def frames(count: int, start: int = 0) -> Frames:
    return Frames([frame(i) for i in range(start, start + count)])


def sending(source: SocketSource, what: Frames) -> threading.Thread:
    thread = threading.Thread(target=send_frames, args=(source.address, source.token, what))
    thread.start()
    return thread


class Talker:
    """A sender that says whatever a test wants."""

    def __init__(self, source: SocketSource, greeting: dict | None = None) -> None:
        self.connection = socket.create_connection(source.address, 5)
        self.connection.sendall(wire.pack(greeting or {"langfield": 1, "token": source.token}))

    def hear(self) -> dict:
        def receive(count: int) -> bytes:
            data = b""
            while len(data) < count:
                piece = self.connection.recv(count - len(data))
                if not piece:
                    raise EOFError
                data += piece
            return data

        return wire.read_header(receive)

    def say(self, data: bytes) -> dict:
        self.connection.sendall(data)
        return self.hear()


def test_every_frame_arrives_once_in_order_bit_for_bit():
    with SocketSource(settings=QUICK) as source:
        thread = sending(source, frames(20))
        found = list(source)
        thread.join()
    assert [f.index for f in found] == list(range(20))
    assert all((f.image == frame(f.index).image).all() for f in found)
    assert source.ending == "the sender said it was the end"


def test_only_this_machine_can_knock():
    with SocketSource(settings=QUICK) as source:
        assert source.address[0] == HOST == "127.0.0.1"
        with pytest.raises(EnvironmentProblem, match="port"):
            SocketSource(settings=replace(QUICK, port=source.address[1]))
    for token, settings in (("short", QUICK), (None, replace(QUICK, room=0))):
        with pytest.raises(SettingsError):
            SocketSource(token, settings)


@pytest.mark.parametrize(
    "greeting",
    [
        {"langfield": 1, "token": "wrong" * 8},
        {"langfield": 1},
        {"langfield": 1, "token": None},
        {"token": "ümläut" * 9},
    ],
)
def test_without_the_token_nobody_gets_in(greeting: dict):
    with SocketSource(settings=QUICK) as source:
        stranger = Talker(source, greeting)
        assert "token" in stranger.hear()["error"]
        with pytest.raises((EOFError, ConnectionError)):
            stranger.say(wire.message(frame()))
        thread = sending(source, frames(2))
        assert len(list(source)) == 2
        thread.join()


def test_another_version_is_told_so():
    with SocketSource(settings=QUICK) as source:
        assert "version 1" in Talker(source, {"langfield": 2, "token": source.token}).hear()["error"]


def test_a_second_sender_is_sent_away_and_the_first_goes_on():
    with SocketSource(settings=QUICK) as source:
        first = Talker(source)
        assert first.hear() == {"langfield": 1}
        with pytest.raises(EnvironmentProblem, match="another sender"):
            send_frames(source.address, source.token, frames(1))
        assert first.say(wire.message(frame(3))) == {"taken": 3}
        assert next(source).index == 3


def test_a_sender_may_go_and_come_back():
    with SocketSource(settings=QUICK) as source:
        first = Talker(source)
        first.hear()
        first.say(wire.message(frame(0)))
        first.connection.sendall(wire.message(frame(1))[:5000])  # dies in the middle of a frame
        first.connection.close()
        time.sleep(0.3)
        thread = sending(source, frames(3, start=1))
        assert [f.index for f in source] == [0, 1, 2, 3]
        thread.join()


def test_a_slow_map_slows_the_sender():
    with SocketSource(settings=replace(QUICK, room=2)) as source:
        thread = sending(source, frames(8))
        time.sleep(0.5)
        assert thread.is_alive()
        assert source._frames.qsize() == 2
        assert len(list(source)) == 8
        thread.join()


def test_who_dawdles_is_dropped_and_others_get_in():
    with SocketSource(settings=QUICK) as source:
        silent = [socket.create_connection(source.address, 5) for _ in range(6)]  # more than are let in at once
        time.sleep(0.9)
        slow = Talker(source)
        slow.hear()
        slow.connection.sendall(wire.message(frame())[:10])  # and then nothing
        time.sleep(1.0)
        thread = sending(source, frames(2))
        assert len(list(source)) == 2
        thread.join()
        for connection in silent:
            connection.close()


def test_a_picture_that_cannot_be_decoded_is_refused_and_the_next_is_taken():
    bad = wire.message(frame(1), "png")
    at = bad.index(b"IDAT")
    bad = bad[: at + 8] + bytes(20) + bad[at + 28 :]
    with SocketSource(settings=QUICK) as source:
        sender = Talker(source)
        sender.hear()
        assert sender.say(wire.message(frame(0))) == {"taken": 0}
        assert "0001.png" in sender.say(bad)["refused"]
        assert sender.say(wire.message(frame(2))) == {"taken": 2}
        assert next(source).index == 0
        with pytest.raises(FormatError, match=r"0001\.png"):
            next(source)
        assert next(source).index == 2


@pytest.mark.parametrize("junk", [b"GET / HTTP/1.1\r\n\r\n", struct.pack(">I", 2) + b"{}", bytes(4), b"\xff" * 50])
def test_junk_is_answered_with_an_error_and_the_door_stays_open(junk: bytes):
    with SocketSource(settings=QUICK) as source:
        sender = Talker(source)
        sender.hear()
        assert sender.say(junk)["error"]
        with pytest.raises(FormatError):
            next(source)
        thread = sending(source, frames(1))
        assert [f.index for f in source] == [0]
        thread.join()


def test_what_the_sender_cannot_read_is_left_out_and_said():
    broken = replace(frame(1), time_s=float("nan"))
    with SocketSource(settings=QUICK) as source:
        result = []
        items = Frames([frame(0), FormatError("picture is gone"), broken, frame(2)])
        thread = threading.Thread(target=lambda: result.append(send_frames(source.address, source.token, items)))
        thread.start()
        assert [f.index for f in source] == [0, 2]
        thread.join()
    taken, complaints = result[0]
    assert taken == 2
    assert "picture is gone" in complaints[0]
    assert "not finite" in complaints[1]


def test_nobody_coming_ends_the_stream_with_a_reason():
    with SocketSource(settings=replace(QUICK, absent_s=0.3)) as source:
        assert list(source) == []
        assert source.ending == "no frame came for 0.3 s"
    with pytest.raises(EnvironmentProblem, match="receiver is running"):
        send_frames(source.address, source.token, frames(1))


def test_closing_sends_the_sender_away():
    source = SocketSource(settings=QUICK)
    failed = []

    def send() -> None:
        try:
            send_frames(source.address, source.token, frames(50))
        except EnvironmentProblem as error:
            failed.append(str(error))

    thread = threading.Thread(target=send)
    thread.start()
    assert next(source).index == 0
    source.close()
    thread.join(5)
    assert failed
