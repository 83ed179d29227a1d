"""A codebook that grows explains what comes while there is room, and what it said before stays true."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from langfield.codec import load_codec
from langfield.codec.growing import GrowingCodebook
from langfield.errors import FormatError, SettingsError

DIM = 32


def vectors(many: int, seed: int, kinds: int = 12, noise: float = 0.05) -> Tensor:
    """Noisy copies of a few directions that share a mean."""
    g = torch.Generator().manual_seed(99)
    base = torch.randn(kinds, DIM, generator=g) + 1.0
    g.manual_seed(seed)
    own = base[torch.randint(kinds, (many,), generator=g)]
    return normalize(own + noise * torch.randn(many, DIM, generator=g), dim=1)


def cosine(book: GrowingCodebook, codes: Tensor, of: Tensor) -> Tensor:
    return (book.codec().decode(codes) * normalize(of, dim=1)).sum(dim=1)


def test_with_room_all_vectors_are_explained_and_atoms_are_few():
    book = GrowingCodebook(256, explained=0.97)
    for seed in range(5):
        new = vectors(40, seed)
        learnt = book.take_in(new)
        assert len(learnt.changed) == 0
        assert cosine(book, learnt.codes, new).min() >= 0.97 - 1e-3
    assert book.count < 60  # 200 vectors of 12 kinds


def test_codes_given_before_keep_their_meaning_while_it_grows():
    book = GrowingCodebook(256)
    first = book.take_in(vectors(20, 0, kinds=4)).codes
    then = book.codec()
    meant = then.decode(first)
    for seed in range(1, 4):
        assert len(book.take_in(vectors(30, seed, noise=0.3)).changed) == 0
    torch.testing.assert_close(book.codec().decode(first), meant)
    torch.testing.assert_close(then.decode(first), meant)  # what was handed out does not change either


def test_its_products_are_those_of_its_atoms():
    book = GrowingCodebook(24)
    for seed in range(4):
        book.take_in(vectors(20, seed, noise=0.5))
        torch.testing.assert_close(book.gram, book.basis @ book.basis.T)
        terms, codec = book.terms_of(book.take_in(vectors(5, seed)).codes), book.codec()
        torch.testing.assert_close(terms.blend(book.basis).norm(dim=1), torch.ones(5))
        torch.testing.assert_close(codec.gram, codec.basis @ codec.basis.T)


def test_a_full_table_gives_up_rare_atoms_and_says_whose_codes_change():
    book = GrowingCodebook(8, terms=2)
    old = vectors(8, 0, noise=0.4)
    codes = book.take_in(old).codes
    assert book.count == 8
    before = book.basis.clone()
    new = vectors(6, 1, noise=0.4)
    learnt = book.take_in(new)
    assert book.count == 8
    changed = (book.basis != before).any(dim=1).nonzero()[:, 0]
    assert set(changed.tolist()) <= set(learnt.changed.tolist())
    assert len(learnt.changed)
    touched = book.using(codes, learnt.changed)
    codes[touched] = book.encode_again(old[touched], codes[touched])
    book.recount(torch.cat([codes, learnt.codes]))
    uses = book.uses.clone()
    index = (torch.cat([codes, learnt.codes]).int() & 0xFFFF) >> 6
    weight = torch.cat([codes, learnt.codes]).int() & 63
    assert torch.equal(uses, torch.bincount(index[weight > 0], minlength=8))
    assert cosine(book, codes, old).min() > 0.5


def test_uses_follow_what_comes_and_goes():
    book = GrowingCodebook(64)
    first, second = book.take_in(vectors(10, 0)).codes, book.take_in(vectors(10, 1)).codes
    book.release(first)
    counted = book.uses.clone()
    book.recount(second)
    assert torch.equal(counted, book.uses)
    book.release(second)
    assert not book.uses.any()


def test_its_codebook_is_read_back_like_any_other():
    book = GrowingCodebook(64)
    codes = book.take_in(vectors(30, 3)).codes
    codec = book.codec()
    again = load_codec(codec.tensors(), codec.about())
    torch.testing.assert_close(again.decode(codes), codec.decode(codes))


def test_a_saved_codebook_goes_on_alike():
    book, other = GrowingCodebook(64), GrowingCodebook(64)
    first = book.take_in(vectors(20, 0)).codes
    other.load_state(*book.state())
    other.recount(first)
    assert torch.equal(book.take_in(vectors(20, 1)).codes, other.take_in(vectors(20, 1)).codes)
    assert torch.equal(book.uses, other.uses)
    with pytest.raises(FormatError):
        GrowingCodebook(32).load_state(*book.state())


def test_equal_vectors_and_nonsense():
    book = GrowingCodebook(4)
    same = normalize(torch.ones(5, DIM), dim=1)
    assert cosine(book, book.take_in(same).codes, same).min() > 0.99
    with pytest.raises(FormatError):
        book.take_in(torch.full((2, DIM), float("nan")))
    with pytest.raises(FormatError):
        book.take_in(torch.ones(2, DIM + 1))
    with pytest.raises(FormatError):
        GrowingCodebook(4).codec()
    for wrong in ((0, 6, 0.9), (2000, 6, 0.9), (8, 17, 0.9), (8, 6, 1.0)):
        with pytest.raises(SettingsError):
            GrowingCodebook(*wrong)
