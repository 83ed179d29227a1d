"""The protocols that can be named; each follows one file's rules, and its version rises when a rule changes."""

from __future__ import annotations

from langfield.evaluate import langsplat2d, lerf, lerf3d
from langfield.evaluate.types import Rules

LERF = "a folder of LERF-OVS label files"

PROTOCOLS: dict[str, Rules] = {
    rules.name: rules
    for rules in (
        Rules("lerf-ovs-2d", 1, langsplat2d.METRICS, "LangSplat's 2D protocol", LERF, lerf.score_2d),
        Rules("lerf-ovs-3d", 1, lerf3d.METRICS, "OpenGaussian's 3D protocol", LERF, lerf.score_3d),
        Rules(
            "lerf-ovs-2d-held-out", 1, langsplat2d.METRICS, "the same on views not trained on", LERF,
            lerf.score_2d_held_out,
        ),
        Rules(
            "lerf-ovs-3d-held-out", 1, lerf3d.METRICS, "the same on views not trained on", LERF,
            lerf.score_3d_held_out,
        ),
    )
}  # fmt: skip
