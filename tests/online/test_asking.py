"""Questions to a map that grows: texts are encoded once, answers are judged by the state they are about."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from langfield.online.asking import Remembering


class Counting:
    """Gives each text a vector of its own, and notes which it was asked for."""

    name, dim = "counting", 4

    def __init__(self) -> None:
        self.provenance: dict[str, object] = {"licence": "none"}
        self.asked: list[str] = []

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        self.asked += texts
        rows = [torch.randn(4, generator=torch.Generator().manual_seed(sum(map(ord, text)))) for text in texts]
        return torch.nn.functional.normalize(torch.stack(rows), dim=1)


def test_texts_are_encoded_once_and_come_back_in_their_order():
    plain, counting = Counting(), Counting()
    kept = Remembering(counting)
    for texts in (["cup", "thing"], ["thing", "cup", "cup"], ["lamp", "thing"]):
        torch.testing.assert_close(kept.encode_texts(texts), plain.encode_texts(texts), rtol=0, atol=0)
    assert counting.asked == ["cup", "thing", "lamp"]
    assert (kept.name, kept.dim, kept.provenance) == ("counting", 4, {"licence": "none"})
    assert kept.encode_texts([]).shape == (0, 4)


def test_only_so_many_are_kept_the_last_ones():
    counting = Counting()
    kept = Remembering(counting, most=2)
    kept.encode_texts(["a", "b"])
    kept.encode_texts(["b", "c"])
    counting.asked.clear()
    kept.encode_texts(["b", "c"])
    assert counting.asked == []
    kept.encode_texts(["a"])
    assert counting.asked == ["a"]
