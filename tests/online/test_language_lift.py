"""Whatever came, went and moved: the language map is the one that lifting the same views at once gives."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from langfield.artefacts import read_tensors, write_tensors
from langfield.codec import fit_codebook
from langfield.errors import FormatError, SettingsError
from langfield.field.instance_build import lift_things
from langfield.field.lift import GAUSSIAN_BITS, MAX_GAUSSIANS, Sums, look, merge
from langfield.field.lift_solve import LiftSettings, LiftView, lift_rows, segments_of
from langfield.online.language import LanguageMap
from langfield.online.language_lift import LiftedLanguage
from langfield.online.language_settings import OnlineLanguageSettings
from langfield.online.types import Caps, Keyframe, MapChange
from langfield.raster import Gate, Gaussians
from tests.online.language_scene import Shown, keyframe, moved, rows_of, shown
from tests.raster import scenes
from tests.series import cases

N = 60


@dataclass
class Walk:
    """A language map, and beside it nothing but the list of what it should hold."""

    seed: int
    language: LiftedLanguage
    gaussians: Gaussians
    held: dict[int, Shown] = field(default_factory=dict)
    next: int = 0

    def views(self) -> list[LiftView]:
        shows = [self.held[i] for i in sorted(self.held)]
        return [LiftView(s.keyframe.camera, torch.from_numpy(s.segments.ids), s.vectors) for s in shows]

    def keyframes(self) -> list[Keyframe]:
        return [s.keyframe for s in self.held.values()]

    def add(self, g: torch.Generator) -> None:
        new = shown(self.next, self.seed)
        gone = self.language.add(new.keyframe, self.gaussians, new.segments, new.vectors)
        self.held[self.next] = new
        self.next += 1 + int(torch.randint(3, (1,), generator=g))
        for one in gone:
            del self.held[one]

    def change(self, g: torch.Generator) -> None:
        """Prune some rows, shuffle the others now and then, and add a few."""
        n = len(self.gaussians)
        kept = torch.rand(n, generator=g) > 0.15
        kept = kept.nonzero()[:, 0]
        if torch.rand(1, generator=g) < 0.3:
            kept = kept[torch.randperm(len(kept), generator=g)]
        new = scenes.gaussians(int(torch.randint(12, (1,), generator=g)), int(torch.randint(999, (1,), generator=g)))
        self.gaussians = rows_of(self.gaussians, kept, new)
        self.language.reindex(MapChange(kept, len(new)))

    def correct(self, g: torch.Generator) -> None:
        if self.held:
            one = sorted(self.held)[int(torch.randint(len(self.held), (1,), generator=g))]
            angle = float(torch.rand(1, generator=g)) * 0.4
            show = self.held[one]
            self.held[one] = Shown(moved(show.keyframe, angle), show.segments, show.vectors)
            self.language.renew(self.held[one].keyframe, self.gaussians)

    def drop(self, g: torch.Generator) -> None:
        if len(self.held) > 1:
            one = sorted(self.held)[int(torch.randint(len(self.held), (1,), generator=g))]
            self.language.drop(one)
            del self.held[one]


def started(seed: int, caps: Caps | None = None) -> Walk:
    scene = scenes.gaussians(N, seed)
    language = LiftedLanguage(OnlineLanguageSettings(), caps or Caps(max_keyframes=5))
    language.reindex(MapChange(torch.zeros(0, dtype=torch.int64), N))
    return Walk(seed, language, scene)


def walked(seed: int, steps: int = 12, ask: bool = False) -> Walk:
    g = torch.Generator().manual_seed(seed)
    walk = started(seed)
    walk.add(g)
    moves = (walk.add, walk.add, walk.change, walk.correct, walk.drop)
    for move in torch.randint(len(moves), (steps,), generator=g).tolist():
        moves[move](g)
        if ask and torch.rand(1, generator=g) < 0.5:
            walk.language.parts(len(walk.gaussians))
    return walk


def same(a: Sums, b: Sums) -> bool:
    return torch.equal(a.key, b.key) and torch.equal(a.steps, b.steps)


def batch(walk: Walk) -> Sums:
    gate = Gate(LiftSettings().coverage, LiftSettings().floor)
    return merge([look(walk.gaussians, v.camera, v.ids, i, gate) for i, v in enumerate(walk.views())])


def test_it_is_a_language_map():
    made: LanguageMap = LiftedLanguage()
    assert made.held == ()


def test_any_walk_ends_where_lifting_at_once_does(record_property):
    seeds, entries = cases(6, 600), 0
    for seed in range(seeds):
        walk = walked(seed)
        assert walk.language.held == tuple(sorted(walk.held))
        done = walk.language.freshen(walk.gaussians, walk.keyframes(), float("inf"))
        assert set(done) <= set(walk.held)
        assert walk.language.stale(walk.gaussians, walk.keyframes()) == []
        mine, offline = walk.language.sums(), batch(walk)
        assert same(mine, offline)
        entries += len(mine)
    record_property("walks", {"seeds": seeds, "entries": entries})


def test_the_finished_map_is_that_of_the_offline_stage():
    for seed in range(cases(3, 100)):
        walk = walked(seed)
        found = walk.language.finish(walk.gaussians, walk.keyframes())
        codec = fit_codebook(torch.cat([v.vectors for v in walk.views()]))
        lifted, things = lift_things(
            walk.gaussians, walk.views(), codec, LiftSettings(), walk.language.settings.instances
        )
        assert torch.equal(found.codes, lifted.codes)
        assert torch.equal(found.reliability, lifted.reliability)
        assert found.instances is not None
        for name, tensor in things.tensors().items():
            assert torch.equal(found.instances.tensors()[name], tensor), name
        assert len(set(found.instance_ids.tolist())) == len(things)


def test_stale_sums_hold_what_was_said_of_rows_that_are_still_there():
    for seed in range(4):
        g = torch.Generator().manual_seed(seed)
        walk = started(seed)
        for _ in range(3):
            walk.add(g)
        before = walk.language.sums()
        kept = (torch.rand(N, generator=g) > 0.4).nonzero()[:, 0]
        walk.language.reindex(MapChange(kept, 7))
        stays = torch.isin(before.gaussian, kept)
        after = walk.language.sums()
        assert len(after) == int(stays.sum())
        assert torch.equal(after.steps, before.steps[stays])
        assert torch.equal(kept[after.gaussian], before.gaussian[stays])


def test_codes_at_any_moment_are_those_of_all_sums_solved_at_once(record_property):
    rows = ties = 0
    for seed in range(cases(4, 200)):
        walk = walked(seed, ask=True)
        n = len(walk.gaussians)
        asked = walk.language.parts(n)
        walk.language.live.dirty[:] = True  # the same from nothing
        again = walk.language.parts(n)
        assert torch.equal(asked.codes, again.codes)
        assert torch.equal(asked.reliability, again.reliability)
        codes, reliability, means = naive(walk, n)
        seen = reliability > 0
        assert torch.equal(seen, asked.reliability > 0)
        fit, other = (cosine_similarity(asked.codec.decode(c[seen]), means[seen]) for c in (asked.codes, codes))
        assert (other - fit).mean() < 2e-3  # atoms that no vote names may be taken by one and not by the other
        assert (other - fit).max() < 0.08
        ties += int((codes[seen] != asked.codes[seen]).any(dim=1).sum())
        rows += int(seen.sum())
        assert ((reliability - asked.reliability).abs()[seen] / reliability[seen]).median() < 0.05
    record_property("codes", {"rows": rows, "ties": ties})
    assert ties < 0.2 * rows


def naive(walk: Walk, n: int) -> tuple[Tensor, Tensor, Tensor]:
    """Solve by the offline functions, from the same codes of segments; codes, reliability and the means themselves."""
    looks = list(walk.language.looks.values())
    codec, sums = walk.language.book.codec(), walk.language.sums()
    told = torch.cat([one.codes for one in looks])
    segments = segments_of([one.vectors for one in looks])
    codes, reliability = torch.zeros(3 * n, 6, dtype=torch.int16), torch.zeros(3 * n)
    means = torch.zeros(3 * n, codec.dim)
    for table, out in ((codec.spread(told), codes), (codec.decode(told), means)):
        for row, mean, trust in lift_rows(sums, segments, table, LiftSettings()):
            flat = (row >> GAUSSIAN_BITS) * n + (row & (MAX_GAUSSIANS - 1))
            out[flat] = codec.compress(mean) if out is codes else mean
            reliability[flat] = trust
    return codes.view(3, n, 6), reliability.view(3, n), means.view(3, n, -1)


def test_only_rows_that_a_keyframe_speaks_of_are_solved_again():
    walk = walked(3)
    walk.language.parts(len(walk.gaussians))
    assert not walk.language.live.dirty.any()
    one = walk.language.held[-1]
    seen = walk.language.looks[one].names()
    walk.language.drop(one)
    rows = walk.language.names.rows()[seen]
    expected = torch.zeros(len(walk.gaussians), dtype=torch.bool)
    expected[rows[rows >= 0]] = True
    assert torch.equal(walk.language.live.dirty, expected)


def test_what_moved_is_stale_and_the_oldest_look_is_renewed_first():
    g = torch.Generator().manual_seed(1)
    walk = started(1)
    for _ in range(3):
        walk.add(g)
    first, second, third = walk.language.held
    assert walk.language.stale(walk.gaussians, walk.keyframes()) == []
    turned = [moved(k, 0.3) if k.id == second else k for k in walk.keyframes()]
    assert walk.language.stale(walk.gaussians, turned) == [second]
    walk.gaussians.means[0, 0] += 1e-3
    assert walk.language.stale(walk.gaussians, walk.keyframes()) == [first, second, third]
    walk.language.renew(walk.held[first].keyframe, walk.gaussians)
    assert walk.language.stale(walk.gaussians, walk.keyframes()) == [second, third]
    assert walk.language.freshen(walk.gaussians, walk.keyframes(), 0.0) == []
    assert walk.language.freshen(walk.gaussians, walk.keyframes(), 60.0) == [second, third]


def test_beyond_the_cap_the_keyframe_goes_that_others_repeat():
    walk = started(2, Caps(max_keyframes=3))
    shows = [shown(i, 2) for i in range(4)]
    angles = (0.0, 0.25, 0.02, 0.01)
    shows = [Shown(moved(s.keyframe, a), s.segments, s.vectors) for s, a in zip(shows, angles, strict=True)]
    ids = [torch.from_numpy(s.segments.ids) for s in shows]
    looks = [look(walk.gaussians, s.keyframe.camera, i) for s, i in zip(shows, ids, strict=True)]
    seen = [set(one.gaussian.tolist()) for one in looks]
    novelty = [sum(1 / sum(row in other for other in seen) for row in own) for own in seen[:3]]
    gone = [walk.language.add(s.keyframe, walk.gaussians, s.segments, s.vectors) for s in shows]
    assert gone == [(), (), (), (novelty.index(min(novelty)),)]
    assert len(walk.language.held) == 3


def test_memory_is_flat_beyond_the_cap():
    walk = started(4, Caps(max_keyframes=3, max_gaussians=200, max_atoms=12))
    g = torch.Generator().manual_seed(4)
    sizes = []
    for _ in range(12):
        walk.add(g)
        walk.change(g)
        sizes.append(walk.language.bytes)
        assert walk.language.book.count <= 12
        assert len(walk.language.looks) <= 3
    assert max(sizes[6:]) <= 1.2 * max(sizes[:6])
    with pytest.raises(SettingsError, match="cap"):
        walk.language.reindex(MapChange(torch.arange(len(walk.gaussians)), 500))


def test_a_killed_map_goes_on_from_its_file(tmp_path):
    walk = walked(5)
    tensors, about = walk.language.state()
    write_tensors(tmp_path / "state.safetensors", tensors, about)
    other = LiftedLanguage(OnlineLanguageSettings(), Caps(max_keyframes=5))
    other.load_state(*read_tensors(tmp_path / "state.safetensors"))
    assert other.held == walk.language.held
    assert same(other.sums(), walk.language.sums())
    n = len(walk.gaussians)
    mine, theirs = walk.language.parts(n), other.parts(n)
    assert torch.equal(mine.codes, theirs.codes)
    assert torch.equal(mine.instance_ids, theirs.instance_ids)
    g = torch.Generator().manual_seed(9)
    new = shown(walk.next + 1, 5)
    for language in (walk.language, other):
        language.add(new.keyframe, walk.gaussians, new.segments, new.vectors)
    del g
    assert same(other.sums(), walk.language.sums())
    assert torch.equal(walk.language.parts(n).instance_ids, other.parts(n).instance_ids)


def test_a_damaged_state_is_refused():
    tensors, about = walked(5).language.state()
    one = about["looks"][0]["id"]
    bad = [
        {k: v for k, v in tensors.items() if k != f"look.{one}.ids"},
        tensors | {f"look.{one}.key": tensors[f"look.{one}.key"] + (1 << 15)},
        tensors | {f"look.{one}.codes": tensors[f"look.{one}.codes"][:-1]},
        tensors | {"names": tensors["names"] + 10**6},
    ]
    for damaged in bad:
        with pytest.raises(FormatError):
            LiftedLanguage(OnlineLanguageSettings(), Caps(max_keyframes=5)).load_state(damaged, about)
    with pytest.raises(FormatError):
        LiftedLanguage(OnlineLanguageSettings(), Caps(max_keyframes=5)).load_state(tensors, about | {"given": "x"})


def test_names_that_have_run_out_are_given_anew(monkeypatch):
    monkeypatch.setattr("langfield.online.language_rows.CROWDED", 100)
    walk = walked(6, steps=30)
    assert walk.language.names.given <= max(100, 4 * len(walk.gaussians)) + 12
    walk.language.freshen(walk.gaussians, walk.keyframes(), float("inf"))
    assert same(walk.language.sums(), batch(walk))


def test_what_does_not_fit_is_refused():
    walk = walked(7)
    new = shown(walk.next + 1, 7)
    with pytest.raises(FormatError, match="vectors do not fit"):
        walk.language.add(new.keyframe, walk.gaussians, new.segments, new.vectors[:2])
    with pytest.raises(SettingsError, match="rise"):
        walk.language.add(keyframe(0, 0.0), walk.gaussians, new.segments, new.vectors)
    with pytest.raises(FormatError, match="reindex"):
        walk.language.add(new.keyframe, scenes.gaussians(3, 0), new.segments, new.vectors)
    with pytest.raises(FormatError, match="reindex"):
        walk.language.parts(3)
    with pytest.raises(FormatError, match="keeps rows"):
        walk.language.reindex(MapChange(torch.tensor([0, 0]), 0))
    with pytest.raises(FormatError, match="not in the language map"):
        walk.language.drop(10**4)
