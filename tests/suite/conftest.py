"""Towers and MiniLM are loaded once for the whole room."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from langfield import weights
from langfield.errors import EnvironmentProblem

SHARED = Path(__file__).parents[2] / ".." / "shared"


def stored(name: str) -> Path:
    """Give the path of real weights, or skip."""
    try:
        return weights.require(name)
    except EnvironmentProblem as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def tower():
    from langfield.suite.torch_tower import TorchTower

    return TorchTower(stored("openai-vit-b16-int8"))


@pytest.fixture(scope="session")
def picture():
    """A picture with edges, gradients and a disc: nothing a tower would find constant."""
    y, x = np.mgrid[:240, :320]
    disc = ((x - 160) ** 2 + (y - 120) ** 2 < 80**2)[..., None]
    ground = np.stack([x * 255 // 320, y * 255 // 240, (x // 16 + y // 16) % 2 * 200], -1)
    return np.where(disc, np.array([200, 60, 30]), ground).astype(np.uint8)


@pytest.fixture(scope="session")
def minilm():
    from langfield.suite.minilm import MiniLM

    return MiniLM(stored("minilm-l6"))


@pytest.fixture(scope="session")
def bridge(minilm):
    from langfield.suite.bridge import FILE, FOLDER, TextBridge

    if not (FOLDER / FILE).is_file():
        pytest.skip("the text bridge's artefact is not in this installation")
    return TextBridge(FOLDER, minilm)


@pytest.fixture(scope="session")
def tables_folder():
    folder = SHARED / "text_tables"
    if not folder.is_dir():
        pytest.skip("shared/text_tables is not beside the repository")
    return folder
