"""From sums to vectors: means, medians and gates against closed forms and a naive computation."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from langfield.codec import Identity, fit_codebook
from langfield.errors import FormatError, SettingsError
from langfield.field import lift_solve
from langfield.field.lift import STEPS_PER_PX, Sums, collect, column_of, look, merge, pack
from langfield.field.lift_solve import LiftSettings, Segments, lift_codes, lift_rows, segments_of
from langfield.raster import Gaussians
from tests.field.test_lift import id_maps
from tests.raster import scenes

MEAN = LiftSettings(median_steps=0)
MEDIAN = LiftSettings(median_steps=5)


def unit(*shape: int, seed: int = 0) -> Tensor:
    return normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def sums_of(rows: list[tuple[int, int, int, int, float, float]]) -> Sums:
    """Rows: level, Gaussian, view, segment, gated weight, all weight."""
    key = torch.cat([
        pack(torch.tensor([r[0]]), torch.tensor([r[1]]), column_of(r[2], torch.tensor([r[3]]))) for r in rows
    ])  # fmt: skip
    return collect(key, (torch.tensor([r[4:] for r in rows], dtype=torch.float64) * STEPS_PER_PX).round().long())


def vectors_of(sums: Sums, segments: Segments, settings: LiftSettings, n: int, levels: int = 1) -> Tensor:
    dense = torch.zeros(levels, n, segments.vectors.shape[1])
    for row, found, _ in lift_rows(sums, segments, segments.vectors, settings):
        dense[row >> 29, row & (2**29 - 1)] = found
    return dense


def test_one_gaussian_two_segments():
    segments = segments_of([unit(2, 8)])
    sums = sums_of([(0, 0, 0, 0, 30.0, 30.0), (0, 0, 0, 1, 10.0, 10.0)])
    dense = vectors_of(sums, segments, MEAN, 1)
    torch.testing.assert_close(dense[0, 0], 0.75 * segments.vectors[0] + 0.25 * segments.vectors[1])


def test_equals_the_naive_mean_over_pixels():
    scene, many = scenes.gaussians(50, 4), 5
    tables = [unit(many, 16, seed=v) for v in range(3)]
    views = [look(scene, scenes.camera(angle=0.1 * v), id_maps(v), v) for v in range(3)]
    numerator, denominator = torch.zeros(3, 50, 16), torch.zeros(3, 50)
    for v, view in enumerate(views):
        for level, gaussian, column, weight in zip(
            view.level.tolist(), view.gaussian.tolist(), view.column.tolist(), view.weight.tolist(), strict=True
        ):
            numerator[level, gaussian] += weight[0] * tables[v][column % 2**15]
            denominator[level, gaussian] += weight[0]
    dense = vectors_of(merge(views), segments_of(tables), MEAN, 50, levels=3)
    thick = denominator >= MEAN.thin_px
    assert thick.sum() > 40
    torch.testing.assert_close(dense[thick], (numerator / denominator[..., None])[thick], rtol=1e-4, atol=1e-5)


def test_a_wrong_view_is_outvoted():
    good, bad = unit(1, 16, seed=1)[0], unit(1, 16, seed=2)[0]
    tables = [normalize(good + 0.05 * unit(1, 16, seed=10 + v), dim=-1) for v in range(4)] + [bad[None]]
    sums = sums_of([(0, 0, v, 0, 1.0, 1.0) for v in range(4)] + [(0, 0, 4, 0, 2.0, 2.0)])
    mean = normalize(vectors_of(sums, segments_of(tables), MEAN, 1)[0, 0], dim=0)
    median = normalize(vectors_of(sums, segments_of(tables), MEDIAN, 1)[0, 0], dim=0)
    assert median @ good > mean @ good + 0.02
    assert median @ good > 0.98


def test_the_median_minimises_the_sum_of_distances():
    tables = [unit(1, 3, seed=20 + v).abs() for v in range(7)]
    weights = [1.0 + v for v in range(7)]
    sums = sums_of([(0, 0, v, 0, w, w) for v, w in enumerate(weights)])
    settings = LiftSettings(median_steps=60, nearest=1e-4)
    found = normalize(vectors_of(sums, segments_of(tables), settings, 1)[0, 0], dim=0)

    def cost(z: Tensor) -> Tensor:
        distances = (torch.cat([normalize(t, dim=-1) for t in tables]) - normalize(z, dim=-1)[:, None]).norm(dim=-1)
        return (distances * torch.tensor(weights)).sum(dim=-1)

    around = found + 0.05 * torch.randn(500, 3, generator=torch.Generator().manual_seed(0))
    assert cost(found[None]).item() <= cost(around).min().item() + 1e-3


def test_seen_weight_counts_and_unseen_only_where_there_is_no_other():
    segments = segments_of([unit(2, 8)])
    seen = sums_of([(0, 0, 0, 0, 5.0, 6.0), (0, 0, 0, 1, 0.0, 100.0)])
    torch.testing.assert_close(vectors_of(seen, segments, MEAN, 1)[0, 0], segments.vectors[0])
    thin = sums_of([(0, 0, 0, 0, 0.5, 1.0), (0, 0, 0, 1, 0.0, 3.0)])
    expected = 0.25 * segments.vectors[0] + 0.75 * segments.vectors[1]
    torch.testing.assert_close(vectors_of(thin, segments, MEAN, 1)[0, 0], expected)


def test_reliability_is_agreement_times_views():
    tables = [unit(1, 8, seed=0), unit(1, 8, seed=0), unit(1, 8, seed=0), -unit(1, 8, seed=0)]
    rows = [(0, 0, v, 0, 2.0, 2.0) for v in range(3)] + [(0, 1, 0, 0, 8.0, 8.0), (0, 1, 3, 0, 2.0, 2.0)]
    found = lift_codes(sums_of(rows), segments_of(tables), Identity(8), 3, MEAN, levels=1)
    expected = torch.tensor([[3.0, 0.6 * (100 / 68), 0.0]])
    torch.testing.assert_close(found.reliability, expected, rtol=1e-4, atol=1e-5)
    assert not found.codes[0, 2].any()


def test_batches_change_nothing(monkeypatch: pytest.MonkeyPatch):
    scene, tables = scenes.gaussians(50, 4), [unit(5, 16, seed=v) for v in range(3)]
    sums = merge([look(scene, scenes.camera(angle=0.1 * v), id_maps(v), v) for v in range(3)])
    whole = lift_codes(sums, segments_of(tables), Identity(16), 50, MEDIAN)
    for most in (1, 7, 50):
        monkeypatch.setattr(lift_solve, "PAIRS_AT_ONCE", most)
        again = lift_codes(sums, segments_of(tables), Identity(16), 50, MEDIAN)
        torch.testing.assert_close(again.codes, whole.codes, rtol=0, atol=2e-3)
        torch.testing.assert_close(again.reliability, whole.reliability)


def test_same_in_any_order_and_twice():
    scene, tables = scenes.gaussians(50, 4), [unit(5, 16, seed=v) for v in range(3)]
    codec = fit_codebook(torch.cat(tables))
    order = torch.randperm(50, generator=torch.Generator().manual_seed(1))
    shuffled = Gaussians(*(t[order] for t in scene.tensors()))

    def lifted(of: Gaussians, views: list[int]):
        sums = merge([look(of, scenes.camera(angle=0.1 * v), id_maps(v), v) for v in views])
        return lift_codes(sums, segments_of(tables), codec, 50, MEDIAN)

    first = lifted(scene, [0, 1, 2])
    assert torch.equal(first.codes, lifted(scene, [2, 0, 1]).codes)
    assert torch.equal(first.codes, lifted(scene, [0, 1, 2]).codes)
    other = lifted(shuffled, [0, 1, 2])
    close = codec.decode(other.codes) * codec.decode(first.codes[:, order])
    seen = first.reliability[:, order] > 0
    assert close.sum(dim=-1)[seen].min() > 0.999
    torch.testing.assert_close(other.reliability, first.reliability[:, order], rtol=1e-3, atol=1e-3)


def test_settings_out_of_range():
    sums, segments = sums_of([(0, 0, 0, 0, 1.0, 1.0)]), segments_of([unit(1, 8)])
    wrong = [LiftSettings(coverage=0), LiftSettings(floor=2), LiftSettings(thin_px=-1), LiftSettings(nearest=0)]
    for one in (*wrong, LiftSettings(median_steps=-1), LiftSettings(subspace=0)):
        with pytest.raises(SettingsError):
            lift_codes(sums, segments, Identity(8), 1, one)
    with pytest.raises(FormatError, match="no view"):
        segments_of([])


def test_a_view_without_a_table_is_named():
    segments = segments_of({0: torch.randn(3, 4), 2: torch.randn(2, 4)})
    columns = torch.cat([column_of(0, torch.tensor([2])), column_of(2, torch.tensor([1]))])
    assert segments.rows(columns).tolist() == [2, 4]
    for view, segment in ((1, 0), (3, 0), (2, 2)):
        with pytest.raises(FormatError, match="sums hold"):
            segments.rows(column_of(view, torch.tensor([segment])))
