"""Captions that name their things, to tracks that have none: one to one, by what names and tracks look like to CLIP.

A file of captions knows its things by name and by numbers of masks that are not ours. No true mask is looked at: each
name is embedded by the text tower, and the assignment of names to tracks with the largest sum of cosines is taken. A
name that fits its track no better than "object" does finds none.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def match_names(
    names: Float[np.ndarray, "B D"], plain: Float[np.ndarray, "P D"], tracks: Float[np.ndarray, "O D"]
) -> list[int | None]:
    """Give the track of each name, None where no track is it.

    Args:
        names: unit vector of each name.
        plain: of phrases that anything may be called, such as "object".
        tracks: unit vector of each track, in the same space.
    """
    from scipy.optimize import linear_sum_assignment

    cosines = names @ tracks.T
    found: list[int | None] = [None] * len(names)
    for name, thing in zip(*linear_sum_assignment(-cosines), strict=True):
        if cosines[name, thing] > (plain @ tracks[thing]).max(initial=-1.0):
            found[int(name)] = int(thing)
    return found
