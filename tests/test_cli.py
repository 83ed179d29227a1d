"""The `langfield` command itself: help, unknown names, and an output that nobody reads to its end."""

import os
import subprocess
import sys

import pytest

from langfield import cli

SAYS = "import sys; from langfield import cli; cli.COMMANDS['say'] = 'tests.test_cli:{}'; cli.main(['say'])"


def say() -> None:
    sys.stdout.write("a line\n" * 100_000)


def say_little() -> None:
    sys.stdout.write("a line\n")


def lose_another_pipe() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    os.write(writer, b"x")


def ended(what: str, read: bool, join: bool = False, unbuffered: bool = False) -> tuple[int, bytes]:
    """Exit status and errors of a command whose output is read, or closed from the start."""
    reader, writer = os.pipe()
    words = [sys.executable, *(["-u"] if unbuffered else []), "-c", SAYS.format(what)]
    if not read:
        os.close(reader)
    done = subprocess.run(words, stdout=writer, stderr=writer if join else subprocess.PIPE, check=False)
    os.close(writer)
    return done.returncode, done.stderr or b""


@pytest.mark.parametrize("unbuffered", [False, True])
@pytest.mark.parametrize("join", [False, True])
@pytest.mark.parametrize("what", ["say", "say_little"])
def test_an_output_that_nobody_reads_ends_quietly(what, join, unbuffered):
    assert ended(what, read=False, join=join, unbuffered=unbuffered) == (141, b"")


def test_an_output_that_is_read_ends_well():
    assert ended("say_little", read=True) == (0, b"")


def test_another_pipe_that_breaks_is_not_hidden():
    code, errors = ended("lose_another_pipe", read=True)
    assert code == 1
    assert b"BrokenPipeError" in errors


def test_help_is_a_result_and_an_unknown_name_is_an_error(capsys):
    for words, code in ((["--help"], 0), ([], 2), (["quary"], 2)):
        with pytest.raises(SystemExit) as stop:
            cli.main(words)
        out, err = capsys.readouterr()
        assert stop.value.code == code
        assert cli.HELP in (out if code == 0 else err)
        assert ("no command 'quary'" in err) == (words == ["quary"])
    assert all(f"\n  {name} " in cli.HELP for name in cli.COMMANDS)
