"""A batch of questions answers as each alone, and the order of Gaussians changes nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from langfield.codec import fit_codebook, fit_pca
from langfield.field.types import Field
from langfield.query.calibrate import presence
from langfield.query.gaussians import gaussian_relevancy
from langfield.query.image import relevancy_maps
from langfield.query.relevancy import encode_phrases
from langfield.query.things import select
from langfield.raster import Gaussians
from tests.things import CAMERAS, DIM, NAMES, Axes, things_field


@pytest.fixture(params=["identity", "codebook", "pca"], scope="module")
def field(request: pytest.FixtureRequest) -> Field:
    found = things_field()
    assert found.codes is not None
    if request.param == "identity":
        return found
    flat = found.codes.float().flatten(0, 1)
    seen = flat[flat.any(dim=-1)]
    codec = fit_codebook(seen) if request.param == "codebook" else fit_pca(seen, DIM)
    return replace(found, codes=codec.encode(flat).unflatten(0, found.codes.shape[:2]), codec=codec)


def test_a_batch_answers_as_each_question_alone(field: Field):
    asked = encode_phrases(Axes(), NAMES, DIM)
    camera = CAMERAS["view_1"]
    scores, maps, chosen = gaussian_relevancy(field, asked), relevancy_maps(field, camera, asked), select(field, asked)
    surely = presence(field, Axes(), NAMES)
    for i, name in enumerate(NAMES):
        alone = encode_phrases(Axes(), [name], DIM)
        torch.testing.assert_close(gaussian_relevancy(field, alone)[0], scores[i], rtol=0, atol=2e-6)
        torch.testing.assert_close(relevancy_maps(field, camera, alone)[0], maps[i], rtol=0, atol=2e-6)
        assert select(field, alone)[0].rows.tolist() == chosen[i].rows.tolist()
        assert presence(field, Axes(), [name])[0] == pytest.approx(surely[i], abs=1e-5)


def test_answers_follow_gaussians_wherever_they_stand(field: Field):
    n = len(field.gaussians)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(3))
    place = order.argsort()
    assert field.codes is not None
    assert field.instances is not None
    things, rows = field.instances, []
    for i in range(len(things)):
        rows.append(place[things.gaussians(i).long()].sort().values.int())
    moved = replace(
        field,
        gaussians=Gaussians(*(t[order] for t in field.gaussians.tensors())),
        codes=field.codes[:, order],
        instances=replace(things, rows=torch.cat(rows)),
    )
    asked = encode_phrases(Axes(), NAMES, DIM)
    torch.testing.assert_close(
        gaussian_relevancy(moved, asked), gaussian_relevancy(field, asked)[..., order], rtol=0, atol=2e-6
    )
    for name in ("view_0", "view_3"):
        torch.testing.assert_close(
            relevancy_maps(moved, CAMERAS[name], asked), relevancy_maps(field, CAMERAS[name], asked), rtol=0, atol=1e-4
        )
    for one, other in zip(select(field, asked), select(moved, asked), strict=True):
        assert sorted(order[other.rows].tolist()) == one.rows.tolist()
    assert presence(moved, Axes(), NAMES) == pytest.approx(presence(field, Axes(), NAMES), abs=0.02)
