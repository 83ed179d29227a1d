"""Any open_clip model by its own name and tag, image and text tower: "openclip:ViT-B-16/laion2b_s34b_b88k"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from langfield.errors import EnvironmentProblem, FormatError, SettingsError
from langfield.weights.hub import check_reachable

BATCH = 8
OFFLINE = "use openai-vit-b16-torch with bridge-minilm-b16, whose weights a package index has"


def parse_spec(spec: str) -> tuple[str, str]:
    """Split "openclip:MODEL/TAG" into model and tag.

    Raises:
        SettingsError: not of that form, or open_clip has no such model or tag.
    """
    model, slash, tag = spec.removeprefix("openclip:").partition("/")
    if not spec.startswith("openclip:") or not slash or not model or not tag:
        raise SettingsError(f"{spec!r} is not of the form openclip:MODEL/TAG")
    import open_clip

    tags = open_clip.list_pretrained_tags_by_model(model)
    if tag not in tags:
        known = ", ".join(tags) or "none; see open_clip.list_pretrained()"
        raise SettingsError(f"open_clip has no {model} trained as {tag!r}", spec, f"tags of that model: {known}")
    return model, tag


class OpenClip:
    """ImageEncoder and TextEncoder over one open_clip model; texts are encoded as they are, without a template.

    Args:
        spec: where the model came from, kept as its name.
        model: an open_clip CLIP model.
        transform: its preprocessing, PIL picture to tensor.
        tokenizer: its tokenizer, texts to ids.
        licence: what its card says.
    """

    def __init__(
        self, spec: str, model: Any, transform: Any, tokenizer: Any, licence: str = "see the model's card"
    ) -> None:
        self.name = spec
        self._model, self._transform, self.tokenizer = model.eval(), transform, tokenizer
        self._device = torch.device("cpu")
        self.dim = int(tokenizer_dim(model, tokenizer))
        self.provenance: dict[str, Any] = {
            "name": spec, "weights": spec, "sha256": weights_hash(model), "licence": licence,
            "preprocessing": str(transform), "text": "no template",
        }  # fmt: skip

    @torch.inference_mode()
    def encode_images(self, images: Sequence[UInt8[np.ndarray, "h w 3"]]) -> Float[Tensor, "B D"]:
        """Give one float32 unit vector per picture (RGB, any sizes)."""
        rows = []
        for start in range(0, len(images), BATCH):
            pixels = self.pixels(images[start : start + BATCH]).to(self._device)
            rows.append(self._model.encode_image(pixels).float().cpu())
        return F.normalize(torch.cat(rows), dim=1) if rows else torch.zeros(0, self.dim)

    def pixels(self, images: Sequence[UInt8[np.ndarray, "h w 3"]]) -> Float[Tensor, "B 3 S S"]:
        """Give the network's input of RGB pictures of any sizes."""
        return torch.stack([self._transform(Image.fromarray(image)) for image in images])

    @torch.inference_mode()
    def encode_texts(self, texts: Sequence[str]) -> Float[Tensor, "B D"]:
        """Give one float32 unit vector per text."""
        rows = [
            self._model.encode_text(self.tokenizer(list(texts[i : i + BATCH])).to(self._device)).float().cpu()
            for i in range(0, len(texts), BATCH)
        ]
        return F.normalize(torch.cat(rows), dim=1) if rows else torch.zeros(0, self.dim)

    def to(self, device: torch.device) -> None:
        """Encode on a device from now on."""
        self._model, self._device = self._model.to(device), device

    def module(self) -> nn.Module:
        """Give the open_clip model itself."""
        return self._model


@torch.inference_mode()
def tokenizer_dim(model: Any, tokenizer: Any) -> int:
    """Give the width of the space the model embeds into."""
    return model.encode_text(tokenizer([""])).shape[1]


def weights_hash(model: nn.Module) -> str:
    """Hash the parameters, so that a run can say which weights it used."""
    import hashlib

    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def load_image(spec: str) -> OpenClip:
    """Make the encoder, downloading the model through the hub unless it is in the hub's cache.

    Raises:
        SettingsError: no such model or tag.
        EnvironmentProblem: the hub cannot be reached; said within seconds.
        FormatError: what the hub sent is not that model.
    """
    model_name, tag = parse_spec(spec)
    import open_clip

    if not _cached(model_name, tag):
        from huggingface_hub import constants

        check_reachable(constants.ENDPOINT, spec, OFFLINE)
    try:
        model, _, transform = open_clip.create_model_and_transforms(model_name, pretrained=tag)
        tokenizer = open_clip.get_tokenizer(model_name)
    except (RuntimeError, KeyError, ValueError) as error:
        raise FormatError(f"the hub's weights do not fit {spec}: {str(error).splitlines()[0]}") from error
    except Exception as error:  # the hub's client has many unrelated error classes; all mean the same here
        raise EnvironmentProblem(f"{spec} could not be fetched: {error}", remedy=OFFLINE) from error
    return OpenClip(spec, model, transform, tokenizer)


def load_text(spec: str) -> OpenClip:
    """Make the text encoder: the same model serves both."""
    return load_image(spec)


def _cached(model_name: str, tag: str) -> bool:
    import open_clip
    from huggingface_hub import try_to_load_from_cache

    repo = (open_clip.get_pretrained_cfg(model_name, tag) or {}).get("hf_hub", "").rsplit("/", 1)[0]
    names = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
    return bool(repo) and any(isinstance(try_to_load_from_cache(repo, name), str) for name in names)
