"""The errors a person can meet: what happened, where, and what to do about it, in one sentence."""

from __future__ import annotations


class LangfieldError(Exception):
    """Something a person can act on; the command line prints it in one line and exits with 1.

    Args:
        what: what happened, without a full stop.
        where: the file, tensor and shape, or option it happened at.
        remedy: what to do next, as an imperative clause.
    """

    def __init__(self, what: str, where: object = None, remedy: str | None = None) -> None:
        self.what, self.where, self.remedy = what, where, remedy
        place = f" ({where})" if where is not None else ""
        advice = f"; {remedy}" if remedy else ""
        super().__init__(f"{what}{place}{advice}.")


class FormatError(LangfieldError):
    """A file is not what its name or header says, is cut short, or points outside its scene."""


class EnvironmentProblem(LangfieldError):
    """This machine lacks something the command needs: a package, a compiler, weights, a device."""


class StorageError(LangfieldError):
    """Writing failed (disk full, read-only); nothing that was there before has been harmed."""


class QueryError(LangfieldError):
    """A question cannot be asked of this field: empty, too long, or of the wrong encoder."""


class SettingsError(LangfieldError):
    """Options contradict each other or lie outside their range."""
