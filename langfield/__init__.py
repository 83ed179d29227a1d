"""langfield: 3D language fields.

The public calls, imported when first used so that `import langfield` stays light::

    import langfield
    scene = langfield.load("outputs/tabletop")                    # the newest finished run below
    answer = scene.ask("red mug")                                 # or image="mug.png", region="view_07.png:120,80"
    answer.verdict, answer.presence, answer.note                  # "found", 0.99, why
    answer.position, answer.mask, answer.selection.rows           # place, [H, W], Gaussians
    scene.render("view_07.png", "relevancy", "red mug")           # [H, W]
    scene.names()                                                 # what is here, by name
    scene.export("mug.ply", scene.select("red mug").rows)
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "load": "langfield.scene",
    "Scene": "langfield.scene",
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
