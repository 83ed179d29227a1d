"""What langfield adds to viser's page: a script by which no letter that is typed is lost."""

from __future__ import annotations

import gzip
from functools import lru_cache
from pathlib import Path

from websockets.http11 import Response

SCRIPT: Path = Path(__file__).with_name("every_letter.js")
HEAD = b"<head>"


def complete(response: Response) -> None:
    """Put the script into a page; whatever is no page stays as it is.

    Args:
        response: viser's answer to a request.
    """
    if response.status_code != 200 or not response.headers.get("Content-Type", "").startswith("text/html"):
        return
    response.body = _with_script(bytes(response.body), response.headers.get("Content-Encoding") == "gzip")
    del response.headers["Content-Length"]
    response.headers["Content-Length"] = str(len(response.body))


@lru_cache(maxsize=2)  # viser has one page, packed and plain
def _with_script(body: bytes, is_packed: bool) -> bytes:
    plain = gzip.decompress(body) if is_packed else body
    script = b"<script>" + SCRIPT.read_bytes() + b"</script>"
    whole = plain.replace(HEAD, HEAD + script, 1)
    return gzip.compress(whole) if is_packed else whole
