"""The named mode's language map on two blobs: what it learns, what it leaves alone, going on after a stop."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from langfield.codec.two_stage import StageOne
from langfield.codec.two_stage_fit import StageOneSettings, StageTwoSettings, fit_stage_one
from langfield.errors import FormatError, SettingsError
from langfield.field.store import load_field, save_field
from langfield.field.types import Field
from langfield.online.paper.language import OnlineLangSplat
from langfield.online.paper.losses import apart, code_loss, draw_codes, scale_tie
from langfield.online.paper.settings import PaperSettings
from langfield.online.types import Keyframe, MapChange
from langfield.query.image import relevancy_maps
from langfield.query.relevancy import encode_phrases
from langfield.raster import Gaussians
from langfield.segment.types import Segments
from tests.blobs import CAMERAS, DIM, EACH, WORDS, Words, blob_gaussians, blob_ids, blob_vectors

VIEWS = list(CAMERAS.values())
QUICK = StageTwoSettings(first_steps=40, samples=300)


@pytest.fixture(scope="module")
def stage_one() -> StageOne:
    """A first stage that knows the blobs' vectors and others."""
    generator = torch.Generator().manual_seed(5)
    others = normalize(torch.randn(100, DIM, generator=generator), dim=-1)
    known = torch.cat([*(blob_vectors(s) for s in range(10)), others])
    return fit_stage_one(known, StageOneSettings(steps=150, batch=80, lr=3e-3))


def keyframe(number: int) -> Keyframe:
    return Keyframe(number, cast(Any, SimpleNamespace(index=number)), VIEWS[number])


def features(number: int) -> torch.Tensor:
    """Each pixel's vector at half size, zero where neither blob is seen."""
    ids = torch.from_numpy(blob_ids(VIEWS[number])[2, ::2, ::2].astype(np.int64))
    return torch.cat([blob_vectors(number), torch.zeros(1, DIM)])[ids]


def mapped(stage_one: StageOne, settings: PaperSettings | None = None, views: int = 2) -> OnlineLangSplat:
    language = OnlineLangSplat(stage_one, settings or PaperSettings(stage_two=QUICK, steps=8))
    language.reindex(MapChange(torch.zeros(0, dtype=torch.int64), 2 * EACH))
    for number in range(views):
        language.add_dense(keyframe(number), blob_gaussians(), features(number))
    return language


def leaves() -> Gaussians:
    return Gaussians(*(t.clone().requires_grad_() for t in blob_gaussians().tensors()))


def field_of(language: OnlineLangSplat) -> Field:
    parts = language.parts(2 * EACH)
    return Field(blob_gaussians(), parts.codes, parts.codec, {}, parts.reliability, language=parts.shape)


def test_each_blob_answers_to_its_word(stage_one):
    learned = PaperSettings(stage_two=StageTwoSettings(samples=300), steps=10)
    field = field_of(mapped(stage_one, learned))
    phrases = encode_phrases(Words(), WORDS, DIM)
    maps = relevancy_maps(field, VIEWS[3], phrases)[:, 0]  # a view it was not taught
    ids = blob_ids(VIEWS[3])[0]
    for word in range(2):
        assert (maps[word] > maps[1 - word]).numpy()[ids == word].mean() > 0.95


def test_language_sends_no_gradient_to_centres_colour_or_pose(stage_one):
    language = mapped(stage_one, views=1)
    gaussians = leaves()
    pose = VIEWS[1].T_world_camera.clone().requires_grad_()
    language.add_dense(replace(keyframe(1), camera=replace(VIEWS[1], T_world_camera=pose)), gaussians, features(1))
    assert all(t.grad is None for t in (*gaussians.tensors(), pose))
    own = language.parts(2 * EACH).shape
    assert own is not None
    drawn = draw_codes(apart(gaussians, own), replace(VIEWS[1], T_world_camera=pose), language.parts(2 * EACH).codes[0])
    assert not drawn.requires_grad or drawn.grad_fn is not None
    asked = [own.quats.clone().requires_grad_()]
    drawn = draw_codes(apart(gaussians, replace(own, quats=asked[0])), VIEWS[1], language.parts(2 * EACH).codes[0])
    found = torch.autograd.grad(drawn.square().sum(), [*asked, *gaussians.tensors()], allow_unused=True)
    assert found[0] is not None
    assert found[0].abs().max() > 0
    assert found[1:] == (None,) * 5


def test_language_does_move_its_own_shape(stage_one):
    shape = mapped(stage_one).parts(2 * EACH).shape
    assert shape is not None
    before = blob_gaussians()
    assert not torch.equal(shape.log_scales, before.log_scales)
    assert not torch.equal(shape.logit_opacities, before.logit_opacities)
    assert not torch.equal(shape.quats, before.quats)


def test_joint_sends_gradients_everywhere_and_has_no_shape_of_its_own(stage_one):
    language = OnlineLangSplat(stage_one, PaperSettings(variant="joint", stage_two=QUICK))
    language.reindex(MapChange(torch.zeros(0, dtype=torch.int64), 2 * EACH))
    language.note(keyframe(0), features(0))
    gaussians = leaves()
    pose = VIEWS[0].T_world_camera.clone().requires_grad_()
    for _ in range(2):  # the first step gives codes a length, without which shapes make no difference
        language.extra_loss(gaussians, replace(VIEWS[0], T_world_camera=pose), 0).backward()
    grads = [t.grad for t in (*gaussians.tensors()[:4], pose)]
    assert all(g is not None and g.abs().max() > 0 for g in grads)
    assert language.parts(2 * EACH).shape is None
    assert language.parts(2 * EACH).codes.abs().max() > 0


def test_disentangled_adds_nothing_to_the_mapping_loss(stage_one):
    loss = mapped(stage_one, views=1).extra_loss(leaves(), VIEWS[0], 0)
    assert float(loss) == 0
    assert not loss.requires_grad


def test_rows_that_the_map_has_not_told_of_are_met_once(stage_one):
    language = OnlineLangSplat(stage_one, PaperSettings(variant="joint", stage_two=QUICK))
    language.reindex(MapChange(torch.zeros(0, dtype=torch.int64), EACH))
    language.note(keyframe(0), features(0))
    for _ in range(2):
        language.extra_loss(leaves(), VIEWS[0], 0).backward()
    language.reindex(MapChange(torch.arange(EACH), EACH))
    codes = language.parts(2 * EACH).codes
    assert codes[0, EACH:].abs().max() > 0  # what they learned before they were told of is kept
    language.reindex(MapChange(torch.arange(EACH, 2 * EACH), 3))
    after = language.parts(EACH + 3).codes
    assert torch.equal(after[:, :EACH], codes[:, EACH:])
    assert not after[:, EACH:].any()


def test_losses_are_those_of_a_naive_twin():
    generator = torch.Generator().manual_seed(1)
    drawn, wanted = torch.randn(4, 3, 15, generator=generator), torch.randn(4, 3, 15, generator=generator)
    valid = torch.tensor([[1, 0, 1], [0, 0, 1], [1, 1, 1], [0, 0, 0]]).bool()
    total = count = 0.0
    for y in range(4):
        for x in range(3):
            if valid[y, x]:
                total += sum(abs(float(drawn[y, x, c] - wanted[y, x, c])) for c in range(15)) / 15
                count += 1
    assert float(code_loss(drawn, wanted, valid)) == pytest.approx(total / count, rel=1e-5)
    assert float(code_loss(drawn, wanted, torch.zeros_like(valid))) == 0


def test_the_tie_pulls_scales_to_colours_and_not_the_other_way():
    own, colour = torch.zeros(5, 3, requires_grad=True), torch.full((5, 3), 0.5, requires_grad=True)
    loss = scale_tie(own, colour)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(0.5)
    assert colour.grad is None
    assert own.grad is not None
    assert (own.grad < 0).all()


def test_a_strong_tie_keeps_scales_closer(stage_one):
    gaps = []
    for tie in (0.0, 100.0):
        shape = mapped(stage_one, PaperSettings(stage_two=QUICK, steps=8, tie=tie)).parts(2 * EACH).shape
        assert shape is not None
        gaps.append(float((shape.log_scales - blob_gaussians().log_scales).abs().mean()))
    assert gaps[1] < gaps[0]


def test_the_same_keyframes_give_the_same_map(stage_one):
    one, two = mapped(stage_one).parts(2 * EACH), mapped(stage_one).parts(2 * EACH)
    assert torch.equal(one.codes, two.codes)


def test_stale_codes_stay_and_others_follow_the_autoencoder(stage_one):
    kept, made = (
        mapped(stage_one, PaperSettings(stage_two=QUICK, steps=0, stale_codes=stale)) for stale in (True, False)
    )
    first = mapped(stage_one, PaperSettings(stage_two=QUICK, steps=0), views=1)._held[0].codes.float()
    assert torch.equal(kept._wanted(kept._held[0]), first)
    moved = made._wanted(made._held[0])
    assert not torch.equal(moved, first)
    codes = made.codec().two.encode(made._held[0].middle.float())
    assert torch.allclose(moved[made._held[0].valid], codes[made._held[0].valid])


def test_a_stopped_map_goes_on_as_if_nothing_had_happened(stage_one):
    whole, stopped = mapped(stage_one), mapped(stage_one)
    tensors, about = stopped.state()
    assert all(tensors[name] is t for name, t in stopped.state()[0].items() if name.startswith("keyframe."))
    resumed = OnlineLangSplat(stage_one, whole.settings)
    resumed.load_state(tensors, about)
    for language in (whole, resumed):
        language.add_dense(keyframe(2), blob_gaussians(), features(2))
    a, b = whole.parts(2 * EACH), resumed.parts(2 * EACH)
    assert torch.equal(a.codes, b.codes)
    assert whole.held == resumed.held == (0, 1, 2)
    with pytest.raises(FormatError, match="other settings"):
        OnlineLangSplat(stage_one).load_state(tensors, about)
    with pytest.raises(FormatError):
        resumed.load_state({k: t for k, t in tensors.items() if k != "keyframe.1.codes"}, about)


def test_segments_are_taken_as_features_of_their_pixels(stage_one):
    language = OnlineLangSplat(stage_one, PaperSettings(stage_two=QUICK, steps=2))
    language.reindex(MapChange(torch.zeros(0, dtype=torch.int64), 2 * EACH))
    ids = blob_ids(VIEWS[0])
    boxes, levels = np.tile(np.array([[0, 0, 9, 9]], np.int32), (6, 1)), np.repeat([0, 1, 2], 2).astype(np.int16)
    segments = Segments(ids, boxes, levels, np.ones(6, np.float32))
    language.add(keyframe(0), blob_gaussians(), segments, blob_vectors(0))
    assert torch.equal(language._held[0].valid, torch.from_numpy(ids[2] >= 0))
    with pytest.raises(FormatError, match="do not fit"):
        language.add(keyframe(1), blob_gaussians(), segments, blob_vectors(0)[:4])


def test_what_does_not_fit_is_refused(stage_one):
    language = mapped(stage_one)
    with pytest.raises(SettingsError, match="comes after"):
        language.add_dense(keyframe(1), blob_gaussians(), features(1))
    with pytest.raises(FormatError, match="finite"):
        language.add_dense(keyframe(3), blob_gaussians(), features(3)[..., :5])
    with pytest.raises(FormatError, match="rows"):
        language.parts(7)
    with pytest.raises(SettingsError):
        OnlineLangSplat(stage_one, PaperSettings(tie=-1.0))


def test_a_moved_pose_is_stale_until_it_is_learned_again(stage_one):
    language = mapped(stage_one)
    shifted = replace(VIEWS[1], T_world_camera=VIEWS[1].T_world_camera + 0.01)
    keyframes = [keyframe(0), replace(keyframe(1), camera=shifted)]
    assert language.stale(blob_gaussians(), keyframes) == [1]
    assert language.freshen(blob_gaussians(), keyframes, 60.0) == [1]
    assert language.stale(blob_gaussians(), keyframes) == []
    language.drop(1)
    assert language.held == (0,)


def test_the_finished_map_is_an_ordinary_field(stage_one, tmp_path):
    language = mapped(stage_one)
    field = field_of(language)
    save_field(tmp_path, field)
    again = load_field(tmp_path)
    assert again.language is not None
    assert field.language is not None
    assert torch.equal(again.language.log_scales, field.language.log_scales)
    assert torch.equal(again.language_gaussians.quats, field.language.quats)
    phrases = encode_phrases(Words(), WORDS, DIM)
    assert torch.equal(relevancy_maps(again, VIEWS[0], phrases), relevancy_maps(field, VIEWS[0], phrases))
    plain = relevancy_maps(replace(field, language=None), VIEWS[0], phrases)
    assert not torch.equal(plain, relevancy_maps(field, VIEWS[0], phrases))
