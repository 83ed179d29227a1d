"""Fidelity against a plain loop."""

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from langfield.codec.fidelity import fidelity_text, measure_fidelity


def test_against_a_loop():
    generator = torch.Generator().manual_seed(0)
    vectors = normalize(torch.randn(40, 6, generator=generator), dim=-1)
    back = normalize(vectors + 0.5 * torch.randn(40, 6, generator=generator), dim=-1)
    firsts = tens = 0
    for i in range(40):
        nearer = sum(float(back[i] @ vectors[j]) > float(back[i] @ vectors[i]) + 1e-6 for j in range(40))
        firsts += nearer < 1
        tens += nearer < 10
    found = measure_fidelity(vectors, back)
    cosines = [float(a @ b) for a, b in zip(vectors, back, strict=True)]
    assert 0 < firsts < 40
    assert found["recall_at_1"] == pytest.approx(firsts / 40)
    assert found["recall_at_10"] == pytest.approx(tens / 40)
    assert found["mean_cosine"] == pytest.approx(float(np.mean(cosines)), abs=1e-6)
    assert found["worst_1_percent_cosine"] == pytest.approx(float(np.quantile(cosines, 0.01)), abs=1e-5)


def test_the_line_for_a_person_says_before_and_after_and_leaves_out_what_an_older_file_lacks():
    vectors = normalize(torch.randn(40, 6, generator=torch.Generator().manual_seed(0)), dim=-1)
    found = measure_fidelity(vectors, vectors.flip(0))  # every vector comes back as another
    assert (found["recall_at_1"], found["recall_at_1_before"], found["recall_at_10_before"]) == (0, 1, 1)
    text = fidelity_text(found)
    assert "own vector found first 0.0% (before 100.0%), among ten" in text
    assert fidelity_text({"mean_cosine": 0.9876, "recall_at_10": "many"}) == "cosine 0.988"
