"""Query, Teach, Find and Diagnose in a real browser, on four things in the space of a toy CLIP that knows them."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from langfield.cli import main
from langfield.run import CAPTIONS, open_run
from langfield.suite.captions.store import Captions, ObjectCaptions, write_captions
from langfield.viewer.app import ViewerApp, ViewerSettings
from langfield.viewer.asking import Encoders
from langfield.viewer.methods import Methods
from langfield.viewer.panels.select import look_of
from langfield.viewer.rows import frozen
from tests.suite_run import suite_run
from tests.tiny import BALLS, ball_centres, tiny_gaussians
from tests.viewer.browser import field_of, question_of, tab_of, until
from tests.viewer.test_picking import place

THING = tiny_gaussians()[1]
RED, GREEN, BLUE = (np.flatnonzero(number == THING) for number in range(3))
assert tuple(BALLS) == ("red ball", "green ball", "blue ball")


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ViewerApp]:
    folder = tmp_path_factory.mktemp("outputs") / "balls" / "langsplat"
    suite_run(folder / "later", seed=1)
    page = ViewerApp(open_run(suite_run(folder / "first")), ViewerSettings(port=0))
    page.start()
    yield page
    page.stop()


class Hand:
    """Presses, writes and clicks."""

    def __init__(self, app: ViewerApp, tab: Any) -> None:
        self.app, self.tab = app, tab

    def press(self, label: str) -> None:
        self.tab.get_by_role("button", name=label, exact=True).locator("visible=true").click()

    def go_to(self, name: str) -> None:
        self.tab.get_by_role("tab", name=name).click()

    def unfold(self, title: str) -> None:
        self.tab.get_by_text(title, exact=True).locator("visible=true").click()

    def choose(self, label: str, option: str) -> None:
        field_of(self.tab, label).click()
        self.tab.get_by_role("option", name=option, exact=True).click()

    def click(self, ball: int) -> None:
        """Click a ball where it is seen, and wait until it is selected."""
        server = self.app._server
        assert server is not None
        look, box = look_of(server.get_clients()[max(server.get_clients())]), self.tab.locator("canvas").first
        toward = np.asarray(look.position) - ball_centres()[ball]
        across, down = place(look, ball_centres()[ball] + 0.3 * toward / np.linalg.norm(toward))
        at = box.bounding_box()
        self.tab.mouse.click(at["x"] + across * at["width"], at["y"] + down * at["height"], delay=150)
        wanted = np.flatnonzero(ball == THING)
        until(lambda: np.array_equal(self.app.desk.document.selection, wanted), lambda: self.app.desk.message)


def lit(app: ViewerApp) -> list[int]:
    query = app.desk.document.query
    return [] if query is None else query.lit.tolist()


def test_a_person_queries_teaches_finds_and_diagnoses(app: ViewerApp, browser: Any):
    desk = app.desk
    with tab_of(browser, 900, 560) as tab:
        hand = Hand(app, tab)
        tab.goto(app.url)
        question_of(tab).wait_for()
        ask_by_a_method(hand)
        teach_and_keep(hand)
        find_and_link(hand)
        hand.go_to("Diagnose")
        hand.unfold("What counts as blind")
        tab.get_by_role("slider").locator("visible=true").first.press("Home")
        hand.press("Look for blind pairs")
        pair = tab.get_by_role("button", name=re.compile(r"\(\d\), .*\(\d\): ")).first
        pair.click()
        until(lambda: len(desk.document.selection) > len(RED))
        assert not desk.message.startswith("⚠"), desk.message


def ask_by_a_method(hand: Hand) -> None:
    tab, desk = hand.tab, hand.app.desk
    hand.unfold("How words are read")
    hand.choose("Method", "laclip")
    hand.press("Use this")
    until(lambda: desk.by is not None)
    box = question_of(tab)
    box.fill("red circle")
    box.press("Enter")
    until(tab.get_by_text("method laclip").first.is_visible, lambda: desk.message)
    query = desk.document.query
    assert query is not None
    assert set(query.thing.rows.tolist()) <= set(RED.tolist())


def teach_and_keep(hand: Hand) -> None:
    tab, desk = hand.tab, hand.app.desk
    hand.go_to("Teach")
    hand.press("Learn")
    tab.get_by_text("nothing was shown", exact=False).first.wait_for()
    hand.click(0)
    field_of(tab, "Name").fill("gadget")
    hand.press("This is it")
    tab.get_by_text("Examples: 1 of gadget.").wait_for()
    for number, other in enumerate((1, 2), 1):
        hand.click(other)
        hand.press("This is not")
        tab.get_by_text(f"Examples: 1 of gadget, {number} of something else.").wait_for()
    hand.press("Learn")
    tab.get_by_text("gadget: found, 250 Gaussians").wait_for()
    assert lit(hand.app) == RED.tolist()
    hand.press("Keep what was learnt")
    tab.get_by_text("Kept as gadget (gda).").wait_for()
    assert list(Path(desk.run.path).glob("heads/gadget-*.safetensors"))
    desk.clear()
    hand.press("Ask for it")
    until(lambda: lit(hand.app) == RED.tolist())


def find_and_link(hand: Hand) -> None:
    tab, desk, methods = hand.tab, hand.app.desk, hand.app.desk.methods
    hand.go_to("Find")
    hand.click(2)
    hand.press("Find what is like the clicked thing")
    tab.get_by_role("button", name=re.compile(r"\(thing \d\): ")).nth(1).click()
    until(lambda: desk.document.selection.tolist() in (RED.tolist(), GREEN.tolist()))
    hand.unfold("Another run")
    hand.choose("Run", "balls/langsplat/later")
    hand.press("Link its things to these")
    mine = next(i for i in range(4) if np.array_equal(methods.rows_of(i), BLUE))
    tab.get_by_role("button", name=re.compile(rf"\({mine}\) = .* \({mine}\): ")).click()
    tab.get_by_text(f"There it is thing {mine} ", exact=False).first.wait_for()
    assert desk.document.selection.tolist() == BLUE.tolist()


def asked(capsys: pytest.CaptureFixture[str], *words: object) -> Any:
    """What a command prints as JSON."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        main([*map(str, words), "--json"])
    assert not stop.value.code
    return json.loads(capsys.readouterr().out)


def test_heads_go_from_the_command_to_the_page_and_back(app: ViewerApp, capsys: pytest.CaptureFixture[str]):
    desk, panels = app.desk, app.panels
    assert panels is not None
    red = desk.methods.thing_of(frozen(RED))
    report = asked(capsys, "teach", desk.run.path, f"чашка={red}")
    desk.refresh()
    name = next(name for name in panels.teach.kept.options if name.startswith("чашка"))
    panels.teach.kept.value = name
    panels.teach.ask_kept()
    assert lit(app) == RED.tolist()
    desk.select(frozen(GREEN), "replace")
    taught = panels.teach.taught
    taught.forget_all()
    taught.point_out("чашка")
    taught.learn("gda")()
    assert lit(app) == GREEN.tolist(), "a single name is told from the scene's other things"
    taught.keep()
    answer = asked(capsys, "query", desk.run.path, "--head", report["head"])
    assert answer["instance"] == desk.methods.thing_of(frozen(GREEN)), "of the same names, it takes the other's place"
    taught.forget(name)
    assert not Path(report["head"]).exists()


def methods_of(folder: Path) -> Methods:
    run = open_run(folder)
    return Methods(run, Encoders(run.text_encoder, run.image_encoder))


def test_what_is_like_a_thing_is_no_part_of_it_and_was_seen_often(tmp_path: Path):
    run = open_run(suite_run(tmp_path / "like"))
    things = run.field.instances
    assert things is not None
    part = things.rows[things.first[1] : things.first[1] + 40]  # of the red ball, the most like it of all
    more = dataclasses.replace(
        things, vectors=things.vectors[[0, 1, 2, 3, 1, 1]], views=torch.tensor([9, 9, 9, 9, 9, 2]).int(),
        reliability=torch.ones(6), first=torch.cat([things.first, things.first[-1] + torch.tensor([40, 41])]),
        rows=torch.cat([things.rows, part, things.rows[:1]]),
    )  # fmt: skip
    field = dataclasses.replace(run.field, instances=more)
    methods = Methods(dataclasses.replace(run, field=field), Encoders(run.text_encoder, run.image_encoder))
    assert {row["thing"] for row in methods.find_like(frozen(RED))} == {0, 2, 3}
    assert 4 in {row["thing"] for row in methods.find_like(frozen(GREEN))}
    found = {row["thing"] for row in methods.find("a red circle", names=["red circle"], most=9)}
    assert found == {0, 1, 2, 3, 4}, "what two views saw is left out where others are seen by nine"


def test_things_are_called_as_captions_call_them(tmp_path: Path):
    run = suite_run(tmp_path / "said")
    said = Captions((ObjectCaptions(2, "billiard <ball>", "", {}),), provenance={})
    methods = methods_of(run)
    plain = [row["name"] for row in methods.find_like(frozen(GREEN))]
    write_captions(run / CAPTIONS, said)
    methods = methods_of(run)
    found = {row["thing"]: row["name"] for row in methods.find_like(frozen(GREEN))}
    assert found[1] == "billiard <ball>"
    assert "billiard <ball>" not in plain
    pairs = methods.blind("colour", "mmvp:same=-1,apart=1")
    assert {text for row in pairs for key, text in zip("ab", row["texts"], strict=True) if row[key] == 1} == {found[1]}
    assert {row["name"] for row in methods.link(methods) if row["thing"] == 1} == {found[1]}
    given = methods.find("a red circle", names=["red circle"])
    assert {row["name"] for row in given} == {"red circle"}, "names that were given count"
