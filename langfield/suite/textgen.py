"""Who writes descriptions, rewrites and negatives: a model here, a model behind an address, a file, or templates.

Templates know no world: they exchange synonyms, colours and sides, and are marked as reduced wherever they are used.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from langfield.artefacts import read_json
from langfield.errors import FormatError, SettingsError
from langfield.suite.captions import CAPTIONERS, Captioner, Speechless, captioner
from langfield.suite.captions.lexicon import Lexicon, load_lexicon
from langfield.suite.slots import TextGenerator, Writing

MAX_BYTES = 16 * 2**20
MAX_TEXT = 400
TEMPLATES = "templates"
FORMS = ("a photo of {}", "a picture of {}", "a close-up of {}", "{} in a room", "one {}", "a cropped photo of {}")
COLOURS = ("red", "green", "blue", "yellow", "white", "black", "brown", "orange", "purple", "pink", "grey")
OPPOSITES = (
    ("left", "right"), ("above", "below"), ("on", "under"), ("open", "closed"), ("full", "empty"), ("big", "small"),
    ("behind", "before"), ("inside", "outside"), ("upright", "fallen"), ("old", "new"),
)  # fmt: skip
PROMPTS: dict[Writing, str] = {
    "descriptions": (
        "List {count} short visible features that tell a photo of '{text}' from photos of other things: its shape, "
        "parts, colours, material. A few words each, without the name itself. Answer with the list alone, items "
        "separated by semicolons."
    ),
    "rewrites": (
        "Say '{text}' in {count} other ways that a caption of a photo might use, without changing what is meant. "
        "Answer with the list alone, items separated by semicolons."
    ),
    "negatives": (
        "List {count} things that look like '{text}' or are found beside it but are not it; where it has a colour, a "
        "state or a place, exchange that. A few words each. Answer with the list alone, items separated by semicolons."
    ),
}


def text_generator(spec: str = TEMPLATES) -> TextGenerator:
    """Make one.

    Args:
        spec: "templates"; "file:TEXTS.json" ({"descriptions": {"mug": ["..."]}, ...}); "endpoint:SETTINGS.json" or
            "transformers:FOLDER_OR_NAME", as captioners are named.

    Raises:
        SettingsError: no such generator.
        EnvironmentProblem: its model cannot be had.
        FormatError: its file is damaged.
    """
    kind, _, rest = spec.partition(":")
    if spec == TEMPLATES:
        return Templates()
    if kind == "file" and rest:
        return WrittenTexts(Path(rest))
    if kind in CAPTIONERS and kind != "recorded" and rest:
        return Model(captioner(spec))
    raise SettingsError(
        f"no text generator is called {spec!r}",
        remedy="write templates, file:TEXTS.json, endpoint:SETTINGS.json or transformers:FOLDER_OR_NAME",
    )


class Model:
    """TextGenerator over any model that answers a text."""

    reduced = False

    def __init__(self, model: Captioner) -> None:
        self.name, self._model = model.name, model

    def write(self, kind: Writing, text: str, count: int) -> list[str]:
        """Ask once; a reply that says nothing gives no texts."""
        try:
            reply = self._model.caption([], PROMPTS[kind].format(count=count, text=text))
        except Speechless:
            return []
        return read_list(reply, text, count)


def read_list(reply: str, text: str, count: int) -> list[str]:
    """Read the items of a reply: no numbers and bullets, none twice, none that is the text itself or far too long."""
    items = [re.sub(r"^[\s\-*•\d.)(]+", "", item).strip(" \t.,;:'\"") for item in re.split(r"[;\n]", reply)]
    found = dict.fromkeys(item for item in items if item and len(item) <= MAX_TEXT and item.lower() != text.lower())
    return list(found)[:count]


class WrittenTexts:
    """TextGenerator over a file of texts, whoever wrote them.

    Raises:
        FormatError: it is no such JSON file.
    """

    reduced = False

    def __init__(self, path: Path) -> None:
        data = read_json(path, MAX_BYTES)
        if not isinstance(data, dict) or not set(data) <= set(PROMPTS):
            raise FormatError(f"a file of texts is an object with {', '.join(PROMPTS)}", path)
        self.name, self._texts = f"file:{path}", {kind: _bank(bank, path) for kind, bank in data.items()}

    def write(self, kind: Writing, text: str, count: int) -> list[str]:
        """Give what the file says of a text; case does not count."""
        return self._texts.get(kind, {}).get(text.strip().lower(), [])[:count]


def _bank(bank: Any, path: Path) -> Mapping[str, list[str]]:
    for texts in bank.values() if isinstance(bank, dict) else [None]:
        if not isinstance(texts, list) or not all(isinstance(t, str) and 0 < len(t) <= MAX_TEXT for t in texts):
            raise FormatError(f"texts are lists of 1 to {MAX_TEXT} characters each, by name", path)
    return {name.strip().lower(): texts for name, texts in bank.items()}


class Templates:
    """TextGenerator by rule; gives few texts, and none where no rule applies."""

    name, reduced = TEMPLATES, True

    def __init__(self, lexicon: Lexicon | None = None) -> None:
        self._lexicon = lexicon or load_lexicon()

    def write(self, kind: Writing, text: str, count: int) -> list[str]:
        """Exchange words by rule."""
        words = text.split()
        if kind == "rewrites":
            made = [*self._synonyms(words), *(form.format(text) for form in FORMS)]
        elif kind == "negatives":
            made = exchanged(words)
        else:
            made = [f"something {word}" for word in words[:-1]] + [f"a kind of {words[-1]}"] if words else []
        return [t for t in dict.fromkeys(made) if t != text][:count]

    def _synonyms(self, words: Sequence[str]) -> list[str]:
        last = words[-1].lower() if words else ""
        return [" ".join([*words[:-1], other]) for other in sorted(self._lexicon.same_name(last) - {last})]


def exchanged(words: Sequence[str]) -> list[str]:
    """Give texts that say another colour, side or state in one place each."""
    turned = {a: (b,) for pair in OPPOSITES for a, b in (pair, pair[::-1])}
    options = {**turned, **{colour: tuple(c for c in COLOURS if c != colour) for colour in COLOURS}}
    made = []
    for at, word in enumerate(words):
        made += [" ".join([*words[:at], other, *words[at + 1 :]]) for other in options.get(word.lower(), ())]
    return made
