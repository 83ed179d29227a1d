"""What commands print on standard output: text for people, JSON for programs, nothing else."""

from __future__ import annotations

import json
import sys
from typing import Any

from langfield.artefacts import plain


def print_text(text: str) -> None:
    """Print one or more lines of a result."""
    sys.stdout.write(text + "\n")


def print_json(data: Any) -> None:
    """Print a result as JSON."""
    sys.stdout.write(json.dumps(plain(data), indent=1) + "\n")
