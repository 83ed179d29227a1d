"""What a codec keeps: how near the vectors come back, and whether each still finds itself among the others."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from langfield.progress import say

MAX_RETRIEVED = 4096


@torch.no_grad()
def measure_fidelity(vectors: Float[Tensor, "M D"], restored: Float[Tensor, "M D"]) -> dict[str, float]:
    """Compare unit vectors with what came back.

    Args:
        vectors: what went into the codec.
        restored: what came out, of unit length.

    Returns:
        `mean_cosine`, `worst_1_percent_cosine` (1 % stay below it), `recall_at_1` and `recall_at_10`: how often a
        vector is the nearest, or among the ten nearest, of all vectors to what came back of it, over at most 4096
        vectors; with `_before`, the same of the vectors as they went in.
    """
    cosine = (vectors * restored).sum(dim=-1)
    vectors, restored = vectors[:MAX_RETRIEVED], restored[:MAX_RETRIEVED]
    ranks, before = _ranks(restored, vectors), _ranks(vectors, vectors)
    return {
        "vectors": len(cosine),
        "mean_cosine": float(cosine.mean()),
        "worst_1_percent_cosine": float(cosine.quantile(0.01)),
        "recall_at_1": float((ranks < 1).float().mean()),
        "recall_at_10": float((ranks < 10).float().mean()),
        "recall_at_1_before": float((before < 1).float().mean()),
        "recall_at_10_before": float((before < 10).float().mean()),
    }


def _ranks(queries: Tensor, vectors: Tensor) -> Tensor:
    """Count, per query, the vectors that are nearer to it than the one of its own row."""
    own = (queries * vectors).sum(dim=-1, keepdim=True)
    return (queries @ vectors.T > own + 1e-6).sum(dim=-1)


def report_fidelity(what: str, vectors: Float[Tensor, "M D"], restored: Float[Tensor, "M D"]) -> dict[str, float]:
    """Measure fidelity and tell it to the person who waits, in one line that begins with `what`."""
    found = measure_fidelity(vectors, restored)
    say(f"{what}: {fidelity_text(found)}")
    return found


def fidelity_text(found: Mapping[str, object]) -> str:
    """Give what `measure_fidelity` found as words; what an older file does not hold is left out."""
    words = {
        "mean_cosine": "cosine {:.3f}",
        "worst_1_percent_cosine": "worst 1 % below {:.3f}",
        "recall_at_1": "own vector found first {:.1%}",
        "recall_at_1_before": "(before {:.1%})",
        "recall_at_10": "among ten {:.1%}",
        "recall_at_10_before": "(before {:.1%})",
    }
    told = [text.format(found[name]) for name, text in words.items() if isinstance(found.get(name), float)]
    return ", ".join(told).replace(", (", " (")
