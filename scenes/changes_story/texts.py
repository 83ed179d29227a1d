"""Captions to train from, a tenth of them false; questions to be judged by; and the states behind both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from changes_story.labels import compact
from changes_story.story import ACTORS, STEPS, Actor, still_things
from changes_story.words import FRAME_ENDINGS, QUESTIONS, STILL, STILL_WRONG, WORDS
from langfield.artefacts import write_bytes, write_json

SEEN_PIXELS = 40
"""A thing that shows fewer has no caption in that frame."""
WRONG_SHARE = 0.1


def write_texts(out: Path, seed: int) -> None:
    """Write states.json, captions.json, queries.json and 4D LangSplat's video_annotations.json."""
    rng = np.random.default_rng(seed)
    asked = queries(rng)
    write_bytes(out / "states.json", compact(states()))
    write_bytes(out / "captions.json", compact({"version": 1, "objects": captions(out / "masks", rng)}))
    write_bytes(out / "queries.json", compact({"version": 1, "steps": STEPS, "queries": asked}))
    for name, kind in (("video_annotations.json", "keyword"), ("video_annotations_sentences.json", "sentence")):
        table: dict[str, Any] = {actor.name: {} for actor in ACTORS}
        for query in asked:
            if query["kind"] == kind:
                table[query["object"]][query["text"]] = query["intervals"]
        write_json(out / "annotations" / name, table)


def states() -> dict[str, Any]:
    """Give, per thing, every state with its intervals (first and last step, both included)."""
    objects = [
        {"name": a.name, "instance": k + 1, "states": {s: a.intervals(s) for s in a.states}, "never": [a.never]}
        for k, a in enumerate(ACTORS)
    ]
    return {"version": 1, "steps": STEPS, "objects": objects}


def queries(rng: np.random.Generator) -> list[dict[str, Any]]:
    """Give every question with its thing, its state and the intervals in which it is so; none for what never is."""
    found = []
    for actor in ACTORS:
        for state in (*actor.states, actor.never):
            wording = WORDS[actor.name][state]
            texts = [("keyword", text) for text in wording.keywords]
            texts += [("sentence", QUESTIONS[rng.integers(len(QUESTIONS))].format(clause=c)) for c in wording.clauses]
            found += [
                {"text": text, "kind": kind, "object": actor.name, "state": state, "occurs": state != actor.never,
                 "intervals": actor.intervals(state)}
                for kind, text in texts
            ]  # fmt: skip
    return found


def captions(masks: Path, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Give, per thing, a caption of the video, one of every frame that shows it, and which of these are false."""
    names = {k + 1: a.name for k, a in enumerate(ACTORS)}
    names |= {len(ACTORS) + k + 1: thing.name for k, thing in enumerate(still_things())}
    shown = visible_steps(masks, len(names))
    rows = []
    for instance, name in names.items():
        actor = next((a for a in ACTORS if a.name == name), None)
        steps = shown[instance]
        wrong = set(rng.choice(steps, round(WRONG_SHARE * len(steps)), replace=False).tolist())
        frames = {frame(s): sentence(name, predicate(actor, s, s in wrong, rng), rng) for s in steps}
        rows.append({
            "name": name, "instance": instance, "video": video_caption(name, actor), "frames": frames,
            "wrong": [frame(s) for s in sorted(wrong)],
        })  # fmt: skip
    return rows


def frame(step: int) -> str:
    """Give the moving camera's picture of a step."""
    return f"{step + 1:03d}_moving.jpg"


def visible_steps(masks: Path, many: int) -> dict[int, list[int]]:
    """Give, per instance, the steps at which the moving camera sees it."""
    counts = [
        np.bincount(np.asarray(Image.open(masks / f"{step + 1:03d}_moving.png")).ravel(), minlength=many + 1)
        for step in range(STEPS)
    ]
    return {k: [s for s in range(STEPS) if counts[s][k] >= SEEN_PIXELS] for k in range(1, many + 1)}


def predicate(actor: Actor | None, step: int, wrong: bool, rng: np.random.Generator) -> str:
    """Give what a caption says of a thing at a step; a wrong one says its other state."""
    if actor is None:
        choices = STILL_WRONG if wrong else STILL
    else:
        state = actor.state(step)
        if wrong:
            state = actor.states[1 - actor.states.index(state)]
        choices = WORDS[actor.name][state].captions
    return choices[rng.integers(len(choices))]


def sentence(name: str, said: str, rng: np.random.Generator) -> str:
    """Give one frame's caption."""
    ending = FRAME_ENDINGS[rng.integers(len(FRAME_ENDINGS))]
    return f"The {name} {said}{'' if 'table' in said else ending}."


def video_caption(name: str, actor: Actor | None) -> str:
    """Give the video's caption: the states in their order."""
    if actor is None:
        return f"The {name} always {STILL[0]}."
    order = [actor.state(0)]
    order += [actor.state(s) for s in range(1, STEPS) if actor.state(s) != actor.state(s - 1)]
    said = [WORDS[actor.name][state].captions[0] for state in order]
    return f"The {name} first {said[0]}" + "".join(f", then {s}" for s in said[1:]) + "."
