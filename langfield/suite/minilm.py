"""MiniLM-L6-v2: sentences to 384 numbers, from local files alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from langfield import weights
from langfield.artefacts import read_tensors
from langfield.errors import FormatError

WEIGHTS = "minilm-l6"
MAX_TOKENS = 128
BATCH = 64


class MiniLM:
    """Sentence encoder: mean of the last hidden tokens, normalised.

    Args:
        model: safetensors file of the weights; `tokenizer.json` lies beside it.
    """

    dim = 384

    def __init__(self, model: Path) -> None:
        from tokenizers import Tokenizer
        from transformers import BertConfig, BertModel

        config = BertConfig(
            vocab_size=30522, hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536,
        )  # fmt: skip
        with torch.device("meta"):
            self._bert = BertModel(config, add_pooling_layer=False)
        state = {k: t for k, t in read_tensors(model)[0].items() if not k.startswith("pooler.")}
        ids = torch.arange(config.max_position_embeddings)[None]
        try:
            self._bert.load_state_dict({k: t for k, t in state.items() if "position_ids" not in k}, assign=True)
        except RuntimeError as error:
            raise FormatError("the weights are of another model than MiniLM-L6", model) from error
        # Buffers that no file holds, so the empty ones of the meta device are still in place.
        self._bert.embeddings.register_buffer("position_ids", ids, persistent=False)
        self._bert.embeddings.register_buffer("token_type_ids", torch.zeros_like(ids), persistent=False)
        self._bert.requires_grad_(False).eval()
        self._tokenizer: Any = Tokenizer.from_file(str(model.with_name("tokenizer.json")))
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._tokenizer.no_padding()

    @torch.inference_mode()
    def encode(self, texts: Sequence[str]) -> Float[Tensor, "B 384"]:
        """Give one float32 unit vector per text; texts of equal length share a batch, so no padding is ever seen."""
        ids = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        out = torch.zeros(len(ids), self.dim)
        order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
        for rows in _equal_runs(order, [len(x) for x in ids]):
            hidden = self._bert(torch.tensor([ids[i] for i in rows])).last_hidden_state
            out[rows] = F.normalize(hidden.mean(1), dim=1)
        return out


def _equal_runs(order: Sequence[int], lengths: Sequence[int]) -> list[list[int]]:
    runs: list[list[int]] = []
    for i in order:
        if runs and lengths[runs[-1][0]] == lengths[i] and len(runs[-1]) < BATCH:
            runs[-1].append(i)
        else:
            runs.append([i])
    return runs


def load() -> MiniLM:
    """Make the encoder from the weights store.

    Raises:
        EnvironmentProblem: the weights are not on this machine.
    """
    return MiniLM(weights.require(WEIGHTS))
