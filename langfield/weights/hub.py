"""Weights that come from model hubs by their own names: SAM checkpoints by address, open_clip models by tag.

Only https, only these addresses, and one clear sentence where no hub can be reached.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from langfield.artefacts import content_key, file_key
from langfield.errors import EnvironmentProblem, FormatError, SettingsError
from langfield.progress import say, track
from langfield.weights.archive import BLOCK_BYTES
from langfield.weights.store import default_store, scratch_folder

REACH_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Checkpoint:
    """One file on a model hub."""

    name: str
    """Spec string, such as "sam:vit_h"."""
    url: str
    bytes: int
    sha256: str
    licence: str = "Apache-2.0"


SAM_BASE = "https://dl.fbaipublicfiles.com/segment_anything/"
CHECKPOINTS: tuple[Checkpoint, ...] = (
    Checkpoint(
        "sam:vit_h",
        SAM_BASE + "sam_vit_h_4b8939.pth",
        2_564_550_879,
        "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
    ),
    Checkpoint(
        "sam:vit_l",
        SAM_BASE + "sam_vit_l_0b3195.pth",
        1_249_524_607,
        "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
    ),
    Checkpoint(
        "sam:vit_b",
        SAM_BASE + "sam_vit_b_01ec64.pth",
        375_042_383,
        "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
    ),
)


def checkpoint(spec: str) -> Checkpoint:
    """Give the row of a checkpoint.

    Raises:
        SettingsError: no such checkpoint.
    """
    for row in CHECKPOINTS:
        if row.name == spec:
            return row
    raise SettingsError(
        f"no checkpoint is called {spec!r}", remedy="choose one of: " + ", ".join(map(_name, CHECKPOINTS))
    )


def _name(row: Checkpoint) -> str:
    return row.name


def checkpoint_path(spec: str, store: Path | None = None) -> Path:
    """Give the path a checkpoint has or would have in the store."""
    row = checkpoint(spec)
    return (store or default_store()) / "hub" / row.url.rsplit("/", 1)[-1]


def require_checkpoint(spec: str, store: Path | None = None) -> Path:
    """Give the checked path of a checkpoint; never downloads.

    Raises:
        EnvironmentProblem: it is not on this machine.
        FormatError: it is cut short or has the wrong hash.
    """
    row, path = checkpoint(spec), checkpoint_path(spec, store)
    again = f"run: langfield weights get {spec}"
    if not path.is_file():
        raise EnvironmentProblem(f"weights {spec} are not on this machine", path, again)
    size = path.stat().st_size
    if size < row.bytes:
        raise FormatError(f"weights {spec} are cut short: {size} of {row.bytes} bytes", path, again)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != row.sha256:
        raise FormatError(f"weights {spec} have the wrong SHA-256 {digest}", path, again)
    return path


def get_checkpoint(spec: str, store: Path | None = None) -> Path:
    """Make sure that a checkpoint is in the store and give its path.

    Raises:
        EnvironmentProblem: the hub cannot be reached.
        FormatError: what came has the wrong hash.
    """
    try:
        return require_checkpoint(spec, store)
    except (EnvironmentProblem, FormatError):
        row, path = checkpoint(spec), checkpoint_path(spec, store)
    with scratch_folder(path.parent) as scratch:
        digest = _download(row, scratch / path.name)
        if digest != row.sha256:
            raise FormatError(f"what the hub sent for {spec} has the wrong SHA-256 {digest}", row.url, "run it again")
        (scratch / path.name).replace(path)
    say(f"weights {spec}: licence: {row.licence}; {path}")
    return path


def _download(row: Checkpoint, target: Path) -> str:
    import httpx2

    digest, done = hashlib.sha256(), 0
    try:
        with (
            httpx2.Client(timeout=REACH_TIMEOUT_S, follow_redirects=True) as client,
            client.stream("GET", require_https(row.url)) as response,
            target.open("wb") as out,
        ):
            require_https(str(response.raise_for_status().url))
            for block in track(response.iter_bytes(BLOCK_BYTES), f"{row.name} MiB", -(-row.bytes // BLOCK_BYTES)):
                done += len(block)
                if done > row.bytes:
                    break
                digest.update(block)
                out.write(block)
    except httpx2.HTTPError as error:
        raise EnvironmentProblem(
            f"the model hub that has {row.name} cannot be reached",
            row.url,
            "use mobile-sam, or fetch it on another machine",
        ) from error
    return digest.hexdigest()


def require_https(url: str) -> str:
    """Give `url` back if it is an https address.

    Raises:
        SettingsError: any other scheme.
    """
    if urlsplit(url).scheme != "https":
        raise SettingsError("only https addresses are fetched from", url)
    return url


def check_reachable(url: str, what: str, remedy: str) -> None:
    """Find out within seconds whether a hub answers at all, before a library starts its long retries.

    Raises:
        EnvironmentProblem: it does not.
    """
    import httpx2

    try:
        httpx2.head(require_https(url), timeout=REACH_TIMEOUT_S)
    except (httpx2.HTTPError, OSError, RuntimeError) as error:  # RuntimeError: what blocked sockets raise in tests
        raise EnvironmentProblem(f"the model hub that has {what} cannot be reached", None, remedy) from error


def in_cache(name: str, revision: str | None) -> bool:
    """Say whether a model of the hub lies in this machine's cache already."""
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(name, "config.json", revision=revision), str)


def weights_version(folder: Path, model: Any, local: bool) -> str:
    """Give the hub's commit of a model of transformers, or a hash of a folder's weights and settings."""
    if not local:
        return str(getattr(model.config, "_commit_hash", None))
    files = sorted(p for p in folder.iterdir() if p.suffix in (".safetensors", ".json", ".jinja", ".txt"))
    return content_key([(path.name, file_key(path)) for path in files])
