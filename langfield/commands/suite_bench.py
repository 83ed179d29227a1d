"""`langfield suite bench`: how good a model is in the toy world: zero-shot, retrieval, swapped words, blind pairs."""

from __future__ import annotations

from langfield.commands.output import print_json, print_text
from langfield.errors import SettingsError

FEWEST, MOST = 2, 10_000


def bench_model(model: str = "toy:good", scenes: int = 200, seed: int = 0, json: bool = False) -> None:
    """Examine a model on drawn scenes whose truth is known.

    Args:
        model: spec of the model, as `langfield.suite.spec.clip_model` reads it, such as "toy:bag".
        scenes: how many scenes each part is asked on.
        seed: of the first scene; the toy CLIPs were trained on seeds from a million on.
        json: print as JSON.
    """
    from langfield.suite.spec import clip_model
    from langfield.suite.toy.card import PARTS
    from langfield.suite.toy.exam import Pupil, world_scores

    if not FEWEST <= scenes <= MOST or seed < 0:
        raise SettingsError(f"the bench takes {FEWEST} to {MOST} scenes and a seed from 0", f"{scenes}, {seed}")
    pupil = clip_model(model)
    scores = world_scores(Pupil(pupil, pupil), scenes, seed)
    if json:
        print_json({"model": model, "scenes": scenes, "seed": seed, "scores": scores})
        return
    rows = [f"{scores[name]:8.3f}  {what}" + (f" (chance {chance})" if chance else "")
            for name, (what, chance) in PARTS.items() if name in scores]  # fmt: skip
    print_text("\n".join([f"{model} on {scenes} scenes a part", *rows]))
