"""The finished online map beside what the offline stage makes of the same Gaussians, poses, segments and vectors."""

from __future__ import annotations

from typing import Any

import torch

from langfield.codec.codebook import fit_codebook
from langfield.errors import FormatError
from langfield.field.instance_build import lift_things
from langfield.field.lift_solve import sum_views
from langfield.fit import lift_view
from langfield.online.language_lift import LiftedLanguage
from langfield.online.session import Online
from langfield.online.types import OnlineSettings
from langfield.raster.threads import kernels_only
from langfield.run import Run


def against_offline(run: Run, session: Online, settings: OnlineSettings) -> dict[str, Any]:
    """Lift the run's own files offline, and count what differs from what was added up while mapping.

    Args:
        run: the finished run, read from disk.
        session: what wrote it, with a lifted language map.
        settings: of the session.

    Raises:
        FormatError: the run has no language.
    """
    teacher, field = session.teacher, run.field
    if teacher is None or not isinstance(teacher.language, LiftedLanguage) or field.codes is None:
        raise FormatError("only a lifted map can be compared with offline lifting", run.path)
    found = [(f, run.features(f)) for f in run.frames if f.name in run.training_names]
    views = [lift_view(features, frame.camera) for frame, features in found if features is not None]
    how = settings.language_map
    with kernels_only():
        offline = sum_views(field.gaussians, views, how.lift)
    online = teacher.language.sums()
    codec = fit_codebook(torch.cat([v.vectors for v in views]), how.codebook)
    lifted, things = lift_things(field.gaussians, views, codec, how.lift, how.instances)
    same = torch.equal(online.key, offline.key) and torch.equal(online.steps, offline.steps)
    differ = int((field.codes != lifted.codes).any(dim=-1).sum())
    return {
        "views": len(views), "entries": len(offline), "sums_equal": same, "codes": field.codes[..., 0].numel(),
        "codes_differ": differ, "things": len(things),
        "things_equal": field.instances is not None and torch.equal(field.instances.rows, things.rows),
    }  # fmt: skip
