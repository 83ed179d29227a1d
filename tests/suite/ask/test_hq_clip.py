"""HQ-CLIP: which negatives are used, and that names are found with fewer false alarms."""

import pytest
import torch

from langfield.errors import SettingsError
from langfield.suite.ask.hq_clip import Settings, ask, with_negatives, written
from langfield.suite.corpus import Caption, Pairs
from langfield.suite.head import AGAINST
from langfield.suite.slots import Question
from tests.suite.contract.common import Writer, encode, unit

GIVEN = ("object", "things", "stuff", "texture")


class Says:
    """A TextGenerator that says the same of everything."""

    name, reduced = "says", True

    def __init__(self, *texts: str) -> None:
        self.texts = list(texts)

    def write(self, kind, text, count):
        return self.texts[:count]


def test_names_are_held_against_what_was_written_and_given():
    head = ask(Question(("mug", "globe"), GIVEN, Writer()), encode)
    torch.testing.assert_close(head.weight, encode(["mug", "globe", "bowl", "vase", "ball", *GIVEN]))
    assert head.rows == (0, 1, *(AGAINST,) * 7)
    alone = ask(Question(("mug",), GIVEN, Writer()), encode, Settings(keep=False))
    torch.testing.assert_close(alone.weight, encode(["mug", "bowl", "vase"]))


def test_relevancy_is_the_least_over_negatives_written_out():
    head, probes = ask(Question(("mug", "globe"), GIVEN, Writer()), encode), unit(4, 20)
    words = {text: encode([text])[0] for text in ("mug", "globe", "bowl", "vase", "ball", *GIVEN)}
    for name, row in (("mug", 0), ("globe", 1)):
        for probe, found in zip(probes, head.relevancy(probes)[row], strict=True):
            own = torch.exp(10 * (probe @ words[name]))
            others = [torch.exp(10 * (probe @ v)) for text, v in words.items() if text not in ("mug", "globe")]
            pairs = [own / (own + other) for other in others]
            assert float(found) == pytest.approx(min(map(float, pairs)), abs=1e-5)


def test_what_is_asked_for_is_never_a_negative():
    question = Question(("mug", "globe"), GIVEN, Says("Globe", "mug", "object", "bowl", "bowl", "the mug"))
    assert written(question, Says("Globe", "mug", "object", "bowl", "bowl"), 9) == ["bowl"]
    close = float(encode(["the mug"])[0] @ encode(["mug"])[0])
    loose, strict = (ask(question, encode, Settings(nearest=n)) for n in (close + 0.01, close - 0.01))
    assert "the mug" in dict(loose.about)["against"].split("; ")
    assert "the mug" not in dict(strict.about)["against"].split("; ")
    assert dict(strict.about)["writer"] == "says, by rule"


def test_given_negatives_stay_where_none_are_written():
    head = ask(Question(("mug",), GIVEN, Says()), encode, Settings(keep=False))
    torch.testing.assert_close(head.weight, encode(["mug", *GIVEN]))
    with pytest.raises(SettingsError):
        ask(Question(("mug",), (), Says()), encode)


def test_false_texts_for_training_are_negatives_of_their_picture():
    pairs = with_negatives(
        Pairs(((Caption("mug", language="en"),), (Caption("teapot"),)), vectors=torch.eye(2)), Writer()
    )
    assert [c.text for c in pairs.of(0, "negative")] == ["bowl", "vase"]
    assert [c.text for c in pairs.of(0)] == ["mug"]
    assert pairs.of(1, "negative")[0].source == "three-things"
