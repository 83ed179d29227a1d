"""CLIPs of open_clip's own classes, untrained and tiny, in both of its layouts."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import torch

from langfield.suite.model import ClipModel, Parts

DIM, SIDE, CONTEXT, WORDS = 32, 32, 12, 62


def tokenize(texts: Sequence[str], length: int = CONTEXT) -> torch.Tensor:
    """One id a word, from its letters; 0 pads, 62 begins, 63 ends."""
    rows = torch.zeros(len(texts), length, dtype=torch.long)
    for row, text in zip(rows, texts, strict=True):
        ids = [WORDS, *(1 + zlib.crc32(word.encode()) % (WORDS - 1) for word in text.split()[: length - 2]), WORDS + 1]
        row[: len(ids)] = torch.tensor(ids)
    return rows


def pixels(images: Sequence[np.ndarray]) -> torch.Tensor:
    """The upper left corner, from -1 to 1."""
    return torch.stack([torch.tensor(image[:SIDE, :SIDE]).permute(2, 0, 1).float() / 127.5 - 1 for image in images])


def pictures(count: int = 3, seed: int = 0) -> list[np.ndarray]:
    """Noise, half a picture of one colour."""
    random = np.random.default_rng(seed)
    found = random.integers(0, 256, (count, SIDE, SIDE, 3)).astype(np.uint8)
    found[:, :, : SIDE // 2] = random.integers(0, 256, (count, 1, 1, 3))
    return list(found)


def tiny_clip(seed: int = 0, layout: str = "CLIP", pool: str = "argmax") -> ClipModel:
    """Make one; `layout` is "CLIP" (text pieces on the model) or "CustomTextCLIP" (in its `text`)."""
    from open_clip import model as open_clip_model

    vision = open_clip_model.CLIPVisionCfg(layers=3, width=48, head_width=16, patch_size=8, image_size=SIDE)
    text = open_clip_model.CLIPTextCfg(
        context_length=CONTEXT, vocab_size=64, width=36, heads=3, layers=2, pool_type=pool, eos_id=WORDS + 1
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = getattr(open_clip_model, layout)(DIM, vision, text)
        for parameter in module.parameters():  # open_clip's own start leaves biases at zero
            if parameter.ndim == 1:
                parameter.data += 0.1 * torch.randn_like(parameter)
    return ClipModel(f"tiny:{layout}/{seed}", Parts(module, pixels, tokenize, None, {"licence": "none"}), DIM)
