"""open_clip's text transformer in pieces: from token embeddings instead of ids, as prompt learning needs it.

The pieces lie on `CLIP` itself or on its `text`; both are read when used, so that surgery on them acts here too.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from langfield.errors import SettingsError

PIECES = ("token_embedding", "positional_embedding", "transformer", "ln_final")


def text_owner(module: nn.Module) -> Any | None:
    """Give the module that holds the pieces of the text tower, or None where there is none that can be taken apart."""
    for owner in (module, getattr(module, "text", None)):
        if owner is not None and all(hasattr(owner, piece) for piece in PIECES):
            plain = getattr(owner, "cls_emb", None) is None and not getattr(owner, "use_pad_mask", False)
            return owner if plain else None
    return None


def embed(owner: Any, ids: Int[Tensor, "B L"]) -> Float[Tensor, "B L C"]:
    """Give the embeddings of tokens, without positions."""
    return owner.token_embedding(ids)


def ends(owner: Any, ids: Int[Tensor, "B L"]) -> Int[Tensor, " B"]:
    """Say which token of each text its vector is read from."""
    pool = getattr(owner, "text_pool_type", None) or getattr(owner, "pool_type", "argmax")
    if pool == "eos":
        end = getattr(owner, "text_eos_id", None) or getattr(owner, "eos_id", None)
        return (ids == end).int().argmax(dim=-1)
    if pool in ("first", "last"):
        return torch.full((len(ids),), 0 if pool == "first" else ids.shape[1] - 1, device=ids.device)
    if pool != "argmax":
        raise SettingsError("this text tower pools in a way that is not known", str(pool))
    return ids.argmax(dim=-1)


def from_embeddings(owner: Any, embeddings: Float[Tensor, "B L C"], at: Int[Tensor, " B"]) -> Float[Tensor, "B D"]:
    """Run the tower from token embeddings; not normalised.

    Args:
        owner: what `text_owner` gave.
        embeddings: of tokens, without positions; at most as many as there are positions.
        at: which token of each text its vector is read from.
    """
    length = embeddings.shape[1]
    state = embeddings + owner.positional_embedding[:length].to(embeddings)
    mask = getattr(owner, "attn_mask", None)
    state = owner.transformer(state, attn_mask=None if mask is None else mask[:length, :length])
    pooled = owner.ln_final(state)[torch.arange(len(state), device=state.device), at]
    projection = owner.text_projection
    if projection is None:
        return pooled
    return projection(pooled) if isinstance(projection, nn.Module) else pooled @ projection
