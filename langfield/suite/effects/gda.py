"""GDA: examples correct what words get wrong, and know more than class means."""

from __future__ import annotations

import torch
from torch.nn.functional import normalize

from langfield.suite.effects.ground import model, new_names, share
from langfield.suite.effects.types import Effect
from langfield.suite.slots import FewShotTask
from langfield.suite.teach.gda import Settings, fit

GROUND = "toy:bag, a name nobody knows for each of eight shapes"


def over_words(seed: int, shots: int = 4) -> tuple[float, float]:
    """Words alone against words and a few examples."""
    task, vectors, truth = new_names("bag", seed, shots)
    heads = [fit(task, model("bag"), Settings(alpha=alpha)) for alpha in (0.0, None)]
    before, after = (share(head.relevancy(vectors).argmax(0), truth) for head in heads)
    return before, after


def over_means(seed: int) -> tuple[float, float]:
    """Nearest class mean against the discriminant, on vectors that differ most along directions no name is about."""
    task, vectors, truth = spread(seed, 16)
    means = normalize(torch.stack([task.vectors[task.labels == c].mean(0) for c in range(4)]), dim=1)
    return share((vectors @ means.T).argmax(1), truth), share(fit(task).relevancy(vectors).argmax(0), truth)


def spread(seed: int, shots: int, dim: int = 24) -> tuple[FewShotTask, torch.Tensor, torch.Tensor]:
    """Four names whose texts are half wrong, things that differ in five wide directions; 800 things to be named."""
    generator = torch.Generator().manual_seed(seed)
    means = normalize(torch.randn(4, dim, generator=generator), dim=-1)
    texts = normalize(means + 1.2 * normalize(torch.randn(4, dim, generator=generator), dim=-1), dim=-1)
    turn = torch.linalg.qr(torch.randn(dim, dim, generator=generator)).Q
    labels = torch.arange(4).repeat(shots + 200)
    noise = torch.randn(len(labels), dim, generator=generator) @ (torch.tensor([0.7] * 5 + [0.1] * (dim - 5)) * turn).T
    vectors, cut = normalize(means[labels] + noise, dim=-1), 4 * shots
    task = FewShotTask(vectors[:cut], labels[:cut], ("0", "1", "2", "3"), texts, texts[:0])
    return task, vectors[cut:], labels[cut:]


EFFECTS = (
    Effect("four examples a name are far better than the words", GROUND, "share named right", 0.2, over_words),
    Effect(
        "a shared covariance is better than class means",
        "made vectors with wide directions, 16 examples a name",
        "share named right",
        0.02,
        over_means,
    ),
)
