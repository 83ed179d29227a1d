"""The codec that does nothing keeps everything."""

import pytest
import torch
from torch.nn.functional import normalize

from langfield.codec import Identity, fit_identity, load_codec
from langfield.errors import FormatError


def test_identity_keeps_unit_vectors_and_zeros():
    vectors = normalize(torch.randn(5, 7), dim=-1)
    codec = load_codec(Identity(7).tensors(), Identity(7).about())
    torch.testing.assert_close(codec.decode(codec.encode(vectors)), vectors)
    assert codec.decode(torch.zeros(2, 7)).abs().max() == 0


@pytest.mark.parametrize("dim", [0, -1, 10**9, "7", None])
def test_crafted_width_is_refused(dim):
    with pytest.raises(FormatError, match="not an identity"):
        load_codec({}, {"kind": "identity", "dim": dim})


def test_it_tells_and_keeps_its_fidelity_as_other_codecs_do(capsys):
    codec = fit_identity(normalize(torch.randn(30, 7), dim=-1))
    assert codec.fidelity["mean_cosine"] == pytest.approx(1, abs=1e-6)
    assert codec.fidelity["recall_at_1"] == codec.fidelity["recall_at_1_before"] == 1
    assert load_codec(codec.tensors(), codec.about()).about()["fidelity"] == codec.fidelity
    assert "identity: cosine 1.000, worst 1 % below 1.000" in capsys.readouterr().err
