"""GDA against Bayes' rule with the covariance written out, what it leaves alone, and what examples gain."""

import dataclasses

import pytest
import torch
from torch.nn.functional import normalize

from langfield.errors import SettingsError
from langfield.suite.discriminant import discriminant
from langfield.suite.slots import NONE_OF_THESE, FewShotTask
from langfield.suite.teach.gda import GRID, Settings, fit


def clicks(seed: int, shots: int, classes: int = 4, dim: int = 24) -> tuple[FewShotTask, torch.Tensor, torch.Tensor]:
    """Names whose texts are half wrong, things that differ most in directions that no name is about; a test set."""
    generator = torch.Generator().manual_seed(seed)
    means = normalize(torch.randn(classes, dim, generator=generator), dim=-1)
    texts = normalize(means + 1.2 * normalize(torch.randn(classes, dim, generator=generator), dim=-1), dim=-1)
    spread = torch.tensor([0.7] * 5 + [0.1] * (dim - 5)) * torch.linalg.qr(torch.randn(dim, dim, generator=generator)).Q
    labels = torch.arange(classes).repeat(shots + 200)
    noise = torch.randn(len(labels), dim, generator=generator) @ spread.T
    vectors, cut = normalize(means[labels] + noise, dim=-1), classes * shots
    negatives = normalize(torch.randn(2, dim, generator=generator), dim=-1) * 0
    task = FewShotTask(vectors[:cut], labels[:cut], tuple(map(str, range(classes))), texts, negatives[:0])
    return task, vectors[cut:], labels[cut:]


def by_hand(vectors, labels, classes):
    """Equations of the paper, one class and one matrix at a time, in double precision."""
    dim, mean = vectors.shape[1], [vectors[labels == c].mean(0) for c in range(classes)]
    apart = [torch.outer(v - mean[c], v - mean[c]) for v, c in zip(vectors, labels.tolist(), strict=True)]
    scatter = torch.stack(apart).sum(0)
    covariance = scatter / (len(vectors) - 1)
    inverse = dim * torch.linalg.pinv((len(vectors) - 1) * covariance + covariance.trace() * torch.eye(dim).double())
    logits = [lambda f, m=m: f @ inverse @ m - 0.5 * m @ inverse @ m for m in mean]
    return lambda f: torch.stack([logit(f) for logit in logits])


@pytest.mark.parametrize("shots", [2, 5, 40])
def test_discriminant_is_bayes_rule_with_the_shrunk_covariance(shots):
    task, probes, _ = clicks(3, shots)
    vectors = task.vectors.double()
    found = discriminant(vectors, task.labels, 4, vectors.shape[1])
    rule = by_hand(vectors, task.labels, 4)
    for probe in probes[:5].double():
        expected = rule(probe)
        torch.testing.assert_close(found.logits(probe[None])[0], expected - expected.mean(), rtol=1e-6, atol=1e-8)


def test_names_with_fewer_examples_are_not_held_back_by_the_length_of_their_means():
    """The mean of n examples of covariance S is longer by tr(P S) / n in the metric P, which is taken off."""
    task, probes, _ = clicks(3, 12)
    vectors, labels = task.vectors.double(), task.labels
    kept = (labels != 0) | (torch.arange(len(labels)) < 12)
    vectors, labels = vectors[kept], labels[kept]
    counts = torch.bincount(labels)
    assert counts.tolist() == [3, 12, 12, 12]
    apart = torch.stack([v - vectors[labels == c].mean(0) for v, c in zip(vectors, labels, strict=True)])
    scatter, trace = apart.T @ apart, float(apart.square().sum() / (len(labels) - 1))
    metric = 24 * torch.linalg.inv(scatter + trace * torch.eye(24).double())
    longer = (metric @ scatter).trace() / (len(labels) - 4) / counts
    rule = by_hand(vectors, labels, 4)
    for probe in probes[:3].double():
        expected = rule(probe) + 0.5 * longer
        found = discriminant(vectors, labels, 4, 24).logits(probe[None])[0]
        torch.testing.assert_close(found, expected - expected.mean(), rtol=1e-6, atol=1e-8)


def test_weight_zero_is_the_words_alone():
    task, probes, _ = clicks(0, 3)
    head = fit(task, settings=Settings(alpha=0.0))
    torch.testing.assert_close(head.weight, 100 * task.texts)
    assert not head.bias.any()
    assert torch.equal(head.relevancy(probes).argmax(0), (probes @ task.texts.T).argmax(1))


def test_one_name_and_nothing_it_is_not_is_the_words_alone():
    task, _, _ = clicks(0, 3)
    mine = task.labels == 1
    negatives = task.texts[2:]
    single = FewShotTask(task.vectors[mine], task.labels[mine] * 0, ("1",), task.texts[1:2], negatives)
    head = fit(single, settings=Settings(alpha=5.0))
    torch.testing.assert_close(head.weight, 100 * torch.cat([task.texts[1:2], negatives]))


def test_a_turn_of_all_vectors_turns_the_head():
    task, probes, _ = clicks(1, 6)
    turn = torch.linalg.qr(torch.randn(24, 24, generator=torch.Generator().manual_seed(9))).Q
    turned = dataclasses.replace(task, vectors=task.vectors @ turn, texts=task.texts @ turn)
    torch.testing.assert_close(fit(task).relevancy(probes), fit(turned).relevancy(probes @ turn), rtol=0, atol=1e-3)


def test_weight_is_one_that_was_tried_and_depends_on_how_wrong_the_words_are():
    task, _, _ = clicks(0, 8)
    wrong = dataclasses.replace(task, texts=task.texts.roll(1, 0))
    right = dataclasses.replace(task, texts=torch.stack([task.vectors[task.labels == c].mean(0) for c in range(4)]))
    chosen = [float(dict(fit(t).about)["alpha"]) for t in (right, task, wrong)]
    assert all(any(abs(a - g) < 0.01 * g for g in GRID) for a in chosen)
    assert chosen[0] <= chosen[2]


def test_what_cannot_be_learnt_from():
    task, _, _ = clicks(0, 2)
    empty = dataclasses.replace(task, vectors=task.vectors[:0], labels=task.labels[:0])
    with pytest.raises(SettingsError, match="no example"):
        fit(empty)
    with pytest.raises(SettingsError, match="held against"):
        fit(dataclasses.replace(task, labels=torch.full_like(task.labels, NONE_OF_THESE)))


def accuracy(task, probes, labels, alpha=None) -> float:
    return float((fit(task, settings=Settings(alpha=alpha)).relevancy(probes).argmax(0) == labels).float().mean())


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_effect_examples_beat_words_and_the_nearest_mean(seed):
    """The paper's claim: better than zero-shot from few examples, better than class means from four on."""
    gains = []
    for shots in (1, 4, 16):
        task, probes, labels = clicks(seed, shots)
        gains.append(accuracy(task, probes, labels) - accuracy(task, probes, labels, 0.0))
    assert gains[0] > -0.1, "a single example may mislead, but not far"
    assert gains[1] > 0.05
    assert gains[2] > gains[1] - 0.01
    task, probes, labels = clicks(seed, 16)
    means = normalize(torch.stack([task.vectors[task.labels == c].mean(0) for c in range(4)]), dim=-1)
    nearest = float(((probes @ means.T).argmax(1) == labels).float().mean())
    assert accuracy(task, probes, labels) > nearest + 0.02


@pytest.mark.parametrize("seed", range(5))
def test_the_only_example_of_a_name_that_says_nothing_is_known_again(seed):
    """One click on something nobody has a word for, two on what it is not: the words tell those two alone."""
    g = torch.Generator().manual_seed(seed)
    thing, one, other, word = (normalize(torch.randn(24, generator=g), dim=0) for _ in range(4))
    vectors = torch.stack([thing, one, normalize(one + 0.2 * other, dim=0)])
    labels = torch.tensor([0, NONE_OF_THESE, NONE_OF_THESE])
    anything = normalize(one + 0.5 * thing, dim=0)[None]  # fits the thing better than the word does
    head = fit(FewShotTask(vectors, labels, ("gadget",), word[None], anything))
    found = head.relevancy(vectors)[0]
    assert float(found[0]) > 0.5
    assert int(found.argmax()) == 0
