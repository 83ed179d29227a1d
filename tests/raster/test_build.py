"""The cache of compiled kernels survives what happens to caches."""

import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest

from langfield.errors import EnvironmentProblem
from langfield.raster import build


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    cxx = build.compiler()
    if cxx is None:
        pytest.skip("no C++ compiler on this machine")
    folder = tmp_path_factory.mktemp("kernels")
    build.load(folder)
    return cxx, folder


def test_second_load_compiles_nothing(built, monkeypatch):
    cxx, folder = built
    monkeypatch.setattr(build, "build", lambda *_: pytest.fail("compiled again"))
    assert build.load(folder).lf_chunk() > 0
    assert [p.name for p in folder.iterdir()] == [build.library_path(cxx, folder).name]


def test_a_cut_or_foreign_library_is_rebuilt_once(built, tmp_path):
    cxx, folder = built
    good = build.library_path(cxx, folder).read_bytes()
    path = build.library_path(cxx, tmp_path)
    path.write_bytes(good[:1000])
    assert build.load(tmp_path).lf_chunk() > 0
    assert len(path.read_bytes()) == len(good)


def test_other_sources_or_flags_get_another_name(built, monkeypatch, tmp_path):
    cxx, folder = built
    names = {build.library_path(cxx, folder).name}
    monkeypatch.setattr(build, "FLAGS", (*build.FLAGS, "-DX"))
    names.add(build.library_path(cxx, folder).name)
    copy = shutil.copytree(build.source_folder(), tmp_path / "sources")
    (copy / "gaussian_math.cuh").write_text("// changed\n")
    monkeypatch.setattr(build, "source_folder", lambda: copy)
    names.add(build.library_path(cxx, folder).name)
    assert len(names) == 3


def test_a_failing_compiler_is_quoted(built, monkeypatch, tmp_path):
    monkeypatch.setattr(build, "FLAGS", ("--no-such-flag",))
    with pytest.raises(EnvironmentProblem, match="no-such-flag"):
        build.load(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_cache_that_cannot_be_written_costs_a_compile_and_nothing_else(built, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setattr(build, "cache_folder", lambda: tmp_path / "file" / "kernels")
    build._library.cache_clear()
    try:
        assert build.library().lf_chunk() > 0
    finally:
        build._library.cache_clear()


def test_threads_that_come_first_together_get_one_library(built, tmp_path, monkeypatch):
    monkeypatch.setattr(build, "cache_folder", lambda: tmp_path)
    build._library.cache_clear()
    try:
        with ThreadPoolExecutor(4) as workers:
            found = set(map(id, workers.map(lambda _: build.library(), range(4))))
    finally:
        build._library.cache_clear()
    assert len(found) == 1
