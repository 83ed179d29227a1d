"""langfield: 3D language fields.

The public calls, imported when first used so that `import langfield` stays light::

    import langfield
    run = langfield.open_run("outputs/tabletop/langsplat")        # the newest finished run below
    answer = langfield.ask(run.field, run.views, run.text_encoder(), "red mug")
    answer.position, answer.mask, answer.selection.rows           # place, [H, W], Gaussians
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "open_run": "langfield.run",
    "read_capture": "langfield.capture",
    "rasterize": "langfield.raster",
    "ask": "langfield.query.answer",
}


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'langfield' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*_PUBLIC, "__version__"])
