"""The full series: sizes grow, finished parts are kept, failures are told, and a package alone says what it lacks."""

import json

import pytest

import langfield
from langfield.commands import bench_full as full
from langfield.errors import EnvironmentProblem, FormatError, LangfieldError
from tests.series import cases

SELF = "tests/commands/test_bench_full.py"


def test_here_a_sample_is_run_and_there_the_whole(record_property):
    record_property("cases", cases(7, 70))
    assert cases(7) in (7, 2500)


def test_parts_run_at_full_size_and_are_not_run_twice(tmp_path, monkeypatch):
    parts = {"sizes": (f"{SELF}::test_here_a_sample_is_run_and_there_the_whole",)}
    out = tmp_path / "full.json"
    first = full.bench_full(out, parts)
    (test,) = first["parts"]["sizes"]["tests"].values()
    assert (test["cases"], test["outcome"], first["parts"]["sizes"]["passed"]) == (70, "passed", 1)
    assert json.loads(out.read_text()) == first
    monkeypatch.setattr(full, "run_part", lambda *_: pytest.fail("run again"))
    assert full.bench_full(out, parts) == first
    monkeypatch.setattr(full, "sources_key", lambda _: "changed")
    with pytest.raises(pytest.fail.Exception, match="run again"):
        full.bench_full(out, parts)


def test_a_failed_part_does_not_stop_the_others_and_is_run_again(tmp_path, monkeypatch):
    runs = []

    def run(root, arguments):
        runs.append(arguments)
        return {"seconds": 1, "passed": 1, "failed": int(arguments == ("a",)), "skipped": 0, "tests": {}}

    monkeypatch.setattr(full, "run_part", run)
    for _ in range(2):
        with pytest.raises(LangfieldError, match="first"):
            full.bench_full(tmp_path / "full.json", {"first": ("a",), "second": ("b",)})
    assert runs == [("a",), ("b",), ("a",)]


def test_tests_that_cannot_be_collected_count_as_failed():
    found = full.run_part(full.checkout(), ("tests/no_such_file.py",))
    assert found["failed"] == 1
    assert "no_such_file" in found["tail"]


def test_the_sources_key_sees_a_changed_kernel(tmp_path):
    (tmp_path / "cuda_kernels").mkdir()
    kernel = tmp_path / "cuda_kernels" / "a.cu"
    kernel.write_text("1")
    before = full.sources_key(tmp_path)
    kernel.write_text("2")
    assert full.sources_key(tmp_path) != before


def test_a_package_without_tests_and_a_foreign_file_are_refused(tmp_path, monkeypatch):
    (tmp_path / "other.json").write_text("[1]")
    with pytest.raises(FormatError, match=r"other\.json"):
        full.bench_full(tmp_path / "other.json", {})
    monkeypatch.setattr(langfield, "__file__", str(tmp_path / "langfield" / "__init__.py"))
    with pytest.raises(EnvironmentProblem, match="checkout"):
        full.bench_full(tmp_path / "full.json")


def test_every_part_names_tests_that_are_there():
    root = full.checkout()
    assert all((root / argument).exists() for part in full.PARTS.values() for argument in part)
