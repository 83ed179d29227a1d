"""Words of the toy world to token ids; called as open_clip's own tokenizers are."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from langfield.suite.toy.words import vocabulary

CONTEXT = 20
WORD = re.compile(r"[^\W\d_]+")


class ToyTokenizer:
    """One id per word; 0 pads, 1 is any unknown word, the last two begin and end a text (the end is the highest)."""

    def __init__(self, context_length: int = CONTEXT) -> None:
        words = vocabulary()
        self.context_length = context_length
        self.encoder = {"<pad>": 0, "<unknown>": 1, **{word: i for i, word in enumerate(words, start=2)}}
        self.sot_token_id, self.eot_token_id = len(self.encoder), len(self.encoder) + 1
        self.encoder |= {"<start_of_text>": self.sot_token_id, "<end_of_text>": self.eot_token_id}
        self.decoder = {i: word for word, i in self.encoder.items()}
        self.vocab_size = len(self.encoder)
        self.all_special_ids = [self.sot_token_id, self.eot_token_id]

    def encode(self, text: str) -> list[int]:
        """Give the ids of a text's words, without begin and end; case and punctuation do not count."""
        return [self.encoder.get(word, 1) for word in WORD.findall(text.lower())]

    def decode(self, ids: Sequence[int]) -> str:
        """Give the words of ids, special ones too."""
        return " ".join(self.decoder[int(i)] for i in ids)

    def __call__(self, texts: str | Sequence[str], context_length: int | None = None) -> Int[Tensor, "B L"]:
        """Give rows of ids, padded with 0; a text that is too long keeps its beginning and the end token."""
        length = context_length or self.context_length
        rows = []
        for text in [texts] if isinstance(texts, str) else texts:
            ids = [self.sot_token_id, *self.encode(text)[: length - 2], self.eot_token_id]
            rows.append(ids + [0] * (length - len(ids)))
        return torch.tensor(rows, dtype=torch.long).reshape(len(rows), length)
