"""The states of a thing as a person would list them: prototypes that mean the same are one, each called by its caption.

Prototypes of one thing lie close together whatever they mean ("is on" beside "is off"), and two ways to say the same
may lie further apart. So words tell first: states are two where their captions mostly stand on opposite sides of a pair
of the lexicon, and one where they stand on the same side. Where words leave it open, states are two if their prototypes
differ and both last: what comes and goes from one time to the next is another way to say the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import convolve1d
from torch.nn.functional import normalize

from langfield.field.status import StatusTracks
from langfield.suite.captions.lexicon import Lexicon, load_lexicon

SAME = 0.9
"""States of which words say nothing are one from this cosine on."""
LEAST_STRETCH = 0.05
"""And where one of them holds, on average, for less than this share of all times at once."""
AROUND = (0.1, 0.2, 0.4, 0.2, 0.1)
"""Weights of neighbouring times in what is said in a state."""
LEAST_SPOKEN = 0.2
"""A pair counts where this share of what is said in a state speaks of it."""

Said = Sequence[tuple[int, str]]
"""What was said of a thing: number of the time, and the caption."""


@dataclass(frozen=True)
class NamedState:
    """A state of a thing."""

    name: str
    """The caption said most while it holds; "" where nothing was."""
    active: Bool[np.ndarray, " T"]


def named_states(tracks: StatusTracks, thing: int, said: Said, lexicon: Lexicon | None = None) -> list[NamedState]:
    """Give the states of a thing that ever hold, in the order of their first time; none where nothing was said of it.

    Args:
        tracks: states of things.
        thing: its number.
        said: its captions.
        lexicon: what words mean; the package's own by default.
    """
    if not bool(tracks.prototypes[thing].any()):
        return []
    lexicon = lexicon or load_lexicon()
    shares = tracks.shares[thing].double().numpy()
    around = convolve1d(shares, AROUND, axis=0, mode="nearest")  # a single wrong caption decides nothing
    weights = around[[t for t, _ in said]] if said else np.zeros((0, shares.shape[1]))
    sides = _sides(said, weights, lexicon)
    unit = normalize(tracks.prototypes[thing].float(), dim=-1)
    alike = (unit @ unit.T >= SAME).numpy() | ~np.logical_and.outer(*(_lasts(shares),) * 2)
    owner = np.array(_merged(sides, alike))
    groups = sorted(set(owner.tolist()))
    likely = np.stack([shares[:, owner == group].sum(axis=1) for group in groups], axis=1)
    best = np.where(likely.any(axis=1), likely.argmax(axis=1), -1)
    found = []
    for number, group in enumerate(groups):
        mine = np.flatnonzero(owner == group)
        stands = {pair: side for k in mine for pair, side in sides[k].items()}
        if (best == number).any():
            found.append(NamedState(_name(said, weights[:, mine].sum(axis=1), stands, lexicon), best == number))
    return sorted(found, key=lambda s: int(s.active.argmax()))


def _lasts(shares: Float[np.ndarray, "T K"]) -> Bool[np.ndarray, " K"]:
    """Tell which states hold for a while at once; where every time has a state of its own, all may."""
    if len(shares) <= shares.shape[1]:
        return np.ones(shares.shape[1], bool)
    best = shares.argmax(axis=1)
    begins = np.diff(best, prepend=-1) != 0
    stretches = np.bincount(best[begins], minlength=shares.shape[1])
    times = np.bincount(best, minlength=shares.shape[1])
    return times >= LEAST_STRETCH * len(best) * np.maximum(stretches, 1)


def _sides(said: Said, weights: Float[np.ndarray, "S K"], lexicon: Lexicon) -> list[dict[int, int]]:
    """Give, for each state, on which side of which pairs its captions stand."""
    spoken = [lexicon.sides(text) for _, text in said]
    pairs = {pair for sides in spoken for pair in sides}
    found: list[dict[int, int]] = [{} for _ in range(weights.shape[1])]
    for pair in pairs:
        side = np.array([sides.get(pair, 0) for sides in spoken])
        enough = np.abs(side) @ weights >= LEAST_SPOKEN * weights.sum(axis=0)
        for k in np.flatnonzero(enough & (side @ weights != 0)):
            found[k][pair] = 1 if float(side @ weights[:, k]) > 0 else -1
    return found


def _merged(sides: Sequence[dict[int, int]], alike: Bool[np.ndarray, "K K"]) -> list[int]:
    """Give the first state that each one is the same as."""
    owner: list[int] = []
    for k in range(len(sides)):
        owner.append(next((owner[j] for j in range(k) if _same(sides[j], sides[k], bool(alike[j, k]))), k))
    return owner


def _same(one: dict[int, int], other: dict[int, int], alike: bool) -> bool:
    common = one.keys() & other.keys()
    return all(one[pair] == other[pair] for pair in common) if common else alike


def _name(said: Said, weights: Float[np.ndarray, " S"], stands: dict[int, int], lexicon: Lexicon) -> str:
    """Give what is said most in a state, of what does not say its opposite."""
    heard = dict[str, float]()
    for (_, text), weight in zip(said, weights, strict=True):
        if all(stands.get(pair, side) == side for pair, side in lexicon.sides(text).items()):
            heard[text] = heard.get(text, 0.0) + float(weight)
    return max(heard, key=lambda text: heard[text]) if heard else ""
