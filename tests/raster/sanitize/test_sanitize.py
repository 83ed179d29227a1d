"""The CPU kernels touch no memory but their own, do nothing undefined, and share work without races."""

import json

import pytest

from tests.raster.sanitize.sanitized import missing, walk
from tests.series import cases

FOUND = {"memory": "heap-buffer-overflow", "threads": "data race"}
STEP = 100


@pytest.mark.parametrize("name", ["memory", "threads"])
def test_clean_and_able_to_find_something(name, record_property):
    if reason := missing(name):
        pytest.skip(reason)
    if name == "threads" and cases(0, 1) == 0:
        pytest.skip("the thread sanitizer runs with --series full only")
    many = cases(12, 1000) if name == "memory" else 18
    asked = 0
    for first in range(0, many, STEP):
        last = min(first + STEP, many)
        done = walk(name, first, last, *(["overrun"] if last == many else []))
        assert done.stdout, done.stderr[:3000]  # it came to the end without a finding
        found = json.loads(done.stdout)
        assert found["complaints"] == []
        asked += found["questions"]
    record_property("scenes", many)
    record_property("questions", asked)
    assert asked > 2 * many
    assert done.returncode != 0
    assert FOUND[name] in done.stderr  # the mistake made on purpose at the end
    assert "lf_pack" in done.stderr
