"""The bench's scores against slow twins that follow the words, and at their limits."""

import itertools

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from langfield.errors import SettingsError
from langfield.suite.bench.blind import blind_pairs, pair_score, pairs_right
from langfield.suite.bench.compositional import swap_accuracy, winoground
from langfield.suite.bench.retrieval import both_ways, modality_gap, recall
from langfield.suite.bench.zero_shot import accuracy, class_vectors, mean_class_accuracy


def unit(*shape: int, seed: int = 0) -> torch.Tensor:
    return F.normalize(torch.from_numpy(np.random.default_rng(seed).normal(size=shape)).float(), dim=-1)


def test_recall_is_that_of_a_sorted_list():
    rng = np.random.default_rng(0)
    for _ in range(20):
        scores = rng.permutation(60).reshape(5, 12).astype(np.float32)
        relevant = rng.random((5, 12)) < 0.2
        relevant[:, 3] = True
        found = recall(torch.from_numpy(scores), torch.from_numpy(relevant), (1, 3, 12))
        for k in (1, 3, 12):
            hits = [
                any(row_relevant[i] for i in np.argsort(-row)[:k])
                for row, row_relevant in zip(scores, relevant, strict=True)
            ]
            assert found[k] == pytest.approx(np.mean(hits))


def test_retrieval_knows_whose_text_is_whose():
    images = unit(6, 16)
    texts = F.normalize(images.repeat_interleave(3, 0) + 0.2 * unit(18, 16, seed=1), dim=1)
    owner = torch.arange(6).repeat_interleave(3)
    found = both_ways(images, texts, owner, (1,))
    assert found == {"text_to_image": {1: 1.0}, "image_to_text": {1: 1.0}}
    mixed = both_ways(images, texts, (owner + 1) % 6, (1, 6))
    assert mixed["text_to_image"] == {1: 0.0, 6: 1.0}
    with pytest.raises(SettingsError):
        both_ways(images, texts[:3], owner[:3])


def test_scores_that_do_not_tell_apart_win_nothing():
    same = torch.ones(8, 16) / 4
    assert recall(same @ same.T, torch.eye(8, dtype=torch.bool), (1, 7)) == {1: 0.0, 7: 0.0}
    assert accuracy(same @ same.T, torch.arange(8)) == 0
    assert swap_accuracy(same, same, same) == 0
    assert winoground(torch.zeros(5, 2, 2)) == {"text": 0, "image": 0, "group": 0}
    assert not pairs_right(same.view(4, 2, 16), same.view(4, 2, 16)).any()


def test_accuracy_counts_the_nearest_class():
    scores = torch.tensor([[0.9, 0.1, 0.2], [0.3, 0.2, 0.1], [0.1, 0.2, 0.3], [0.5, 0.6, 0.4]])
    labels = torch.tensor([0, 1, 2, 0])
    assert accuracy(scores, labels) == 0.5
    assert accuracy(scores, labels, top=2) == 1
    assert mean_class_accuracy(scores, labels) == pytest.approx((0.5 + 0 + 1) / 3)
    texts = unit(4, 3, 8)
    assert torch.allclose(class_vectors(texts).norm(dim=1), torch.ones(4))
    assert torch.allclose(class_vectors(texts[:, :1]), texts[:, 0], atol=1e-6)


def test_gap_is_the_distance_of_means():
    a, b = unit(30, 8), unit(40, 8, seed=1)
    assert modality_gap(a, a) == 0
    assert modality_gap(a, b) == pytest.approx(float(np.linalg.norm(a.numpy().mean(0) - b.numpy().mean(0))), rel=1e-5)


def test_swaps_are_compared_one_by_one():
    images, true, false = unit(50, 8), unit(50, 8, seed=1), unit(50, 8, seed=2)
    slow = np.mean([i @ t > i @ f for i, t, f in zip(images.numpy(), true.numpy(), false.numpy(), strict=True)])
    assert swap_accuracy(images, true, false) == pytest.approx(slow)
    assert swap_accuracy(images, true, false) + swap_accuracy(images, false, true) == pytest.approx(1)


def test_winoground_is_as_its_paper_says():
    for values in itertools.permutations((0.1, 0.2, 0.3, 0.4)):
        s = torch.tensor(values).view(1, 2, 2)  # caption, image
        (c0_i0, c0_i1), (c1_i0, c1_i1) = s[0].tolist()
        text = c0_i0 > c1_i0 and c1_i1 > c0_i1
        image = c0_i0 > c0_i1 and c1_i1 > c1_i0
        assert winoground(s) == {"text": text, "image": image, "group": text and image}


def test_planted_blind_pairs_are_found_and_no_others():
    first, second = unit(40, 32), unit(40, 24, seed=1)
    first[7] = F.normalize(first[31] + 0.01 * unit(32, seed=5), dim=0)  # alike to the first alone
    first[3], second[3] = first[12], second[12]  # alike to both
    assert blind_pairs(first, second).tolist() == [[7, 31]]
    slow = [
        [i, j] for i in range(40) for j in range(i + 1, 40)
        if first[i] @ first[j] > 0.2 and second[i] @ second[j] < 0.1
    ]  # fmt: skip
    assert blind_pairs(first, second, 0.2, 0.1).tolist() == slow
    assert len(slow) > 5
    assert blind_pairs(first[:0], second[:0]).shape == (0, 2)


def test_blocks_do_not_change_the_pairs(monkeypatch: pytest.MonkeyPatch):
    first, second = unit(40, 6), unit(40, 6, seed=1)
    whole = blind_pairs(first, second, 0.5, 0.3)
    monkeypatch.setattr("langfield.suite.bench.blind.BLOCK", 7)
    assert blind_pairs(first, second, 0.5, 0.3).tolist() == whole.tolist()
    assert len(whole) > 5


def test_pair_score_is_mmvps():
    images, texts = unit(200, 2, 8), unit(200, 2, 8, seed=1)
    patterns = [("count", "colour", "text")[i % 3] for i in range(200)]
    right = []
    for pair, statements in zip(images.numpy(), texts.numpy(), strict=True):
        shares = [np.exp(20 * (pair @ s)) / np.exp(20 * (pair @ s)).sum() for s in statements]
        right.append(shares[0][0] > 0.5 and shares[1][1] > 0.5)
    found = pair_score(images, texts, patterns)
    for name in ("count", "colour", "text"):
        assert found[name] == pytest.approx(np.mean([r for r, p in zip(right, patterns, strict=True) if p == name]))
    assert found["mean"] == pytest.approx(np.mean([found[n] for n in ("count", "colour", "text")]))
    assert 0.15 < found["mean"] < 0.35  # chance is a quarter
