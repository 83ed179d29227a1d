"""Blind pairs planted and found, the score by hand, and the two mixtures."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import normalize

from langfield.errors import SettingsError
from langfield.suite.diagnose import mmvp
from langfield.suite.diagnose.mmvp import Settings, diagnose, interleave, mix, pair_score
from langfield.suite.slots import Items


def planted(seed: int, pairs: int = 3, count: int = 40) -> Items:
    """Things all apart in both encoders, but the first `pairs` twins are one to the first encoder only."""
    g = torch.Generator().manual_seed(seed)
    one, other = (normalize(torch.randn(count, 64, generator=g), dim=-1) for _ in range(2))
    for i in range(pairs):
        one[2 * i + 1] = normalize(one[2 * i] + 0.01 * (i + 1) * torch.randn(64, generator=g) / 8, dim=0)
    one[20], other[20] = one[21], other[21]  # the same to both: no blind pair
    return Items(one, other=other)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_effect_planted_pairs_are_found_and_nothing_else(seed, monkeypatch):
    found = diagnose(planted(seed))
    assert {(row["a"], row["b"]) for row in found} == {(0, 1), (2, 3), (4, 5)}
    gaps = [row["same"] - row["apart"] for row in found]
    assert gaps == sorted(gaps, reverse=True)
    monkeypatch.setattr(mmvp, "ROWS_AT_ONCE", 3)
    assert diagnose(planted(seed)) == found


def test_against_all_pairs_one_by_one():
    items = planted(4, 2)
    assert items.other is not None
    loose = Settings(same=0.1, apart=0.05, most=10_000)
    expected = set()
    for a in range(40):
        for b in range(a + 1, 40):
            if items.vectors[a] @ items.vectors[b] > 0.1 and items.other[a] @ items.other[b] < 0.05:
                expected.add((a, b))
    assert {(row["a"], row["b"]) for row in diagnose(items, loose)} == expected
    assert len(expected) > 50
    assert diagnose(items, Settings(same=0.1, apart=0.05, most=7)) == diagnose(items, loose)[:7]


def test_entities_and_texts():
    items = planted(0)
    labels = torch.arange(40)
    labels[1] = 0
    named = Items(items.vectors, tuple(map(str, range(40))), None, labels, items.other)
    found = diagnose(named)
    assert {(row["a"], row["b"]) for row in found} == {(2, 3), (4, 5)}
    assert all(row["texts"] == [str(row["a"]), str(row["b"])] for row in found)
    with pytest.raises(SettingsError, match="second encoder"):
        diagnose(Items(items.vectors))


def test_the_score_by_hand_and_by_chance():
    right, left, upside, tie = (
        [[0.9, 0.1], [0.2, 0.8]],
        [[0.9, 0.9], [0.2, 0.8]],
        [[0.1, 0.9], [0.8, 0.2]],
        [[0.5] * 2] * 2,
    )
    cosines = torch.tensor([right, left, upside, right, tie])
    score = pair_score(cosines, ["colour", "colour", "side", "side", "side"])
    assert score == {"colour": 0.5, "side": pytest.approx(1 / 3), "mean": pytest.approx(5 / 12)}
    chance = torch.rand(20_000, 2, 2, generator=torch.Generator().manual_seed(0))
    assert pair_score(chance, ["any"] * 20_000)["mean"] == pytest.approx(0.25, abs=0.02)


def test_mixtures():
    one, other = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    assert torch.equal(mix(one, other, 1.0), one)
    torch.testing.assert_close(mix(one, other, 0.25), 0.25 * one + 0.75 * other)
    both = interleave(one, other)
    assert both.shape == (2, 6, 4)
    assert torch.equal(both[:, 0::2], one)
    assert torch.equal(both[:, 1::2], other)
