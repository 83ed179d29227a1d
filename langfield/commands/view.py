"""`langfield view`: a field in the browser."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import tyro

BEHIND = 15
"""How far the viewer steps back (of 19) where the run it follows still trains."""


def view(
    run: Annotated[Path, tyro.conf.Positional],
    host: str = "127.0.0.1",
    port: int = 7007,
    *,
    allow_network: bool = False,
    share_minutes: float | None = None,
    texts: tuple[str, ...] = (),
    encoders: tuple[str, ...] = (),
    budget: int | None = None,
) -> None:
    """Open a field in the browser: type words, see where they are.

    Args:
        run: a run's folder, its config.yml, a folder with runs below it (the newest is taken), or Gaussians alone (a
            .ply), or a run in shards. A run that still trains is shown as far as it is, and followed.
        host: address to listen on; any but this machine's own needs --allow-network.
        port: port to listen on; the next free one where it is in use.
        allow_network: let others on the network reach the page.
        texts: who may write descriptions and rewrites of questions: file:TEXTS.json, endpoint:SETTINGS.json,
            transformers:FOLDER_OR_NAME.
        encoders: further image encoders that may tell things apart under Diagnose, such as openclip:MODEL/TAG.
        budget: Gaussians that the page of a run in shards has in sight at most; as many as the browser draws quickly,
            up to 300,000, where it is not given. Without a GPU 20,000 move smoothly.
        share_minutes: also print a link for others that only allows to look around, for so long.
    """
    from langfield.field.shard_index import is_sharded
    from langfield.progress import say
    from langfield.sharded import open_sharded
    from langfield.viewer.app import ViewerSettings, serve
    from langfield.viewer.shard_app import serve_shards
    from langfield.viewer.watching import Snapshots, is_training, locate, open_anything

    settings = ViewerSettings(host, port, allow_network=allow_network, texts=texts, encoders=encoders, budget=budget)
    run = locate(run)
    if is_sharded(run) and (sharded := open_sharded(run)) is not None:
        return serve_shards(sharded, settings, share_minutes)
    if budget is not None:
        say("--budget is for runs in shards; this one is shown whole")
    watch = Snapshots(run) if is_training(run) else None
    if watch is not None:
        os.nice(BEHIND)
    return serve(open_anything(run, watch), settings, share_minutes, watch and watch.newer)
