"""NoLA: which pictures are trusted, that labels are never read, and that the better second encoder is believed."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch.nn.functional import normalize

from langfield.artefacts import write_json
from langfield.suite.slots import FewShotTask
from langfield.suite.teach.nola import UNKNOWN, Settings, begin, fit, taught, trusted
from tests.suite.contract.common import task, unit
from tests.suite.tiny_clip import tiny_clip


def by_hand(scores: torch.Tensor, most: int) -> list[int]:
    """The rule in words, a name and a picture at a time."""
    logits, labels = scores.tolist(), [UNKNOWN] * len(scores)
    chances = torch.softmax(scores, dim=1).tolist()
    choices = [sorted(range(len(row)), key=lambda c: -row[c]) for row in logits]
    for place in range(min(3, scores.shape[1])):
        for name in [c for c in range(scores.shape[1]) if c not in labels]:
            able = [m for m in range(len(labels)) if choices[m][place] == name and labels[m] == UNKNOWN]
            for m in sorted(able, key=lambda m: -chances[m][name])[:most]:
                labels[m] = name
    return labels


@pytest.mark.parametrize("seed", range(5))
def test_trusted_pictures_are_those_of_the_rule(seed):
    scores = 5 * torch.randn(40, 6, generator=torch.Generator().manual_seed(seed))
    scores[:, 5] -= 20  # nobody's first choice
    for least in (2, 4, 50):
        settings = Settings(least=least, share=0.1)
        assert trusted(scores, settings).tolist() == by_hand(scores, least)
    many = trusted(scores, Settings(least=1, share=0.6))
    assert many.tolist() == by_hand(scores, 4), "six tenths of 40 / 6"


def test_a_name_that_is_nobodys_first_choice_takes_second_choices_that_are_left():
    scores = torch.tensor([[9.0, 1.0, 0.0], [8.0, 7.0, 0.0], [7.0, 6.5, 0.0], [0.0, 1.0, 9.0]])
    assert trusted(scores, Settings(least=1, share=0.0)).tolist() == [0, UNKNOWN, 1, 2]
    assert trusted(scores, Settings(least=3, share=0.0)).tolist() == [0, 0, 0, 2]


def test_labels_are_never_read():
    given = task()
    other = dataclasses.replace(given, labels=torch.randint(-1, 3, (15,), generator=torch.Generator().manual_seed(1)))
    assert torch.equal(fit(given).weight, fit(other).weight)


def test_without_steps_the_head_is_the_words():
    given = task()
    head = fit(given, settings=Settings(steps=0))
    torch.testing.assert_close(head.weight, torch.cat([given.texts, given.negatives]))


def test_the_network_labels_all_from_the_few_that_are_trusted():
    centres = unit(0, 4)
    truth = torch.arange(4).repeat(30)
    vectors = normalize(centres[truth] + 0.3 * unit(1, 120), dim=1)
    labels = torch.full((120,), UNKNOWN)
    labels[:20] = truth[:20]
    assert float((taught(vectors, labels, 5, Settings()) == truth).float().mean()) > 0.97


def planted(seed: int) -> tuple[FewShotTask, torch.Tensor]:
    """Words that fit their pictures half; a second encoder that tells them apart well."""
    truth = torch.arange(5).repeat(40)
    texts = unit(seed, 5)
    vectors = normalize(texts[truth] + 3.5 * unit(seed + 1, 200), dim=1)
    other = normalize(unit(seed + 2, 5)[truth] + 0.5 * unit(seed + 3, 200), dim=1)
    names = tuple(map(str, range(5)))
    return FewShotTask(vectors, torch.zeros(200, dtype=torch.long), names, texts, texts[:0], other), truth


def test_the_second_encoder_is_believed_where_it_knows_better():
    given, truth = planted(0)
    words = float(((given.vectors @ given.texts.T).argmax(1) == truth).float().mean())
    head = fit(given)
    assert dict(head.about)["second vectors"] == "of width 32"
    assert float((head.relevancy(given.vectors).argmax(0) == truth).float().mean()) > words + 0.03


def test_descriptions_take_the_place_of_the_texts(tmp_path):
    model = tiny_clip()
    given = task(encoder=model.encode_texts)
    write_json(tmp_path / "texts.json", {"descriptions": {name: ["one thing", "handle"] for name in given.names}})
    head = fit(given, model, Settings(writer=f"file:{tmp_path / 'texts.json'}", steps=0))
    for name, row in zip(given.names, head.weight, strict=False):
        said = model.encode_texts([name, f"{name}, one thing", f"{name}, handle"]).sum(0)
        torch.testing.assert_close(row, said / said.norm(), rtol=0, atol=1e-6)


def test_gradient_reaches_the_names():
    training = begin(task())
    loss = training.objective(torch.arange(15))["classify"]
    loss.backward()
    gradient = training.learner.get_parameter("names").grad
    assert gradient is not None
    assert float(gradient.abs().sum()) > 0
