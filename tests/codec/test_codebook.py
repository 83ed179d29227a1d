"""The codebook: queries by look-up, codes that sum, files that are refused when they are crafted."""

import dataclasses

import pytest
import torch
from torch.nn.functional import normalize

from langfield.artefacts import read_tensors, write_tensors
from langfield.codec import CodebookSettings, fit_codebook, load_codec
from langfield.codec import codebook as module
from langfield.codec.words import unpack_words
from langfield.errors import FormatError, SettingsError

SMALL = CodebookSettings(atoms=48, terms=4)


def scene(seed: int, count: int) -> torch.Tensor:
    """Unit vectors round a common mean, in groups, as crops of one scene are."""
    generator = torch.Generator().manual_seed(seed)
    groups = torch.randn(12, 32, generator=torch.Generator().manual_seed(9))
    picked = groups[torch.randint(12, (count,), generator=generator)]
    return normalize(2 * groups[0] + picked + 0.3 * torch.randn(count, 32, generator=generator), dim=-1)


@pytest.fixture(scope="module")
def vectors():
    return scene(1, 300)


@pytest.fixture(scope="module")
def codec(vectors):
    return fit_codebook(vectors, SMALL)


def test_two_bytes_per_atom_and_its_fidelity_is_known(codec, vectors):
    codes = codec.encode(vectors)
    assert codes.shape == (300, 4)
    assert codes.dtype == torch.int16
    assert codes.element_size() * CodebookSettings().terms == 12
    restored = codec.decode(codes)
    torch.testing.assert_close(restored.norm(dim=-1), torch.ones(300))
    assert codec.fidelity["mean_cosine"] == pytest.approx(float((restored * vectors).sum(-1).mean()), abs=1e-6)
    assert codec.fidelity["mean_cosine"] > 0.95
    index, weight = unpack_words(codes)
    assert int(index.max()) < 48
    assert int(weight.max()) > 40  # the six bits are used


def test_an_atom_on_the_mean_comes_back(codec):
    wanted = codec.basis[-1] + 0.4 * codec.atoms
    index, _ = unpack_words(codec.encode(wanted))
    assert (index[:, 0] == torch.arange(48)).float().mean() > 0.95
    assert ((codec.decode(codec.encode(wanted)) * normalize(wanted, dim=-1)).sum(-1) > 0.98).all()


def test_as_many_atoms_as_vectors_lose_only_the_rounding(vectors):
    few = vectors[:40]
    codec = fit_codebook(few, dataclasses.replace(SMALL, refine_steps=0))
    assert len(codec.atoms) == 40
    assert ((codec.decode(codec.encode(few)) * few).sum(-1) > 0.9995).all()


def test_inner_is_decoding_and_a_product(codec):
    codes, queries = codec.encode(scene(2, 60)).reshape(3, 20, 4), torch.randn(5, 32)
    assert codec.inner(codes, queries).shape == (3, 20, 5)
    torch.testing.assert_close(codec.inner(codes, queries), codec.decode(codes) @ queries.T)
    torch.testing.assert_close(codec.spread(codes) @ codec.table(queries), codec.decode(codes) @ queries.T)


def test_zero_is_no_vector_and_every_vector_has_a_code(codec):
    vectors = torch.cat([torch.zeros(1, 32), codec.basis[-1:], -codec.basis[-1:], 1e-3 * scene(3, 1)])
    codes = codec.encode(vectors)
    assert codes.any(dim=1).tolist() == [False, True, True, True]
    assert codec.decode(codes)[0].abs().max() == 0
    assert codec.inner(codes, torch.ones(2, 32))[0].abs().max() == 0
    assert torch.equal(codes[3:], codec.encode(normalize(vectors[3:], dim=-1)))  # only the direction counts
    assert codec.decode(torch.zeros(0, 4, dtype=torch.int16)).shape == (0, 32)
    assert codec.encode(torch.zeros(0, 32)).shape == (0, 4)


def test_a_vector_that_no_atom_points_to_still_has_a_code():
    basis = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 0.9]])
    codec = module.Codebook(basis, 0.01, SMALL, {})
    away = torch.tensor([[-0.6, 0.0, 0.8]])
    assert codec.encode(away).tolist() == [[1, 0, 0, 0]]
    assert codec.decode(codec.encode(away))[0, 2] > 0.99


def test_order_and_batches_change_nothing(codec, monkeypatch):
    vectors = scene(4, 80)
    codes, order = codec.encode(vectors), torch.randperm(80)
    assert torch.equal(codec.encode(vectors[order]), codes[order])
    assert torch.equal(torch.cat([codec.encode(v[None]) for v in vectors[:8]]), codes[:8])
    monkeypatch.setattr(module, "CHUNK", 30)
    assert torch.equal(codec.encode(vectors), codes)


def test_sums_of_codes_compress_to_nearly_what_the_summed_vectors_encode_to(codec):
    vectors, masses = scene(5, 150), torch.rand(60, 150) ** 30 * 10
    masses[0] = 0
    sums = masses @ codec.spread(codec.encode(vectors))
    wanted = normalize(masses @ vectors, dim=-1)[1:]
    codes = codec.compress(sums)
    assert codes.shape == (60, 4)
    assert not codes[0].any()
    by_sums = (codec.decode(codes)[1:] * wanted).sum(-1)
    by_vectors = (codec.decode(codec.encode(wanted)) * wanted).sum(-1)
    assert by_sums.mean() > by_vectors.mean() - 0.01
    single = codec.compress(7.0 * codec.spread(codec.encode(vectors)))
    assert ((codec.decode(single) * codec.decode(codec.encode(vectors))).sum(-1) > 0.998).all()


def test_same_seed_same_bytes_whatever_the_threads(vectors, codec):
    threads = torch.get_num_threads()
    torch.set_num_threads(1 if threads > 1 else 2)
    again = fit_codebook(vectors, SMALL)
    torch.set_num_threads(threads)
    assert torch.equal(again.tensors()["basis"], codec.tensors()["basis"])
    assert again.about() == codec.about()
    other = fit_codebook(vectors, dataclasses.replace(SMALL, seed=1))
    assert not torch.equal(other.tensors()["basis"], codec.tensors()["basis"])


def test_more_vectors_than_can_be_learnt_from(vectors, monkeypatch):
    monkeypatch.setattr(module, "MAX_LEARNT_FROM", 100)
    assert fit_codebook(vectors, SMALL).fidelity["vectors"] == 300


def test_file_round_trip(codec, vectors, tmp_path):
    write_tensors(tmp_path / "codec.safetensors", codec.tensors(), codec.about())
    loaded = load_codec(*read_tensors(tmp_path / "codec.safetensors"))
    assert torch.equal(loaded.encode(vectors), codec.encode(vectors))
    assert torch.equal(loaded.decode(loaded.encode(vectors)), codec.decode(codec.encode(vectors)))
    assert loaded.about() == codec.about()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dim": 31}, "does not fit"),
        ({"atoms": 10**12}, "does not fit"),
        ({"settings": {"terms": 10**9}}, "not usable"),
        ({"settings": {"terms": True}}, "not usable"),
        ({"settings": {"evil": 1}}, "not usable"),
        ({"settings": None}, "not usable"),
        ({"fidelity": 7}, "not usable"),
    ],
)
def test_crafted_descriptions_are_refused(codec, change, message):
    with pytest.raises(FormatError, match=message):
        load_codec(codec.tensors(), {**codec.about(), **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"basis": torch.zeros(3)}, "no table of atoms"),
        ({"basis": torch.zeros(1, 32).half()}, "no table of atoms"),
        ({"basis": torch.zeros(1026, 32).half()}, "no table of atoms"),
        ({"basis": torch.zeros(49, 32)}, "no table of atoms"),
        ({"basis": torch.zeros(49, 32).half()}, "unit length"),
        ({"basis": torch.full((49, 32), torch.nan).half()}, "unit length"),
        ({"unit": torch.tensor(torch.nan)}, "weight of a step"),
        ({"unit": torch.tensor(0.0)}, "weight of a step"),
        ({"unit": torch.ones(4)}, "weight of a step"),
        ({"more": torch.ones(4)}, "missing or unknown"),
    ],
)
def test_crafted_tensors_are_refused(codec, change, message):
    with pytest.raises(FormatError, match=message):
        load_codec({**codec.tensors(), **change}, codec.about())
    with pytest.raises(FormatError, match="missing or unknown"):
        load_codec({"basis": codec.tensors()["basis"]}, codec.about())


def test_words_of_another_file_stay_within_the_table(codec):
    words = torch.randint(-(2**15), 2**15, (200, 4), dtype=torch.int16)
    assert torch.isfinite(codec.decode(words)).all()


@pytest.mark.parametrize("bad", [{"atoms": 0}, {"atoms": 1025}, {"terms": 0}, {"refine_steps": -1}, {"seed": 0.5}])
def test_settings_out_of_range(vectors, bad):
    with pytest.raises(SettingsError):
        fit_codebook(vectors, dataclasses.replace(SMALL, **bad))


def test_unusable_vectors_and_equal_ones():
    for bad in (torch.zeros(1, 8), torch.full((4, 8), torch.nan)):
        with pytest.raises(SettingsError, match="two finite vectors"):
            fit_codebook(bad, SMALL)
    same = normalize(torch.ones(5, 8), dim=-1)
    codec = fit_codebook(same, SMALL)
    assert ((codec.decode(codec.encode(same)) * same).sum(-1) > 0.99).all()
