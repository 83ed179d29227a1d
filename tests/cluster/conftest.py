"""One Ray on this machine for all tests here: it takes seconds to start."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("ray", reason="the extra langfield[cluster] is not installed")

from langfield.cluster.pool import Pool, PoolSettings
from langfield.cluster.start import Cluster, connected

CPUS = 8
"""More than there are: workers that wait for each other's cores are part of what is tested."""


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    with connected("local", CPUS) as found:
        yield found


@pytest.fixture(scope="session")
def pool(cluster: Cluster) -> Iterator[Pool]:
    """Two workers that most tests share."""
    with Pool(PoolSettings(workers=2)) as found:
        yield found
