"""Find the things of one scan in another of the same place: uv run python examples/find.py RUN OTHER [NAME ...]"""

import tyro

import langfield
from langfield.suite.families import FAMILIES


def main(run: str, other: str, names: tyro.conf.Positional[tuple[str, ...]] = ()) -> dict[str, int]:
    """Print how many things each method links both ways, and give the counts."""
    scene, second, found = langfield.load(run), langfield.load(other), {}
    for by in ("plain", *FAMILIES["find"][0]):
        links = scene.link(second, by, names or None)
        found[by] = sum(link["mutual"] for link in links)
        print(f"{by:<10} {found[by]} of {len(links)} things linked both ways; the surest: {links[0]}")
    return found


if __name__ == "__main__":
    tyro.cli(main, description=__doc__, config=(tyro.conf.PositionalRequiredArgs,))
