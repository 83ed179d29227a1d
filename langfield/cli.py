"""The `langfield` command: a table of commands and one place where errors become one sentence."""

from __future__ import annotations

import importlib
import os
import select
import sys
from collections.abc import Callable, Sequence

COMMANDS = {
    "prepare": "langfield.commands.prepare:prepare",
    "online": "langfield.commands.online:online",
    "query": "langfield.commands.query:query",
    "teach": "langfield.commands.teach:teach",
    "find": "langfield.commands.find:find",
    "eval": "langfield.commands.evaluate:evaluate",
    "reproduce": "langfield.commands.reproduce:reproduce",
    "view": "langfield.commands.view:view",
    "export": "langfield.commands.export:export",
    "shard": "langfield.commands.shard:shard",
    "import": "langfield.commands.import_:import_splats",
    "blocks": "langfield.commands.blocks:blocks",
    "features": "langfield.commands.features:features",
    "doctor": "langfield.commands.doctor:doctor",
    "suite": "langfield.commands.suite:COMMANDS",
    "weights": "langfield.commands.weights:COMMANDS",
    "bench": "langfield.commands.bench:COMMANDS",
}
HELP = """usage: langfield COMMAND [--help] ...

  prepare   photos or a video to a posed capture
  online    an RGB-D stream to a field, while the camera moves
  query     ask a trained field for something in words
  teach     teach a field names by examples
  find      find things again: in another run, by a picture or a long text
  eval      score a field against labels, in 2D and 3D, under named protocols
  reproduce train and score a benchmark's scenes; published tables beside ours
  view      open a field in the browser
  export    write a field's Gaussians as a PLY that opens elsewhere
  shard     a large field into shards with levels of detail, which query, eval and view read
  import    splats trained elsewhere and their capture to a field
  blocks    a large scene trained in blocks, on a cluster
  features  what a run's 2D features are and take; write them as LangSplat's files
  doctor    say what is missing on this machine and how to repair it
  suite     the CLIP suite: list its systems, show one
  weights   list, get and locate model weights; train the text bridge
  bench     measure speed and quality, as ratios from one run

A field is trained with: ns-train langsplat --data DIR
"""


CLOSED = 128 + 13  # what shells report of a program that SIGPIPE ended


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; a problem a person can act on ends in one sentence and exit status 1."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        try:
            code = _command(words)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        if not _silenced():
            raise
        code = CLOSED
    raise SystemExit(code or 0)


def _command(words: list[str]) -> int | None:
    from langfield.errors import LangfieldError

    if not words or words[0] not in COMMANDS:
        return _help(words)
    try:
        return _run(words[0], words[1:])
    except LangfieldError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("stopped; what was finished is kept\n")
        return 130


def _help(words: list[str]) -> int:
    if words and words[0] in ("-h", "--help"):
        sys.stdout.write(HELP)
        return 0
    sys.stderr.write(HELP + (f"\nerror: there is no command {words[0]!r}.\n" if words else ""))
    return 2


def _silenced() -> bool:
    """Whether whoever read the output has seen enough (`| head`); what is left to say then goes nowhere."""
    unread = [stream.fileno() for stream in (sys.stdout, sys.stderr) if _is_unread(stream.fileno())]
    for descriptor in unread:
        os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
    return bool(unread)


def _is_unread(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _run(name: str, words: list[str]) -> int | None:
    import tyro

    module, _, attribute = COMMANDS[name].partition(":")
    target: Callable[..., int | None] | dict[str, Callable[..., int | None]]
    target = getattr(importlib.import_module(module), attribute)
    if isinstance(target, dict):
        return tyro.extras.subcommand_cli_from_dict(target, args=words, prog=f"langfield {name}")
    return tyro.cli(target, args=words, prog=f"langfield {name}")
