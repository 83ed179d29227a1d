"""Qwen2-VL of a few thousand random parameters, with a processor of its own, as a folder that transformers reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

MARKS = ["<unk>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
WORDS = [
    "a", "the", "cup", "box", "lid", "lamp", "red", "blue", "open", "closed", "full", "empty", "is", "was", "lies",
    "stands", "upright", "on", "its", "side", "fallen", "lit", "dark", "broken", "whole", "half", "what", "state",
]  # fmt: skip
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }} {% for c in m.content %}"
    "{% if c.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ c.text }}{% endif %}"
    "{% endfor %}<|im_end|>{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant {% endif %}"
)


def tokenizer():
    """Words to numbers; unknown words are one number."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(WordLevel({w: i for i, w in enumerate([*MARKS, *WORDS])}, unk_token="<unk>"))  # noqa: S106
    core.pre_tokenizer = Whitespace()
    made = PreTrainedTokenizerFast(tokenizer_object=core, unk_token="<unk>", eos_token="<|im_end|>")  # noqa: S106
    made.add_special_tokens({"additional_special_tokens": MARKS[1:]})
    made.pad_token = "<|im_end|>"  # noqa: S105
    return made


def write_tiny_vlm(folder: Path, seed: int = 0) -> Path:
    """Write model and processor into `folder`."""
    from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration, Qwen2VLProcessor
    from transformers.models.qwen2_vl.image_processing_qwen2_vl import Qwen2VLImageProcessor
    from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor

    words = tokenizer()
    ids: dict[str, Any] = {mark: words.convert_tokens_to_ids(mark) for mark in MARKS}
    config = Qwen2VLConfig(
        text_config={
            "vocab_size": len(words), "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
            "num_attention_heads": 2, "num_key_value_heads": 2, "bos_token_id": None, "eos_token_id": ids["<|im_end|>"],
            "initializer_range": 0.6,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 3, 3]},
        },
        vision_config={"depth": 1, "embed_dim": 32, "hidden_size": 32, "num_heads": 2, "mlp_ratio": 2,
                       "initializer_range": 0.6},
        image_token_id=ids["<|image_pad|>"], video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"], vision_end_token_id=ids["<|vision_end|>"],
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen2VLForConditionalGeneration(config)
    sides: dict[str, Any] = {"min_pixels": 28 * 28, "max_pixels": 84 * 84}
    processor = Qwen2VLProcessor(
        Qwen2VLImageProcessor(**sides), words, Qwen2VLVideoProcessor(**sides), chat_template=TEMPLATE
    )
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
