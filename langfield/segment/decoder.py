"""SAM's mask decoder for many points on one image, with all that does not depend on the point done once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

FIRST_LEVEL = 2  # of the prompt tokens 0 predicts IoU, 1 makes the single mask, 2 to 4 the three nested masks


@dataclass(frozen=True)
class ImageSide:
    """What every point prompt on one image shares; N image tokens of C channels, h heads of d channels."""

    tokens: Float[Tensor, "N C"]
    """Image embedding plus the embedding that stands for "no mask prompt"."""
    first_key: Float[Tensor, "h d N"]
    """Keys of the first layer's attention from prompt to image."""
    first_value: Float[Tensor, "h N d"]
    first_query: Float[Tensor, "h N d"]
    """Queries of the first layer's attention from image to prompt."""
    second_key_place: Float[Tensor, "h d N"]
    """Positional part (and bias) of the second layer's keys; the part that varies by point is added per point."""
    second_query_place: Float[Tensor, "h N d"]
    last_key_place: Float[Tensor, "h d N"]
    grid: tuple[int, int]
    """Token rows and columns."""


def _heads(x: Tensor, attention: Any) -> Tensor:
    """Split [..., T, h*d] into [..., h, T, d]."""
    return x.unflatten(-1, (attention.num_heads, -1)).transpose(-3, -2)


def _head_weight(linear: nn.Linear, attention: Any) -> Tensor:
    """Give a projection's weight as [h, d, C]."""
    return linear.weight.unflatten(0, (attention.num_heads, -1))


class PointDecoder:
    """Three nested masks and their predicted IoU for points on one image; equal to SAM's decoder up to rounding.

    Where keys or queries are projections of the image tokens X, the projection is moved to the handful of prompt
    tokens (q . W x = W'q . x), so no projected copy of X is ever made: less than half of the arithmetic.
    """

    def __init__(self, sam: Any) -> None:
        self.decoder, self.prompts = sam.mask_decoder, sam.prompt_encoder
        self.first, self.second = self.decoder.transformer.layers
        self.last = self.decoder.transformer.final_attn_token_to_image

    def image_side(self, features: Float[Tensor, "1 C rows cols"]) -> ImageSide:
        """Compute what all points on one image share.

        Args:
            features: the image encoder's output, float32; its grid may be shorter than the prompts' in one direction.
        """
        rows, columns = features.shape[2:]
        no_mask = self.prompts.no_mask_embed.weight.reshape(1, -1, 1, 1)
        tokens = (features + no_mask).flatten(2)[0].T.contiguous()
        place = self.prompts.get_dense_pe()[..., :rows, :columns].flatten(2)[0].T.contiguous()
        look, back, second = self.first.cross_attn_token_to_image, self.first.cross_attn_image_to_token, self.second

        def key(x: Tensor, attention: Any) -> Tensor:
            return _heads(attention.k_proj(x), attention).transpose(-2, -1).contiguous()

        def query(x: Tensor, attention: Any) -> Tensor:
            return _heads(attention.q_proj(x), attention).contiguous()

        return ImageSide(
            tokens=tokens,
            first_key=key(tokens + place, look),
            first_value=_heads(look.v_proj(tokens), look).contiguous(),
            first_query=query(tokens + place, back),
            second_key_place=key(place, second.cross_attn_token_to_image),
            second_query_place=query(place, second.cross_attn_image_to_token),
            last_key_place=key(place, self.last),
            grid=(rows, columns),
        )

    def prompt_tokens(self, points: Float[Tensor, "B 2"]) -> Float[Tensor, "B T C"]:
        """Give the output tokens followed by the point's own, for points x, y in the encoder's pixels."""
        labels = torch.ones(len(points), 1, dtype=torch.int, device=points.device)
        sparse, _ = self.prompts(points=(points[:, None], labels), boxes=None, masks=None)
        fixed = torch.cat([self.decoder.iou_token.weight, self.decoder.mask_tokens.weight])
        return torch.cat([fixed.expand(len(points), -1, -1), sparse], dim=1)

    def attend(
        self, image: ImageSide, prompt: Float[Tensor, "B T C"]
    ) -> tuple[Float[Tensor, "B T C"], Float[Tensor, "B N C"]]:
        """Run the two-way transformer; gives prompt tokens and image tokens per point."""
        first, second = self.first, self.second
        tokens = first.norm1(first.self_attn(q=prompt, k=prompt, v=prompt))
        tokens = first.norm2(tokens + _read_shared(first.cross_attn_token_to_image, tokens + prompt, image))
        tokens = first.norm3(tokens + first.mlp(tokens))
        pixels = first.norm4(_write_shared(first.cross_attn_image_to_token, tokens, prompt, image))

        tokens = second.norm1(tokens + second.self_attn(q=tokens + prompt, k=tokens + prompt, v=tokens))
        look = second.cross_attn_token_to_image
        tokens = second.norm2(tokens + _read(look, tokens + prompt, pixels, image.second_key_place))
        tokens = second.norm3(tokens + second.mlp(tokens))
        pixels = second.norm4(_write(second.cross_attn_image_to_token, tokens, prompt, (pixels, image)))
        tokens = tokens + _read(self.last, tokens + prompt, pixels, image.last_key_place)
        return self.decoder.transformer.norm_final_attn(tokens), pixels

    def quality(self, tokens: Float[Tensor, "B T C"]) -> Float[Tensor, "B 3"]:
        """Predict the IoU of each of the three masks."""
        return self.decoder.iou_prediction_head(tokens[:, 0])[:, 1:]

    def masks(
        self,
        tokens: Float[Tensor, "B T C"],
        pixels: Float[Tensor, "B N C"],
        grid: tuple[int, int],
        part: tuple[int, int],
    ) -> Float[Tensor, "B 3 4*rows 4*cols"]:
        """Give the three masks' logits at four times the token grid.

        Args:
            tokens: prompt tokens out of `attend`.
            pixels: image tokens out of `attend`.
            grid: token rows and columns of the image.
            part: how many of these rows and columns are wanted, from the top left.
        """
        up, (rows, columns) = self.decoder.output_upscaling, part
        x = pixels.unflatten(1, grid)[:, :rows, :columns].flatten(1, 2)
        x = x @ up[0].weight.permute(0, 2, 3, 1).flatten(1) + up[0].bias.repeat(4)
        x = x.unflatten(-1, (4, -1))
        x = up[2](F.layer_norm(x, x.shape[-1:], up[1].weight, up[1].bias, up[1].eps))
        x = up[4](x @ up[3].weight.permute(0, 2, 3, 1).flatten(1) + up[3].bias.repeat(4))
        networks = list(self.decoder.output_hypernetworks_mlps)[1:]
        hyper = torch.stack([net(tokens[:, i]) for i, net in enumerate(networks, start=FIRST_LEVEL)], dim=2)
        x = x.unflatten(-1, (4, -1)).flatten(1, 3) @ hyper
        x = x.unflatten(1, (rows, columns, 2, 2, 2, 2))  # token row, column, then two doublings of (row, column)
        return x.permute(0, 7, 1, 3, 5, 2, 4, 6).reshape(len(x), 3, 4 * rows, 4 * columns)


def _read_shared(attention: Any, tokens: Tensor, image: ImageSide) -> Tensor:
    """Prompt tokens attend to the untouched image."""
    q = _heads(attention.q_proj(tokens), attention) / math.sqrt(image.first_value.shape[-1])
    n = len(q)
    q = q.transpose(0, 1).flatten(1, 2)  # heads first: one product for all points
    out = torch.softmax(q @ image.first_key, dim=-1) @ image.first_value
    out = out.unflatten(1, (n, -1)).permute(1, 2, 0, 3)
    return attention.out_proj(out.flatten(2))


def _write_shared(attention: Any, tokens: Tensor, prompt: Tensor, image: ImageSide) -> Tensor:
    """The untouched image attends to prompt tokens; gives image tokens plus what they took."""
    k = _heads(attention.k_proj(tokens + prompt), attention) / math.sqrt(image.first_query.shape[-1])
    scores = k @ image.first_query.transpose(-2, -1)
    return _mix(attention, tokens, scores, image.tokens.expand(len(tokens), -1, -1))


def _read(attention: Any, tokens: Tensor, pixels: Tensor, place: Tensor) -> Tensor:
    """Prompt tokens attend to each point's own image tokens."""
    q = _heads(attention.q_proj(tokens), attention) / math.sqrt(place.shape[1])
    moved = (q @ _head_weight(attention.k_proj, attention)).flatten(1, 2)
    scores = moved @ pixels.transpose(1, 2) + (q @ place).flatten(1, 2)
    seen = (torch.softmax(scores, dim=-1) @ pixels).unflatten(1, (attention.num_heads, -1))
    out = seen @ _head_weight(attention.v_proj, attention).transpose(-2, -1)
    return attention.out_proj(out.transpose(1, 2).flatten(2) + attention.v_proj.bias)


def _write(attention: Any, tokens: Tensor, prompt: Tensor, seen: tuple[Tensor, ImageSide]) -> Tensor:
    """Each point's own image tokens attend to its prompt tokens; gives image tokens plus what they took."""
    pixels, image = seen
    k = _heads(attention.k_proj(tokens + prompt), attention) / math.sqrt(image.second_query_place.shape[-1])
    moved = (k @ _head_weight(attention.q_proj, attention)).flatten(1, 2)
    scores = moved @ pixels.transpose(1, 2)
    scores = scores.unflatten(1, (attention.num_heads, -1)) + k @ image.second_query_place.transpose(-2, -1)
    return _mix(attention, tokens, scores, pixels)


def _mix(attention: Any, tokens: Tensor, scores: Float[Tensor, "B h T N"], pixels: Tensor) -> Tensor:
    """Add to `pixels` the projected values of the prompt tokens, weighted by softmax over the prompt tokens."""
    v = _heads(attention.v_proj(tokens), attention)
    out_weight = attention.out_proj.weight.unflatten(1, (attention.num_heads, -1)).permute(1, 2, 0)
    # Weights sum to one per head, so the output bias can be spread over the heads' values.
    values = (v @ out_weight + attention.out_proj.bias / attention.num_heads).flatten(1, 2)
    weights = torch.softmax(scores, dim=2).flatten(1, 2)
    return torch.baddbmm(pixels, weights.transpose(1, 2), values)
