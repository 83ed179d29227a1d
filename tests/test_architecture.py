"""The house keeps its order: imports run one way, files stay small, nothing dangerous is called."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "langfield"
FILES = sorted(
    p for folder in (PACKAGE, ROOT / "viewer") for p in folder.rglob("*.py") if "cuda_kernels" not in p.parts
)
FILES = [p for p in FILES if not any(parent.is_symlink() for parent in p.parents)]


def tables() -> list[list[str]]:
    """The first column of each of the first three tables of the architecture page."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    found, rows = [], []
    for line in [*text.splitlines(), ""]:
        cell = re.match(r"\| `(\w+)` \|", line)
        if cell:
            rows.append(cell.group(1))
        elif not line.startswith("|") and rows:
            found.append(rows)
            rows = []
    return found[:3]


ROOMS, GROUND, STOREYS = tables()
RANK = {name: i for i, name in enumerate([*GROUND, *ROOMS, *STOREYS])}


def room_of(path: Path) -> str:
    if path.is_relative_to(ROOT / "viewer"):
        return "viewer"
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            modules = [node.module] if node.module != "langfield" else [f"langfield.{a.name}" for a in node.names]
        elif isinstance(node, ast.Import):
            modules = [a.name for a in node.names]
        else:
            continue
        names |= {m.split(".")[1] for m in modules if m.startswith("langfield.")}
    return names


def test_the_page_names_every_room():
    rooms = {p.name.removesuffix(".py") for p in PACKAGE.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    assert rooms - {"__init__", "cuda_kernels", "__pycache__"} == set(RANK)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_run_down_the_corridor(path: Path):
    here = room_of(path)
    if here == "__init__":
        return
    for other in imported_rooms(path) - {here, "cuda_kernels"}:
        assert RANK[other] < RANK[here], f"{path} ({here}) imports {other}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_and_functions_stay_small(path: Path):
    source = path.read_text()
    assert source.count("\n") <= 400
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            length = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
            assert length <= 60, f"{node.name} has {length} lines"
            names = [a.arg for a in (*node.args.posonlyargs, *node.args.args) if a.arg not in ("self", "cls")]
            assert len(names) <= 6, f"{node.name} takes {len(names)} parameters"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_nothing_untrusted_is_executed(path: Path):
    tree = ast.parse(path.read_text())
    allowed_environment = {"index.py"}  # weights/index.py reads pip's and uv's settings, and says so
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            assert name not in {"eval", "exec", "pickle.load", "pickle.loads", "os.system", "yaml.load"}, name
            if name in {"torch.load", "np.load"}:
                keywords = {k.arg: ast.unparse(k.value) for k in node.keywords}
                safe = keywords.get("weights_only") == "True" or keywords.get("allow_pickle") == "False"
                assert safe, f"{name} without its safe flag"
            assert not any(k.arg == "shell" for k in node.keywords)
        if isinstance(node, ast.Attribute) and ast.unparse(node) in {"os.environ", "os.getenv"}:
            assert path.name in allowed_environment, f"{path.name} reads the environment"


def test_only_the_plugin_imports_nerfstudio():
    for path in FILES:
        if room_of(path) != "plugin":
            assert "import nerfstudio" not in path.read_text()
            assert "from nerfstudio" not in path.read_text(), path


def test_only_the_cluster_imports_ray():
    for path in FILES:
        if room_of(path) != "cluster":
            names = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Import | ast.ImportFrom)]
            modules = [getattr(n, "module", None) or n.names[0].name for n in names]
            assert not any(m.split(".")[0] == "ray" for m in modules), path


def test_import_langfield_is_light():
    heavy = ("nerfstudio", "open_clip", "pycuda", "torch")
    code = f"import sys, langfield, langfield.cli; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_no_path_of_one_machine_and_no_index_host():
    hosts = re.compile(r"py[p]i\.org|python[h]osted|registry\.n[p]mjs|deb\.d[e]bian")
    machine = re.compile(r"[\"'/ (](/root/|/work/|/home/\w+/)")
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split(
        "\n"
    )
    for name in tracked:
        path = ROOT / name
        if path == Path(__file__):
            continue
        if path.suffix in {".py", ".md", ".toml", ".cpp", ".cuh", ".cu", ".json"} and path.is_file():
            text = path.read_text(errors="replace")
            assert not hosts.search(text), name
            assert not machine.search(text), name


def test_the_wheel_puts_nothing_beside_langfield(tmp_path: Path):
    import tomllib

    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["packages"] == ["langfield"]
    assert (PACKAGE / "viewer").resolve() == ROOT / "viewer"
    assert (PACKAGE / "cuda_kernels").resolve() == ROOT / "cuda_kernels"
