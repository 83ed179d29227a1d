"""The cache of compiled kernels survives what happens to caches.

The kernels are a stand-in that compiles in no time; every other test of the room loads the real ones.
"""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from langfield.errors import EnvironmentProblem
from langfield.raster import build

STAND_IN = '#include "shared.cuh"\n' + "".join(
    f'extern "C" long {name}() {{ return SEVEN; }}\n'
    for name in ("lf_chunk", "lf_count_tiles", "lf_keep_weights", "lf_ssim")
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The compiler, and a folder where the stand-in has been compiled."""
    cxx = build.compiler()
    if cxx is None:
        pytest.skip("no C++ compiler on this machine")
    sources, folder = (tmp_path_factory.mktemp(name) for name in ("sources", "kernels"))
    (sources / "cpu_stand_in.cpp").write_text(STAND_IN)
    (sources / "shared.cuh").write_text("constexpr long SEVEN = 7;\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "source_folder", lambda: sources)
        build.load(folder)
        yield cxx, folder


def test_second_load_compiles_nothing(built, monkeypatch):
    cxx, folder = built
    monkeypatch.setattr(build, "build", lambda *_: pytest.fail("compiled again"))
    assert build.load(folder).lf_chunk() == 7
    assert [p.name for p in folder.iterdir()] == [build.library_path(cxx, folder).name]


def test_a_cut_or_foreign_library_is_rebuilt_once(built, tmp_path):
    cxx, folder = built
    good = build.library_path(cxx, folder).read_bytes()
    path = build.library_path(cxx, tmp_path)
    path.write_bytes(good[:1000])
    assert build.load(tmp_path).lf_chunk() == 7
    assert len(path.read_bytes()) == len(good)


def test_other_sources_or_flags_get_another_name(built, monkeypatch, tmp_path):
    cxx, folder = built
    names = {build.library_path(cxx, folder).name}
    monkeypatch.setattr(build, "FLAGS", (*build.FLAGS, "-DX"))
    names.add(build.library_path(cxx, folder).name)
    copy = shutil.copytree(build.source_folder(), tmp_path / "sources")
    (copy / "shared.cuh").write_text("constexpr long SEVEN = 8;\n")
    monkeypatch.setattr(build, "source_folder", lambda: copy)
    names.add(build.library_path(cxx, folder).name)
    assert len(names) == 3
    assert build.load(folder).lf_chunk() == 8


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
        assert build.library().lf_chunk() == 7
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


def test_of_processes_that_come_together_one_compiles(built, tmp_path, monkeypatch):
    """Threads stand for processes: each opens the folder for itself."""
    compiled, compile_it = [], build.build
    monkeypatch.setattr(build, "build", lambda *how: (compiled.append(how), compile_it(*how)))
    with ThreadPoolExecutor(4) as workers:
        assert {lib.lf_chunk() for lib in workers.map(lambda _: build.load(tmp_path), range(4))} == {7}
    assert len(compiled) == 1
