"""open_clip's vision transformer in pieces: tokens after any block, the last attention, the tail from given tokens.

Blocks are called as modules, so hooks and parametrisations of `langfield.suite.surgery` act here as in the whole tower.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from langfield.errors import SettingsError


def check_tower(visual: nn.Module) -> Any:
    """Give a tower that these functions can take apart.

    Raises:
        SettingsError: it is no vision transformer of open_clip with a class token.
    """
    from open_clip.transformer import VisionTransformer

    if not isinstance(visual, VisionTransformer) or not visual.transformer.batch_first:
        kind = type(visual).__name__
        raise SettingsError("this image tower cannot be taken apart", kind, "use a ViT, such as openclip:ViT-B-16/...")
    return visual


def depth(visual: nn.Module) -> int:
    """Give the number of blocks."""
    return len(check_tower(visual).transformer.resblocks)


def tokens(visual: nn.Module, pixels: Float[Tensor, "B 3 S S"], layers: Sequence[int]) -> list[Float[Tensor, "B T C"]]:
    """Give the tokens (class token first) after so many blocks: 0 is what enters the first, -1 what leaves the last.

    Raises:
        SettingsError: the tower cannot be taken apart, or has no such layer.
    """
    tower = check_tower(visual)
    blocks = tower.transformer.resblocks
    wanted = [layer % (len(blocks) + 1) for layer in layers]
    if any(not -len(blocks) - 1 <= layer <= len(blocks) for layer in layers):
        raise SettingsError(f"the tower has layers 0 to {len(blocks)}", str(list(layers)))
    states = [tower._embeds(pixels)]
    for block in blocks[: max(wanted, default=0)]:
        states.append(block(states[-1]))
    return [states[layer] for layer in wanted]


def attention(visual: nn.Module, state: Float[Tensor, "B T C"], layer: int = -1) -> Float[Tensor, "B h T T"]:
    """Give the attention of a block, per head; rows sum to 1.

    Args:
        visual: the tower.
        state: tokens that enter the block.
        layer: which block; the last where not said.
    """
    block = check_tower(visual).transformer.resblocks[layer]
    normed = block.ln_1(state)
    return block.attn(normed, normed, normed, need_weights=True, average_attn_weights=False)[1]


def tail(visual: nn.Module, state: Float[Tensor, "B T C"], start: int) -> Float[Tensor, "B D"]:
    """Run the blocks from `start` on given tokens, pool and project; not normalised.

    Args:
        visual: the tower.
        state: tokens after `start` blocks, class token first; any number of tokens.
        start: how many blocks they have been through.
    """
    tower = check_tower(visual)
    for block in tower.transformer.resblocks[start:]:
        state = block(state)
    pooled, _ = tower._pool(state)
    return pooled if tower.proj is None else pooled @ tower.proj


def project(visual: nn.Module, state: Float[Tensor, "B T C"]) -> Float[Tensor, "B T D"]:
    """Bring tokens that leave the last block into the embedding space, each as the class token is; not normalised."""
    tower = check_tower(visual)
    normed = tower.ln_post(state)
    return normed if tower.proj is None else normed @ tower.proj


def grid(visual: nn.Module) -> tuple[int, int]:
    """Give rows and columns of patches."""
    rows, columns = check_tower(visual).grid_size
    return int(rows), int(columns)


def unit(vectors: Float[Tensor, "*B D"]) -> Float[Tensor, "*B D"]:
    """Scale vectors to unit length."""
    return torch.nn.functional.normalize(vectors, dim=-1)
