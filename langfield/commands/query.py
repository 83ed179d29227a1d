"""`langfield query`: ask a field for something in words, by a picture, or by a place in a view."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from langfield.artefacts import write_json
from langfield.commands.output import print_json, print_text
from langfield.commands.query_when import WhenOptions, query_when
from langfield.errors import SettingsError
from langfield.query.answer import Answer
from langfield.query.methods import words_of
from langfield.query.relevancy import check_text
from langfield.suite.textgen import TEMPLATES

if TYPE_CHECKING:
    from langfield.query.relevancy import Phrases
    from langfield.query.things import Thing
    from langfield.scene import Scene


def query(
    run: Annotated[Path, tyro.conf.Positional],
    text: Annotated[tuple[str, ...], tyro.conf.Positional] = (),
    out: Path | None = None,
    picture: Path | None = None,
    *,
    any_of: Annotated[bool, tyro.conf.arg(name="any")] = False,
    negatives: tuple[str, ...] = (),
    image: Path | None = None,
    region: str | None = None,
    head: Path | None = None,
    method: str | None = None,
    texts: str = TEMPLATES,
    names: Annotated[bool, tyro.conf.arg(name="list")] = False,
    when: bool = False,
    states: Literal["", "tracks", "net"] = "",
    time: float | None = None,
    text_encoder: str | None = None,
    json: bool = False,
) -> None:
    """Find what is asked for: whether it is there, view, pixel, place in space, Gaussians.

    Args:
        run: a run's folder, its config.yml, or a folder with runs below it.
        text: what to look for, such as "red mug"; each text is a question of its own.
        out: write the whole answer (mask and boxes included; a list of answers where several are asked) to this JSON
            file.
        picture: draw the answer into this PNG; several answers get their number before the suffix.
        any_of: take the texts as one question that any of them answers.
        negatives: what a thing must fit less than it fits the text, instead of object, things, stuff and texture.
        image: ask for what this picture shows.
        region: ask for what looks like a place in a view, VIEW:x,y or VIEW:x0,y0,x1,y1 in pixels.
        head: ask for what `langfield teach` wrote into this file, or for those of its names that are given as texts.
        method: ask the texts by a method of the suite's family ask, such as laclip or grain:written=4 (`langfield suite
            list --family ask`).
        texts: who writes descriptions, rewrites and negatives for such a method: templates, file:TEXTS.json,
            endpoint:SETTINGS.json, transformers:FOLDER.
        names: list the things of the scene by name; with texts, choose among these names; with a head, among its names.
        when: the texts are about what happens, such as "the box is open": tell what, when and where, with the masks of
            those times; or that it never is.
        states: which states tell --when, where a run has both: tracks (of things, in closed form) or net (the
            status network of 4D LangSplat; the default where there is one).
        time: ask the scene as it is at this time, seconds.
        text_encoder: use another text encoder than the run's; it must share the image encoder's space.
        json: print the answer as JSON.
    """
    from langfield.scene import load
    from langfield.sharded import open_sharded

    plain = text and not (when or names or image or region or head or method) and time is None
    if plain and (shards := open_sharded(run)) is not None:
        asked = shards.questions(text, negatives, any_of, text_encoder)
        return _tell([shards.answer(asked.row(i)) for i in range(len(asked))], out, picture, json)
    if when:
        _check_when(text, any=any_of, negatives=negatives, image=image, region=region, head=head, method=method,
                    list=names, time=time)  # fmt: skip
        return query_when(load(run, text_encoder), text, WhenOptions(out, picture, json, states))
    if states:
        raise SettingsError("states tell when something is so", f"--states {states}", "add --when")
    scene = _at(load(run, text_encoder), time)
    if names and head is None and method is None:
        return _list(scene, text, out, json)
    asked = _question(scene, text, Kind(image, region, head, method, texts), negatives)
    if names:
        return _list(scene, asked, out, json)
    asked = asked.any_of() if any_of and len(asked) > 1 else asked
    return _tell([scene.answer(asked.row(i)) for i in _rows(asked, text)], out, picture, json)


def _tell(answers: list[Answer], out: Path | None, picture: Path | None, json: bool) -> None:
    """Write, draw and print answers."""
    data: Any = [answer.data() for answer in answers]
    data = data[0] if len(data) == 1 else data
    if out is not None:
        write_json(out, data)
    if picture is not None:
        for i, answer in enumerate(answers):
            _draw(answer, picture if len(answers) == 1 else picture.with_stem(f"{picture.stem}_{i + 1}"))
    if json:
        return print_json(data)
    for answer in answers:
        _print(answer)
    return None


def _check_when(text: tuple[str, ...], **others: object) -> None:
    if not text:
        raise SettingsError("--when takes texts", remedy='write for example "when is the box open" --when')
    for option, value in others.items():
        if value not in (None, False, ()):
            raise SettingsError("--when takes texts alone", f"--{option}", "leave it out")
    for question in text:
        check_text(question)


def _at(scene: Scene, time_s: float | None) -> Scene:
    from langfield.field.at_time import check_time

    if time_s is None:
        return scene
    check_time(scene.run.field, time_s)
    return scene.at(time_s)


@dataclass(frozen=True)
class Kind:
    """What a question is made of beside texts, and how texts are asked."""

    image: Path | None = None
    region: str | None = None
    head: Path | None = None
    method: str | None = None
    texts: str = TEMPLATES


def _question(scene: Scene, text: tuple[str, ...], kind: Kind, negatives: tuple[str, ...]) -> Phrases:
    from langfield.query.methods import By
    from langfield.query.relevancy import CANONICALS

    if kind.head is not None:
        return _of_head(scene, text, kind, negatives)
    if sum((bool(text), kind.image is not None, kind.region is not None)) != 1:
        raise SettingsError(
            "a query is made of texts, of --image, of --region, or of --head", remedy="give one of them"
        )
    if negatives and not text:
        raise SettingsError("negatives are words, which only texts are held against", "--negatives", "leave them out")
    if (kind.method or kind.texts != TEMPLATES) and not (text and kind.method):
        raise SettingsError("a method asks texts, and --texts writes for one", "--method", "give texts and a method")
    by = By(kind.method, kind.texts) if kind.method else None
    return scene.question(
        text or None, image=kind.image, region=kind.region, negatives=negatives or CANONICALS, by=by
    )  # fmt: skip


def _of_head(scene: Scene, text: tuple[str, ...], kind: Kind, negatives: tuple[str, ...]) -> Phrases:
    if kind.image is not None or kind.region is not None or kind.method or negatives:
        raise SettingsError("a head is asked as it was taught", "--head", "leave out pictures, methods and negatives")
    asked = scene.question(head=kind.head)
    unknown = [name for name in text if name not in asked.texts]
    if unknown:
        raise SettingsError(f"the head was not taught {unknown[0]!r}", f"{kind.head}", f"it knows {_few(asked.texts)}")
    return asked


def _rows(asked: Phrases, text: tuple[str, ...]) -> list[int]:
    """Give the rows that are asked for: those of the texts where a head has more names."""
    wanted = [asked.texts.index(name) for name in text if name in asked.texts] if asked.head is not None else []
    return wanted or list(range(len(asked)))


def _few(names: tuple[str, ...]) -> str:
    return ", ".join(names[:8]) + (" and others" if len(names) > 8 else "")


def _print(answer: Answer) -> None:
    data = answer.data()
    place = "nothing solid there" if answer.position is None else "({:.3f}, {:.3f}, {:.3f})".format(*answer.position)
    print_text(f"{answer.text}: {answer.verdict} ({answer.presence:.2f}); {answer.note}")
    print_text(f"  best view {answer.view}, pixel {answer.peak_px}, box {answer.box_px}, level {data['level']}")
    print_text(f"  in space {place}; {data['gaussians']} Gaussians; relevancy {answer.score:.3f}")
    print_text(f"  encoders: image {_name(answer.encoders['image'])}, question {_name(answer.encoders['text'])}")
    for line in words_of(answer.encoders["text"]):
        print_text(f"  {line}")


def _list(scene: Scene, names: tuple[str, ...] | Phrases, out: Path | None, json: bool) -> None:
    found = scene.names(names) if names else scene.names()
    data = [thing.data() for thing in found]
    if out is not None:
        write_json(out, data)
    if json:
        return print_json(data)
    for thing in found:
        print_text(_line(thing))
    return None


def _line(thing: Thing) -> str:
    centre = thing.selection.centroid
    place = "nowhere" if centre is None else "({:.3f}, {:.3f}, {:.3f})".format(*centre)
    many = f"{len(thing.selection.rows)} Gaussians, {thing.views} views"
    return f"{thing.score:.3f}  {thing.name:<24} {place}  {many}, number {thing.instance}"


def _draw(answer: Answer, path: Path) -> None:
    from langfield.query.picture import Overlay, draw_overlay, write_picture

    title = f'"{answer.text}": {answer.verdict} ({answer.presence:.2f}), relevancy {answer.score:.3f}, in {answer.view}'
    boxes = (tuple(float(v) for v in answer.box_px),) if answer.box_px else ()
    drawn = (answer.colour * 255).round().astype("uint8")
    write_picture(path, draw_overlay(drawn, Overlay(title, answer.relevancy, answer.mask, answer.peak_px, boxes)))  # pyright: ignore


def _name(provenance: object) -> str:
    return str(provenance.get("name", provenance)) if isinstance(provenance, dict) else str(provenance)
