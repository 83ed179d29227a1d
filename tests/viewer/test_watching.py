"""A run that trains is followed by its snapshots; Gaussians alone are shown; reading harms nobody."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from langfield.artefacts import write_json
from langfield.capture.types import Capture, Points
from langfield.errors import FormatError, LangfieldError
from langfield.field.ply import write_ply
from langfield.raster import Gaussians
from langfield.run import MANIFEST, SNAPSHOT, ManifestHead, open_run, write_snapshot
from langfield.settings import RunSettings
from langfield.viewer.app import ViewerApp, ViewerSettings
from langfield.viewer.asking import Asker
from langfield.viewer.watching import Snapshots, is_training, open_anything, splats_alone
from tests.viewer.scene import balls, made_up_run

HEAD = ManifestHead("key", RunSettings(), Path("data"))


def leave(folder: Path, count: int, with_language: bool = True) -> None:
    """Leave a snapshot of the first Gaussians, as training does."""
    made = made_up_run(with_language)
    rows = torch.arange(count)
    field = dataclasses.replace(
        made.field,
        gaussians=type(made.field.gaussians)(*(t[rows] for t in made.field.gaussians.tensors())),
        codes=made.field.codes[:, rows] if made.field.codes is not None else None,
    )
    capture = Capture(folder, made.frames, Points(torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.uint8)))
    write_snapshot(folder / SNAPSHOT, field, capture, HEAD, [f.name for f in made.frames])


def test_each_state_is_given_once_and_the_finished_run_last(tmp_path: Path):
    write_json(tmp_path / MANIFEST, {"state": "running", "version": 1})
    watch = Snapshots(tmp_path)
    assert is_training(tmp_path)
    assert watch.newer() is None
    leave(tmp_path, 100, with_language=False)
    first = open_anything(tmp_path, watch)
    assert first.field.codes is None
    assert watch.newer() is None
    leave(tmp_path, 200)
    os.utime(tmp_path / SNAPSHOT / MANIFEST, (1, 1))
    second = watch.newer()
    assert second is not None
    assert len(second.field.gaussians) == 200
    (tmp_path / SNAPSHOT / "codec.safetensors").write_bytes(b"just being replaced")
    os.utime(tmp_path / SNAPSHOT / MANIFEST, (2, 2))
    assert watch.newer() is None
    leave(tmp_path, 300)
    third = watch.newer()
    assert third is not None
    assert len(third.field.gaussians) == 300
    for file in (tmp_path / SNAPSHOT).iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    done = watch.newer()
    assert done is not None
    assert done.path == tmp_path
    assert watch.newer() is None


def test_a_page_follows_and_asks_again(tmp_path: Path):
    _, kind = balls()
    before = made_up_run(False, tmp_path)
    app = ViewerApp(made_up_run(path=tmp_path), ViewerSettings(port=0))
    app.start()
    try:
        app.ask("red ball")
        later = made_up_run(path=tmp_path)
        rows = torch.arange(1000, len(kind))
        field = dataclasses.replace(
            later.field,
            gaussians=type(later.field.gaussians)(*(t[rows] for t in later.field.gaussians.tensors())),
            codes=later.field.codes[:, rows] if later.field.codes is not None else None,
        )
        app.adopt(dataclasses.replace(later, field=field))
        assert app.desk.document.count == len(rows)
        query = app.desk.document.query
        assert query is not None
        assert query.text == "red ball"
        assert np.array_equal(query.lit, np.flatnonzero(kind[rows].numpy() == 1))
        app.adopt(before)
        assert app.desk.document.query is None
    finally:
        app.stop()


class Noting:
    """A lock that notes when somebody else than its maker comes to it."""

    def __init__(self) -> None:
        self._lock, self._maker, self.came = threading.RLock(), threading.get_ident(), threading.Event()

    def __enter__(self) -> None:
        if threading.get_ident() != self._maker:
            self.came.set()
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def smaller(run: Any, first: int) -> Any:
    """A run without its first Gaussians, as a later state of it."""
    gaussians = Gaussians(*(t[first:] for t in run.field.gaussians.tensors()))
    return dataclasses.replace(
        run, field=dataclasses.replace(run.field, gaussians=gaussians, codes=run.field.codes[:, first:])
    )


def test_a_later_state_waits_for_a_question_that_is_being_answered(tmp_path: Path, monkeypatch):
    _, kind = balls()
    app = ViewerApp(made_up_run(path=tmp_path), ViewerSettings(port=0))
    app.start()
    try:
        desk, asked, again, door = app.desk, Asker.ask, list[int](), Noting()
        monkeypatch.setattr(desk, "asking", door)
        answers = desk.asked_again
        monkeypatch.setattr(desk, "asked_again", lambda asker: again.append(1) or answers(asker))
        adopting = threading.Thread(target=lambda: app.adopt(smaller(made_up_run(path=tmp_path), 1000)))

        def meanwhile(self, *words):
            if not adopting.ident:
                adopting.start()
                assert door.came.wait(60)
                assert not again
            return asked(self, *words)

        monkeypatch.setattr(Asker, "ask", meanwhile)
        app.ask("red ball")
        adopting.join()
        assert again
        assert "⚠" not in desk.message, desk.message
        assert desk.document.count == len(kind) - 1000
        assert desk.document.query is not None
        assert np.array_equal(desk.document.query.lit, np.flatnonzero(kind[1000:].numpy() == 1))
    finally:
        app.stop()


def test_what_is_of_an_earlier_state_is_refused(tmp_path: Path):
    run = made_up_run(path=tmp_path)
    app = ViewerApp(run, ViewerSettings(port=0))
    app.start()
    try:
        desk, before = app.desk, app.desk.asker
        found, shows = before.ask("red ball"), desk.answer("green ball")
        app.adopt(run)  # as many Gaussians as before
        for late in (shows, lambda: desk.show(found, before)):
            with pytest.raises(LangfieldError, match="grown meanwhile"):
                late()
        app.adopt(smaller(run, 1000))
        with pytest.raises(LangfieldError, match="changed meanwhile"):
            desk.select(np.array([0, desk.document.count]), "replace")
        assert not len(desk.document.selection)
    finally:
        app.stop()


def test_what_was_cleared_meanwhile_does_not_come_back(tmp_path: Path, monkeypatch):
    run = made_up_run(path=tmp_path)
    app = ViewerApp(run, ViewerSettings(port=0))
    app.start()
    try:
        desk = app.desk
        app.ask("red ball")
        answers = desk.asked_again

        def cleared(asker: Asker) -> Any:
            found = answers(asker)
            desk.clear()
            return found

        monkeypatch.setattr(desk, "asked_again", cleared)
        app.adopt(smaller(run, 1000))
        assert desk.document.queries == ()
        assert desk.document.count == len(run.field.gaussians) - 1000
    finally:
        app.stop()


def test_gaussians_alone_are_shown(tmp_path: Path):
    write_ply(tmp_path / "scene.ply", balls(100, 200)[0])
    run = open_anything(tmp_path / "scene.ply")
    app = ViewerApp(run, ViewerSettings(port=0))
    app.start()
    try:
        assert len(app.scene.rgb) == 500
        app.ask("red ball")
        assert app.panels is not None
        assert "no language part" in app.panels.status.message.content
        app.desk.select(np.arange(50), "replace")
        app.desk.keep_selection("some")
        assert app.panels.select.named.options == ("some",)
        assert sorted(p.name for p in tmp_path.iterdir()) == ["scene.langfield", "scene.ply"]
    finally:
        app.stop()
    (tmp_path / "bad.ply").write_bytes(b"ply\nnothing")
    with pytest.raises(FormatError):
        splats_alone(tmp_path / "bad.ply")


def test_watching_neither_changes_nor_stops_the_one_who_writes(tmp_path: Path):
    """A trainer writes as fast as it can; a viewer process watches and is killed; every write succeeds."""
    write_json(tmp_path / MANIFEST, {"state": "running", "version": 1})
    leave(tmp_path, 50)
    code = (
        "import sys, time; from pathlib import Path; from langfield.viewer.watching import Snapshots\n"
        "watch = Snapshots(Path(sys.argv[1])); print('watching', flush=True)\n"
        "while True: watch.newer()\n"
    )
    watcher = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    assert watcher.stdout is not None
    watcher.stdout.readline()
    killer = threading.Timer(0.5, watcher.kill)
    killer.start()
    for count in range(60, 110):
        leave(tmp_path, count)
    killer.join()
    watcher.wait()
    assert len(open_run(tmp_path / SNAPSHOT).field.gaussians) == 109
    assert {p.name for p in tmp_path.iterdir()} == {MANIFEST, SNAPSHOT}
    assert not list((tmp_path / SNAPSHOT).glob(".*"))
