"""A viewer beside a real ns-train: it follows, it is killed, and the field is the one that training alone makes."""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import torch
import viser
import zstandard
from websockets.sync.client import connect

from langfield.artefacts import read_json, write_json
from langfield.commands.view import view
from langfield.field.language import LanguageSettings
from langfield.plugin.trainer import LangsplatTrainer
from langfield.run import MANIFEST, SNAPSHOT
from langfield.viewer.watching import locate
from tests.plugin.driving import SETTINGS, tiny_config, train
from tests.tiny import write_tiny_scene
from tests.viewer.browser import until
from tests.viewer.wire import greet

STEPS = 300


def in_child(work: Callable[[], object]) -> int:
    """Do something in a child process (a fork, so that the imports are paid once) and give its number."""
    number = os.fork()
    if number == 0:
        code = 1
        try:
            torch.set_num_threads(1)  # threads of the parent do not survive a fork
            work()
            code = 0
        finally:
            os._exit(code)
    return number


def train_tiny(scene: Path, out: Path, awaited: Sequence[Path]) -> None:
    """Train; where a share of the steps is done this waits, 200 s at most, for a file, lest it outrun the test."""
    train_step = LangsplatTrainer.train_iteration

    def patient(self: LangsplatTrainer, step: int) -> object:
        for i, file in enumerate(awaited, 1):
            end = time.monotonic() + 200
            while step == i * STEPS // 3 and not file.exists() and time.monotonic() < end:
                time.sleep(0.02)
        return train_step(self, step)

    LangsplatTrainer.train_iteration = patient
    photometric = dataclasses.replace(SETTINGS.photometric, steps=STEPS)
    train(tiny_config(scene, out, photometric=photometric, language=LanguageSettings()))


def view_saying(folder: Path, said: Path) -> None:
    """Do `langfield view FOLDER`, with what it says in a file."""
    with said.open("w", buffering=1) as file, redirect_stdout(file), redirect_stderr(file):
        view(folder, port=0)


def follow(address: str, awaited: bytes) -> None:
    """Be a page until something of this name is sent."""
    port, token = re.findall(r":(\d+)/\?token=([\w-]+)", address)[0]
    protocol = f"viser-v{viser.__version__}"
    with connect(f"ws://127.0.0.1:{port}/?token={token}", subprotocols=[protocol], max_size=2**28) as page:  # pyright: ignore
        greet(page)
        while awaited not in unpacked(page.recv(timeout=300)):  # pyright: ignore
            pass


def unpacked(message: bytes) -> bytes:
    """Give what a message says apart from its arrays: compressed, after two numbers of 8 bytes."""
    return zstandard.ZstdDecompressor().decompressobj().decompress(message[16:])


def test_a_viewer_beside_training(tmp_path: Path):
    scene = write_tiny_scene(tmp_path / "scene")
    alone, beside, opened, seen = (tmp_path / name for name in ("alone", "beside", "opened", "seen"))
    numbers = [
        in_child(lambda: train_tiny(scene, alone, ())),
        in_child(lambda: train_tiny(scene, beside, (opened, seen))),
    ]
    folder, said = beside / "outputs" / "scene", tmp_path / "said"
    until(lambda: next(folder.glob(f"*/*/{MANIFEST}"), None) is not None, seconds=300)
    viewer = in_child(lambda: view_saying(folder, said))
    try:
        until(lambda: said.exists() and "token=" in said.read_text(), lambda: said.exists() and said.read_text(), 300)
        opened.touch()
        follow(said.read_text(), b"/splats_1")
        (manifest,) = folder.glob(f"*/*/{MANIFEST}")
        assert read_json(manifest)["state"] == "running"
    finally:
        os.kill(viewer, signal.SIGKILL)
        os.waitpid(viewer, 0)
        opened.touch()
        seen.touch()
        assert [os.waitpid(number, 0)[1] for number in numbers] == [0, 0]
    results = [next(out.glob("outputs/*/*/*/field.safetensors")) for out in (alone, beside)]
    assert results[0].read_bytes() == results[1].read_bytes()
    assert locate(folder) == manifest.parent
    assert not (manifest.parent / SNAPSHOT).exists()


def test_of_the_runs_in_a_folder_the_newest_that_shows_something_is_meant(tmp_path: Path):
    def leave(name: str, state: str, at: int, has_snapshot: bool = False) -> Path:
        run = tmp_path / "scene" / "langsplat" / name
        write_json(run / MANIFEST, {"state": state})
        if has_snapshot:
            write_json(run / SNAPSHOT / MANIFEST, {"state": "finished"})
        os.utime(run / MANIFEST, (at, at))
        return run

    assert locate(tmp_path / "scene") == tmp_path / "scene"
    first = leave("first", "running", 10)
    assert locate(tmp_path / "scene") == first
    done = leave("done", "finished", 5)
    assert locate(tmp_path / "scene") == done
    leave("first", "running", 10, has_snapshot=True)
    assert locate(tmp_path / "scene") == first
    assert locate(tmp_path) == first
    assert locate(done) == done
    assert locate(first / "config.yml") == first
    newer = leave("newer", "finished", 20)
    assert locate(tmp_path / "scene") == newer
