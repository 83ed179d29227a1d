"""How many cases a series has: a sample by default, its stated size under `pytest --series full`."""

from hypothesis import settings

FULL = "full"


def cases(sample: int, full: int = 2500) -> int:
    """Give the number of seeds, fuzz cases or kills to run; 2500 is the stated size of a parser's fuzz series."""
    return full if settings.get_current_profile_name() == FULL else sample
