"""Words hold every atom and every weight."""

import torch

from langfield.codec.words import MAX_ATOMS, MAX_WEIGHT, Terms, pack_words, unpack_words


def test_every_atom_and_weight_comes_back():
    index = torch.arange(MAX_ATOMS)[:, None].expand(-1, MAX_WEIGHT)
    weight = torch.arange(1, MAX_WEIGHT + 1).expand(MAX_ATOMS, -1)
    words = pack_words(index, weight)
    assert words.dtype == torch.int16
    assert words.flatten().unique().numel() == words.numel()
    back = unpack_words(words)
    assert torch.equal(back[0].long(), index)
    assert torch.equal(back[1].long(), weight)


def test_an_atom_of_no_weight_is_a_zero_word():
    assert pack_words(torch.tensor([[5, 700]]), torch.tensor([[0, 0]])).tolist() == [[0, 0]]


def test_blend_against_a_loop():
    table = torch.randn(9, 4)
    terms = Terms(torch.randint(9, (6, 3), dtype=torch.int32), torch.rand(6, 3))
    expected = [
        torch.stack([w * table[int(i)] for i, w in zip(*row, strict=True)]).sum(0)
        for row in zip(terms.index, terms.weight, strict=True)
    ]
    torch.testing.assert_close(terms.blend(table), torch.stack(expected))
    assert Terms(torch.zeros(0, 3, dtype=torch.int32), torch.zeros(0, 3)).blend(table).shape == (0, 4)
