"""Let a text tower read texts of any length, and take that back: uv run python examples/encode.py [MODEL]"""

import torch
import tyro

from langfield.suite.spec import clip_model, modify

SHORT = "a red circle"
LONG = " and ".join([f"{SHORT} left of a blue square"] * 12)


def main(spec: tyro.conf.Positional[str] = "toy:good") -> int:
    """Print how far texts are read before and after, and give the number of tokens then."""
    model = clip_model(spec)
    before, start = model.context_length, model.encode_texts([SHORT, LONG])
    change = modify(model, "encode:long-clip")
    after, now = model.context_length, model.encode_texts([SHORT, LONG])
    print(f"{model.name}: {before} to {after} tokens; cosine of the short text with itself before "
          f"{float(start[0] @ now[0]):.3f}, of the long one {float(start[1] @ now[1]):.3f}")  # fmt: skip
    change.remove()
    print("taken back bit for bit:", torch.equal(model.encode_texts([SHORT, LONG]), start))
    return after


if __name__ == "__main__":
    tyro.cli(main, description=__doc__, config=(tyro.conf.PositionalRequiredArgs,))
