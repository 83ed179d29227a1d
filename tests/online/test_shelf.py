"""What is on the shelf is always one whole write, and only what changed is written."""

import pytest
import torch

from langfield.errors import FormatError, StorageError
from langfield.online import shelf as module
from langfield.online.resume import load
from langfield.online.shelf import STATE, Shelf


def groups(n: int) -> dict[str, dict[str, torch.Tensor]]:
    return {f"group/{i}": {"a": torch.arange(i, i + 4), "b": torch.full((2, 3), float(i))} for i in range(n)}


def test_what_is_written_is_read(tmp_path):
    shelf = Shelf(tmp_path / "s")
    wanted = groups(3)
    shelf.write(wanted, {"x": [1, 2.5, "y"]})
    found, about = Shelf(tmp_path / "s").read()
    assert about == {"x": [1, 2.5, "y"]}
    assert found.keys() == wanted.keys()
    for name, tensors in wanted.items():
        assert all(torch.equal(found[name][key], t) for key, t in tensors.items())


@pytest.mark.parametrize("reopened", [False, True])
def test_only_groups_with_other_tensors_are_written_and_files_nobody_needs_go(tmp_path, reopened):
    shelf, all_of_them = Shelf(tmp_path), groups(3)
    shelf.write(all_of_them, {})
    if reopened:
        shelf = Shelf(tmp_path)
        all_of_them = shelf.read()[0]
    before = {p.name: p.stat().st_mtime_ns for p in tmp_path.glob("*.safetensors")}
    all_of_them["group/1"] = {"a": all_of_them["group/1"]["a"].clone()}
    del all_of_them["group/2"]
    assert shelf.write(all_of_them, {}) == 4 * 8
    after = {p.name: p.stat().st_mtime_ns for p in tmp_path.glob("*.safetensors")}
    assert len(after) == 2
    assert len(after.keys() & before.keys()) == 1
    assert all(before[name] == after[name] for name in after.keys() & before.keys())
    assert Shelf(tmp_path).read()[0].keys() == {"group/0", "group/1"}


@pytest.mark.parametrize("fails_at", range(4))
def test_a_write_that_fails_anywhere_leaves_the_one_before(tmp_path, monkeypatch, fails_at):
    shelf, first = Shelf(tmp_path), groups(2)
    shelf.write(first, {"n": 1})
    left = [fails_at]

    def failing(real):
        def write(path, *rest):
            if left[0] == 0:
                raise StorageError("no space left", path)
            left[0] -= 1
            return real(path, *rest)

        return write

    with monkeypatch.context() as broken:
        broken.setattr(module, "write_tensors", failing(module.write_tensors))
        broken.setattr(module, "write_json", failing(module.write_json))
        with pytest.raises(StorageError):
            shelf.write(groups(3), {"n": 2})
    found, about = Shelf(tmp_path).read()
    assert about == {"n": 1}
    assert found.keys() == first.keys()
    shelf.write(groups(3), {"n": 3})
    assert Shelf(tmp_path).read()[1] == {"n": 3}
    assert len(list(tmp_path.glob("*.safetensors"))) == 3


@pytest.mark.parametrize("file", ["../a.safetensors", "/etc/passwd", "1.json", 7, None])
def test_files_of_others_are_not_read(tmp_path, file):
    Shelf(tmp_path).write(groups(1), {})
    module.write_json(tmp_path / STATE, {"version": 1, "count": 1, "groups": {"a": file}, "about": {}})
    with pytest.raises(FormatError, match="not its own"):
        Shelf(tmp_path).read()


def test_a_state_nested_too_deeply_is_refused(tmp_path):
    Shelf(tmp_path).write(groups(1), {})
    deep = "[" * 700 + "]" * 700  # json reads it, what walks over it twice a level cannot
    text = (tmp_path / STATE).read_text().replace('"about": {}', f'"about": {{"told": {deep}}}')
    assert deep in text
    (tmp_path / STATE).write_text(text)
    with pytest.raises(FormatError, match="too deeply"):
        Shelf(tmp_path).read()


def test_a_map_without_keyframes_is_refused(tmp_path):
    about = {"frames": {}, "names": [], "slam": {}, "language": None, "told": {}}
    Shelf(tmp_path).write({"path/": {}}, about)
    with pytest.raises(FormatError, match="no keyframe"):
        load(Shelf(tmp_path))
