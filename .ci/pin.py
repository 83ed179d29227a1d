"""Writes the exact versions of a fresh resolution into constraints.txt (pip) and pyproject.toml (uv).

Run it to move to newer packages: `uv run python .ci/pin.py`, then the tests. A lock file would name the package
index it was made with; these two do not. What torch brings itself (CUDA libraries) is left to torch.
"""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
BEGIN, END = "# pins: begin (written by .ci/pin.py)\n", "# pins: end\n"
LEFT_TO_TORCH = re.compile(r"^(nvidia|cuda|triton)")


def resolve() -> list[str]:
    """Give `name==version` lines of every group and extra, markers dropped."""
    command = ["uv", "export", "--no-hashes", "--format", "requirements-txt", "--all-groups", "--all-extras"]
    command += ["--no-emit-project", "--no-annotate", "--no-header", "--quiet"]
    text = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout  # noqa: S603
    lines = [line.split(";")[0].strip() for line in text.splitlines()]
    return sorted(line for line in lines if "==" in line and not LEFT_TO_TORCH.match(line))


def main() -> None:
    """Resolve afresh and write both files."""
    project = ROOT / "pyproject.toml"
    before, rest = project.read_text().split(BEGIN)
    after = rest.split(END)[1]
    project.write_text(before + BEGIN + "constraint-dependencies = []\n" + END + after)
    (ROOT / "uv.lock").unlink(missing_ok=True)
    pins = resolve()
    listed = "constraint-dependencies = [\n" + "".join(f'  "{pin}",\n' for pin in pins) + "]\n"
    project.write_text(before + BEGIN + listed + END + after)
    (ROOT / "constraints.txt").write_text("\n".join(pins) + "\n")


main()
