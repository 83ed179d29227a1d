"""Inversion: known words come back, the model is left alone, and pictures find pictures better through a word."""

import pytest
import torch
from torch.nn.functional import normalize

from langfield.errors import SettingsError
from langfield.suite.effects.cross_gap import precision as benchs_precision
from langfield.suite.find.cross_gap import Settings, find, invert, mixture
from langfield.suite.model import ClipModel
from langfield.suite.slots import Items
from tests.suite.tiny_clip import tiny_clip


def precision(found: torch.Tensor, gallery: torch.Tensor, labels: torch.Tensor) -> float:
    """Mean average precision, each thing left out of its own gallery, by the definition."""
    values = []
    for i in range(len(found)):
        order = [int(j) for j in (gallery @ found[i]).argsort(descending=True) if j != i]
        hits, right = [], 0
        for place, j in enumerate(order, start=1):
            if labels[j] == labels[i]:
                right += 1
                hits.append(right / place)
        if hits:
            values.append(sum(hits) / len(hits))
    return sum(values) / len(values)


@pytest.mark.parametrize("layout", ["CLIP", "CustomTextCLIP"])
def test_the_vector_of_a_text_with_a_known_word_is_reached(layout):
    model = tiny_clip(layout=layout)
    target = model.encode_texts(["a photo of mug", "a photo of globe"])
    found = invert(model, target, Settings(steps=300, lr=0.05))
    assert ((found * target).sum(dim=1) > 0.97).all()


def test_more_steps_come_nearer_and_none_is_the_start_for_all():
    model = tiny_clip()
    target = normalize(torch.randn(4, model.dim, generator=torch.Generator().manual_seed(1)), dim=1)
    near = [(invert(model, target, Settings(steps=n)) * target).sum(dim=1).mean() for n in (0, 20, 150)]
    assert near[0] < near[1] < near[2]
    start = invert(model, target, Settings(steps=0))
    assert torch.equal(start[:1].expand_as(start), start)


def test_all_items_at_once_or_one_at_a_time():
    model = tiny_clip()
    target = normalize(torch.randn(3, model.dim, generator=torch.Generator().manual_seed(2)), dim=1)
    each = torch.cat([invert(model, row[None], Settings()) for row in target])
    torch.testing.assert_close(invert(model, target, Settings()), each, rtol=0, atol=1e-3)


class NoTower(ClipModel):
    @property
    def has_text_tower(self) -> bool:
        return False


def test_without_a_text_tower_texts_are_mixed():
    model = tiny_clip()
    model.__class__ = NoTower
    words = normalize(torch.eye(4, model.dim) + 0.3, dim=1)
    with pytest.raises(SettingsError, match="no text tower and there are no texts"):
        find(Items(words), model)
    transform = find(Items(words, ("a", "b", "c", "d"), words), model)
    seen = normalize(words + 0.2, dim=1)
    assert torch.equal((transform(Items(seen)) @ words.T).argmax(dim=1), torch.arange(4))
    sharp = mixture(seen, words, 1e4)
    torch.testing.assert_close(sharp, words, rtol=0, atol=1e-4)


def test_what_pictures_have_in_common_does_not_choose_the_word():
    """Pictures lie nearest to one text, all of them, as they do across the gap; what tells them apart counts."""
    model = tiny_clip()
    model.__class__ = NoTower
    words = torch.eye(4, model.dim)
    seen = normalize(words + 3 * words[0], dim=1)
    assert (seen @ words.T).argmax(dim=1).tolist() == [0, 0, 0, 0]
    transform = find(Items(seen, ("a", "b", "c", "d"), words), model)
    assert torch.equal((transform(Items(seen)) @ words.T).argmax(dim=1), torch.arange(4))
    torch.testing.assert_close(transform(Items(seen[2:3])), transform(Items(seen))[2:3])


def test_the_benchs_precision_is_the_definitions():
    generator = torch.Generator().manual_seed(0)
    found, gallery = (normalize(torch.randn(20, 8, generator=generator), dim=1) for _ in range(2))
    labels = torch.randint(4, (20,), generator=generator)
    assert benchs_precision(found, gallery, labels) == pytest.approx(precision(found, gallery, labels))


def test_no_model():
    with pytest.raises(SettingsError, match="no model"):
        find(Items(torch.eye(3)))
