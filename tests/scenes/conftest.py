"""Makes the scene scripts' modules importable, and finds the committed scene."""

from __future__ import annotations

import sys
from pathlib import Path

SCENES = Path(__file__).parents[2] / "scenes"
sys.path.insert(0, str(SCENES))
