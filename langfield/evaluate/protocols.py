"""The protocols that can be named; each follows one file's rules, and its version rises when a rule changes."""

from __future__ import annotations

from langfield.evaluate import dynamic, dynamic_score, langsplat2d, lerf, lerf3d, ovs3d, replica
from langfield.evaluate.types import Rules

LERF = "a folder of LERF-OVS label files"
PICTURES = "pictures of class ids and their names"
POINTS = "a PLY of labelled points and the classes' names"
OVER_TIME = dynamic_score.SHARED

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
        Rules("3d-ovs", 1, ovs3d.METRICS, "3D-OVS, a class a pixel", "a 3D-OVS scene", ovs3d.score),
        Rules("replica", 1, replica.METRICS, "per-class mIoU of pixels", PICTURES, replica.score_pixels),
        Rules("replica-3d", 1, replica.METRICS, "per-class mIoU of points", POINTS, replica.score_points),
        Rules(
            dynamic.NAME, dynamic.VERSION, dynamic_score.TIMED, "4D LangSplat's, when a state holds", OVER_TIME,
            dynamic_score.score_timed,
        ),
        Rules(
            f"{dynamic.NAME}-agnostic", dynamic.VERSION, dynamic_score.AGNOSTIC, "4D LangSplat's, things at any time",
            OVER_TIME, dynamic_score.score_agnostic,
        ),
        Rules(
            f"{dynamic.NAME}-never", dynamic.VERSION, dynamic_score.NEVER, "4D LangSplat's, states that never occur",
            OVER_TIME, dynamic_score.score_never,
        ),
    )
}  # fmt: skip
