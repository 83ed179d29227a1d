"""e5-mistral-7b-instruct: sentences to 4096 numbers, the encoder that 4D LangSplat embeds its captions with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from langfield.errors import EnvironmentProblem, FormatError
from langfield.weights.hub import check_reachable

HUB = "intfloat/e5-mistral-7b-instruct"
MAX_TOKENS = 4096
BATCH = 4
TASK = "Given a question about the state of an object, retrieve the caption that describes this state"
REMEDY = "use minilm-l6, whose weights a package index has, or e5-mistral:FOLDER"


class E5Mistral:
    """Sentence encoder: the hidden state of the end mark that closes each text, normalised.

    Args:
        name: spec string that makes it again.
        model: a causal decoder without its head.
        tokenizer: its tokenizer, with an end mark.
        version: what tells these weights from others of the same name.
        task: what questions are told to be for; captions are encoded as they are.
    """

    def __init__(self, name: str, model: Any, tokenizer: Any, version: str, task: str = TASK) -> None:
        self.name, self._model, self._tokenizer, self._task = name, model.eval(), tokenizer, task
        self.dim = int(model.config.hidden_size)
        self.provenance: dict[str, Any] = {
            "name": name, "weights": version, "licence": "MIT, as stated by its card", "task": task,
            "max_tokens": MAX_TOKENS,
        }  # fmt: skip

    def to(self, device: torch.device) -> None:
        """Encode on a device from now on."""
        self._model = self._model.to(device)

    def encode_texts(self, texts: Sequence[str]) -> Float[Tensor, "B D"]:
        """Give one float32 unit vector per caption."""
        rows = [self._encode(list(texts[i : i + BATCH])) for i in range(0, len(texts), BATCH)]
        return torch.cat(rows) if rows else torch.zeros(0, self.dim)

    def encode_queries(self, texts: Sequence[str]) -> Float[Tensor, "B D"]:
        """Give one float32 unit vector per question, the task before it."""
        return self.encode_texts([f"Instruct: {self._task}\nQuery: {text}" for text in texts])

    @torch.inference_mode()
    def _encode(self, texts: list[str]) -> Float[Tensor, "B D"]:
        cut = self._tokenizer(texts, truncation=True, max_length=MAX_TOKENS - 1)["input_ids"]
        end = self._tokenizer.eos_token_id
        ids = [torch.tensor(row if row and row[-1] == end else [*row, end]) for row in cut]
        device = next(self._model.parameters()).device
        # Padding on the right: a causal decoder's end mark never sees it.
        padded = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True, padding_value=end).to(device)
        last = torch.tensor([len(row) - 1 for row in ids], device=device)
        mask = torch.arange(padded.shape[1], device=device)[None] <= last[:, None]
        hidden = self._model(input_ids=padded, attention_mask=mask.long()).last_hidden_state
        return F.normalize(hidden[torch.arange(len(ids), device=device), last].float(), dim=1).cpu()


def load_sentences(where: str = "") -> E5Mistral:
    """Make the encoder from a folder, or from the hub's copy where none is given.

    Raises:
        EnvironmentProblem: the hub cannot be reached and the model is not in its cache.
        FormatError: what is there is no model that transformers knows.
    """
    source = where or HUB
    if not where:
        from huggingface_hub import constants, try_to_load_from_cache

        if not isinstance(try_to_load_from_cache(HUB, "config.json"), str):
            check_reachable(constants.ENDPOINT, HUB, REMEDY)
    elif not Path(where).is_dir():
        raise EnvironmentProblem("there is no folder of an e5-mistral model", where, REMEDY)
    from safetensors import SafetensorError
    from transformers import AutoModel, AutoTokenizer

    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
        model: Any = AutoModel.from_pretrained(source, trust_remote_code=False, use_safetensors=True, dtype="auto")
    except (ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as error:
        raise FormatError(f"no sentence encoder: {str(error).splitlines()[0][:200]}", source, REMEDY) from error
    except OSError as error:
        raise EnvironmentProblem(f"{source} cannot be had: {str(error).splitlines()[0][:200]}", None, REMEDY) from error
    return E5Mistral(f"e5-mistral:{where}" if where else "e5-mistral", model, tokenizer, _version(model))


def _version(model: Any) -> str:
    """Give the hub's commit, or a hash of the parameters."""
    from langfield.suite.openclip import weights_hash

    return str(getattr(model.config, "_commit_hash", None) or weights_hash(model))
