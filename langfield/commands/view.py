"""`langfield view`: a field in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro


def view(run: Annotated[Path, tyro.conf.Positional], host: str = "127.0.0.1", port: int = 7007) -> None:
    """Open a field in the browser: type words, see where they are.

    Args:
        run: a run's folder, its config.yml, or a folder with runs below it.
        host: address to listen on; anything but loopback is open to your network.
        port: port to listen on.
    """
    from langfield.run import open_run
    from langfield.viewer.app import ViewerSettings, serve

    serve(open_run(run), ViewerSettings(host=host, port=port))
