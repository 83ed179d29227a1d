"""Codes of words asked by look-ups: compiled and plain torch against vectors in hand."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from langfield.codec.words import pack_words, unpack_words
from langfield.errors import FormatError
from langfield.raster import cpu_words, reference_words, word_relevancy, word_scales, word_scores
from langfield.raster.measure.bench import threads

BACKENDS = [cpu_words, reference_words]
DIM, UNIT = 24, 0.02


def codes(n: int, terms: int, atoms: int, seed: int = 0) -> Tensor:
    """Words of n codes, a third of their weights zero and every fifth code empty."""
    g = torch.Generator().manual_seed(seed)
    index = torch.randint(0, atoms, (n, terms), generator=g)
    steps = torch.randint(-31, 64, (n, terms), generator=g).clamp_min(0)
    steps[::5] = 0
    return pack_words(index, steps)


def basis(atoms: int, seed: int = 1) -> Tensor:
    """One step of each atom, and the mean."""
    g = torch.Generator().manual_seed(seed)
    rows = normalize(torch.randn(atoms + 1, DIM, generator=g), dim=-1)
    return torch.cat([UNIT * rows[:-1], 0.7 * rows[-1:]])


def decoded(words: Tensor, table: Tensor) -> Tensor:
    """Vectors of unit length, code by code and word by word; zero where a code is empty."""
    found = torch.zeros(len(words), table.shape[1], dtype=torch.float64)
    for row, (index, steps) in enumerate(zip(*(t.tolist() for t in unpack_words(words)), strict=True)):
        for atom, step in zip(index, steps, strict=True):
            found[row] += step * table[min(atom, len(table) - 2)].double()
        if any(steps):
            found[row] += table[-1]
    return normalize(found, dim=-1)


@pytest.mark.parametrize("backend", BACKENDS, ids=["cpu", "reference"])
@pytest.mark.parametrize(("n", "terms", "atoms"), [(1, 1, 1), (63, 6, 1024), (130, 5, 7), (64, 64, 300)])
def test_scores_are_products_with_the_decoded_vectors(backend, n, terms, atoms):
    words, table = codes(n, terms, atoms), basis(atoms)
    queries = normalize(torch.randn(3, DIM, generator=torch.Generator().manual_seed(2)), dim=-1)
    scale = backend.scales(words, table @ table.T)
    wanted = (decoded(words, table) @ queries.double().T).float()
    out, nearest = torch.empty(3, n), wanted[:, 1] - 0.1
    backend.scores((words, scale, table @ queries.T), out.T)
    torch.testing.assert_close(out.T, wanted, atol=2e-6, rtol=1e-4)
    assert (out.T[(words == 0).all(1)] == 0).all()
    backend.scores((words, scale, table @ queries.T), out.T, (nearest, 10.0))
    torch.testing.assert_close(out.T, torch.sigmoid(10 * (wanted - nearest[:, None])), atol=1e-5, rtol=0)


def test_words_of_a_foreign_file_do_not_reach_beyond_the_table():
    words = torch.arange(-(2**15), 2**15).to(torch.int16)[:, None]
    table = basis(5)
    scale = word_scales(words, table @ table.T)
    torch.testing.assert_close(scale, reference_words.scales(words, table @ table.T), atol=1e-5, rtol=1e-4)
    found = word_scores(words, scale, table @ table.T)
    torch.testing.assert_close(found, (decoded(words, table) @ table.double().T).float(), atol=2e-6, rtol=1e-4)


def test_answers_are_put_where_they_are_wanted_and_do_not_depend_on_threads():
    words, table = codes(20_000, 6, 300), basis(300)
    scale = word_scales(words, table @ table.T)
    plain = word_scores(words, scale, table @ table[:2].T)
    room = torch.full((20_000, 2, 3), torch.nan)
    word_scores(words, scale, table @ table[:2].T, room[:, :, 1])
    assert room[:, :, 1].equal(plain)
    assert room[:, :, ::2].isnan().all()
    found = []
    for many in (1, 2, 5):
        with threads(many):
            found.append([word_scales(words, table @ table.T), word_relevancy(words, scale, table, plain[:, 0], 10.0)])
    assert all(a.equal(b) for other in found[1:] for a, b in zip(found[0], other, strict=True))


def test_double_is_worked_by_the_reference_and_no_codes_give_nothing():
    words, table = codes(9, 4, 30), basis(30).double()
    scale = word_scales(words, table @ table.T)
    torch.testing.assert_close(word_scores(words, scale, table @ table.T), decoded(words, table) @ table.T)
    assert word_scores(words[:0], scale[:0], table).shape == (0, DIM)
    assert word_relevancy(words[:0], scale[:0].float(), table.float(), scale[:0].float(), 1.0).shape == (DIM, 0)


def test_what_does_not_fit_is_refused():
    words, table = codes(9, 4, 30), basis(30)
    scale = torch.ones(9)
    for bad in (words.int(), words[0], words.expand(2, 9, 4), words[:, :0], words.repeat(1, 17)):
        with pytest.raises(FormatError, match="codes"):
            word_scores(bad, scale, table)
    for bad in (table[0], table[:1], table[:, :0], table.repeat(40, 1)):
        with pytest.raises(FormatError, match="table"):
            word_scores(words, scale, bad)
    for bad in (scale[:3], scale.double()):
        with pytest.raises(FormatError, match="rows"):
            word_scores(words, bad, table)
        with pytest.raises(FormatError, match="rows"):
            word_relevancy(words, scale, table, bad, 1.0)
    with pytest.raises(FormatError, match="square"):
        word_scales(words, table)
