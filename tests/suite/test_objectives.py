"""Each loss against its sum written out, and what it does at its limits."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import normalize

from langfield.suite import objectives as o

B, D, SCALE = 5, 8, 7.0


def unit(seed: int, *shape: int) -> torch.Tensor:
    return normalize(torch.randn(*shape, D, generator=torch.Generator().manual_seed(seed)), dim=-1)


def log_softmax(row: list[float], at: int) -> float:
    return row[at] - math.log(sum(math.exp(v) for v in row))


def dot(a: torch.Tensor, b: torch.Tensor) -> float:
    return SCALE * sum(float(x) * float(y) for x, y in zip(a, b, strict=True))


def test_contrastive_written_out():
    images, texts, more = unit(0, B), unit(1, B), unit(2, 3)
    rows = [-log_softmax([dot(i, t) for t in [*texts, *more]], n) for n, i in enumerate(images)]
    columns = [-log_softmax([dot(i, t) for i in images], n) for n, t in enumerate(texts)]
    expected = (sum(rows) / B + sum(columns) / B) / 2
    assert float(o.contrastive(images, texts, SCALE, more)) == pytest.approx(expected, rel=1e-5)


def test_contrastive_with_equal_captions_and_smoothing():
    images, texts = unit(0, 4), unit(1, 4)
    texts[3] = texts[1]
    same = torch.eye(4).bool()
    same[1, 3] = same[3, 1] = True
    found = float(o.contrastive(images, texts, SCALE, same=same, smoothing=0.1))
    total = 0.0
    for one, other in ((images, texts), (texts, images)):
        for n in range(4):
            row = [dot(one[n], v) for v in other]
            logs = [log_softmax(row, k) for k in range(4)]
            right = [k for k in range(4) if same[n, k]]
            total -= 0.9 * sum(logs[k] for k in right) / len(right) + 0.1 * sum(logs) / 4
    assert found == pytest.approx(total / 8, rel=1e-5)
    assert o.contrastive(unit(0, B), unit(0, B), 1e4) < 1e-6


def test_classify_written_out():
    vectors, classes, labels = unit(0, B), unit(1, 3), torch.tensor([0, 2, 1, 1, 0])
    each = [-log_softmax([dot(v, c) for c in classes], int(k)) for v, k in zip(vectors, labels, strict=True)]
    assert float(o.classify(vectors, classes, labels, SCALE)) == pytest.approx(sum(each) / B, rel=1e-5)


def test_hard_negative_written_out_and_its_tie():
    images, texts, wrong = unit(0, B), unit(1, B), unit(2, B, 4)
    each = [-log_softmax([dot(images[n], t) for t in [texts[n], *wrong[n]]], 0) for n in range(B)]
    assert float(o.hard_negative(images, texts, wrong, SCALE)) == pytest.approx(sum(each) / B, rel=1e-5)
    tie = o.hard_negative(images, texts, texts[:, None], SCALE)
    assert float(tie) == pytest.approx(math.log(2), rel=1e-5)


def test_supervised_contrastive_written_out():
    vectors, labels = unit(0, 6), torch.tensor([0, 0, 1, 1, 1, 2])
    each = []
    for i in range(6):
        others = [k for k in range(6) if k != i]
        row = [float(vectors[i] @ vectors[k]) / 0.1 for k in others]
        mine = [log_softmax(row, others.index(k)) for k in others if labels[k] == labels[i]]
        each += [-sum(mine) / len(mine)] if mine else []
    assert float(o.supervised_contrastive(vectors, labels, 0.1)) == pytest.approx(sum(each) / len(each), rel=1e-4)
    assert float(o.supervised_contrastive(vectors, torch.arange(6), 0.1)) == 0


def test_supervised_contrastive_has_gradients_everywhere():
    vectors = unit(0, 6).requires_grad_()
    o.supervised_contrastive(vectors, torch.tensor([0, 0, 1, 1, 1, 2]), 0.1).backward()
    assert vectors.grad is not None
    assert torch.isfinite(vectors.grad).all()
    assert vectors.grad.abs().sum() > 0


def test_relation_written_out_and_its_gate():
    student, teacher = 3 * unit(0, B), 3 * unit(1, B)
    each = []
    for s, t in zip(student.tolist(), teacher.tolist(), strict=True):
        logs = [(log_softmax(t, k), log_softmax(s, k)) for k in range(D)]
        each.append(sum(math.exp(a) * (a - b) for a, b in logs))
    assert float(o.relation(student, teacher)) == pytest.approx(sum(each) / B, rel=1e-4)
    gate = torch.tensor([True, False, False, True, False])
    assert float(o.relation(student, teacher, gate)) == pytest.approx((each[0] + each[3]) / B, rel=1e-4)
    assert float(o.relation(teacher, teacher)) == pytest.approx(0, abs=1e-6)
    both = student.requires_grad_(), teacher.requires_grad_()
    o.relation(*both).backward()
    assert both[0].grad is not None
    assert both[1].grad is None


def test_agreement_and_structure():
    vectors, other = unit(0, B), unit(1, B)
    turn = torch.linalg.qr(torch.randn(D, D, generator=torch.Generator().manual_seed(3))).Q
    assert float(o.agreement(vectors, vectors)) == pytest.approx(0, abs=1e-6)
    assert float(o.agreement(vectors, -vectors)) == pytest.approx(2, abs=1e-6)
    assert float(o.structure(vectors @ turn, vectors)) == pytest.approx(0, abs=1e-6)
    pairs = [(i, k) for i in range(B) for k in range(i + 1, B)]
    gaps = [float((vectors[i] - vectors[k]).norm() - (other[i] - other[k]).norm()) for i, k in pairs]
    huber = [0.5 * g * g if abs(g) < 1 else abs(g) - 0.5 for g in gaps]
    assert float(o.structure(vectors, other)) == pytest.approx(sum(huber) / len(pairs), rel=1e-4)


def test_primary_component():
    vectors = unit(0, 12)
    centred = (vectors - vectors.mean(0)).double()
    axes = torch.linalg.eigh(centred.T @ centred).eigenvectors[:, -3:]
    expected = centred @ axes @ axes.T + vectors.mean(0)
    torch.testing.assert_close(o.primary_component(vectors, 3), expected.float(), rtol=0, atol=1e-5)
    assert torch.equal(o.primary_component(vectors, 12), vectors)
    flat = o.primary_component(vectors, 3)
    torch.testing.assert_close(o.primary_component(flat, 3), flat, rtol=0, atol=1e-5)


def test_tags_of_one_is_cross_entropy_and_of_none_nothing():
    logits, one = 3 * unit(0, B), torch.eye(D)[:B].bool()
    expected = torch.nn.functional.cross_entropy(logits, torch.arange(B))
    torch.testing.assert_close(o.tags(logits, one), expected)
    assert float(o.tags(logits, torch.zeros_like(one))) == 0
    two = one.clone()
    two[:, 7] = True
    halves = [(log_softmax(r.tolist(), n) + log_softmax(r.tolist(), 7)) / 2 for n, r in enumerate(logits)]
    assert float(o.tags(logits, two)) == pytest.approx(-sum(halves) / B, rel=1e-5)
