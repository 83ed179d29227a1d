"""Which Gaussians an answer written earlier selected."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Int64

from langfield.artefacts import read_json
from langfield.errors import FormatError

MAX_BYTES = 2**28
REMEDY = "name a file that `langfield query --out` wrote for this run"


def read_rows(path: Path, gaussians: int) -> Int64[np.ndarray, " S"]:
    """Read the rows of an answer's JSON file.

    Args:
        path: written by `langfield query --out`.
        gaussians: number of the field's Gaussians.

    Returns:
        Row numbers, rising.

    Raises:
        FormatError: no such file, no rows in it, or rows that the field does not have.
    """
    data = read_json(path, MAX_BYTES)
    found = data.get("rows") if isinstance(data, dict) else None
    if not isinstance(found, list) or not all(type(row) is int for row in found):
        raise FormatError("the answer has no list of rows", path, REMEDY)
    wrong = next((row for row in found if not 0 <= row < gaussians), None)
    if wrong is not None:
        raise FormatError(f"row {str(wrong)[:20]} is none of the field's {gaussians} Gaussians", path, REMEDY)
    return np.unique(np.array(found, dtype=np.int64))
