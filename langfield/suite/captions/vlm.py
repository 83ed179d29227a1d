"""Image-text models of transformers, on this machine: "transformers:Qwen/Qwen2-VL-7B-Instruct", or a folder."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image

from langfield.suite.captions.types import Speechless, tidy
from langfield.weights.pretrained import ModelKind, load_pretrained

VERSION = 1  # of how pictures and prompts are given to the model
MAX_TOKENS = 128
REMEDY = "use a folder that holds the model, an endpoint, or recorded captions"
KIND = ModelKind("image-text model", "AutoProcessor", "AutoModelForImageTextToText", REMEDY)


class Vlm:
    """Captioner over a model and its processor; words are taken greedily, so the same question has one answer.

    Args:
        name: where the model came from, as `load` takes it.
        model: an image-text model with `generate`.
        processor: its processor, with a chat template.
        version: what tells these weights from others of the same name.
        max_tokens: longest reply, tokens.
    """

    parallel = 1

    def __init__(self, name: str, model: Any, processor: Any, version: str, max_tokens: int = MAX_TOKENS) -> None:
        self.name = f"transformers:{name}"
        self._model, self._processor, self._max_tokens = model.eval(), processor, max_tokens
        self._lock = Lock()
        self.identity: dict[str, Any] = {
            "captioner": "transformers", "model": name, "weights": version, "max_tokens": max_tokens,
            "version": VERSION,
        }  # fmt: skip
        self.provenance: dict[str, Any] = {**self.identity, "licence": "see the model's card"}

    def to(self, device: torch.device) -> None:
        """Generate on a device from now on."""
        self._model = self._model.to(device)

    @torch.inference_mode()
    def caption(self, images: Sequence[UInt8[np.ndarray, "h w 3"]], prompt: str) -> str:
        """Give one tidy line of words; see `Captioner`."""
        with self._lock:
            inputs = self._inputs(images, prompt)
            start = inputs["input_ids"].shape[1]
            out = self._model.generate(
                **inputs, max_new_tokens=self._max_tokens, do_sample=False, temperature=None, top_p=None, top_k=None
            )
            fresh = out[0, start:]
            words = self._processor.batch_decode(fresh[None], skip_special_tokens=True)[0]
        try:
            return tidy(words, cut=len(fresh) >= self._max_tokens)
        except Speechless as error:
            raise Speechless(f"the model gave nothing that can be used: {error.what}", self.name) from error

    def _inputs(self, images: Sequence[np.ndarray], prompt: str) -> Any:
        pictures = [Image.fromarray(image) for image in images]
        content = [*({"type": "image"} for _ in pictures), {"type": "text", "text": prompt}]
        chat = self._processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
        made = self._processor(text=[chat], images=pictures or None, return_tensors="pt")
        return made.to(self._model.device)


def load(where: str) -> Vlm:
    """Make the captioner.

    Args:
        where: a folder, or a model's name on the hub with or without "@REVISION".

    Raises:
        EnvironmentProblem: the hub cannot be reached and the model is not in its cache.
        FormatError: what is there is no image-text model that transformers knows.
    """
    found = load_pretrained(where, KIND)
    return Vlm(found.name, found.model, found.processor, found.version)
