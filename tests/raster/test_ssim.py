# pyright: reportOptionalMemberAccess=false, reportOptionalOperand=false, reportOptionalSubscript=false
"""Structural similarity against a naive twin."""

import math

import pytest
import torch

from langfield.errors import FormatError
from langfield.raster.ssim import plain_ssim, ssim


def naive(a: torch.Tensor, b: torch.Tensor) -> float:
    height, width, _ = a.shape
    total = 0.0
    taps = [math.exp(-(k * k) / 4.5) for k in range(-5, 6)]
    norm = sum(taps) ** 2
    for y in range(height):
        for x in range(width):
            for c in range(3):
                m = {"a": 0.0, "b": 0.0, "aa": 0.0, "bb": 0.0, "ab": 0.0}
                for j in range(max(0, y - 5), min(height, y + 6)):
                    for i in range(max(0, x - 5), min(width, x + 6)):
                        w = taps[j - y + 5] * taps[i - x + 5] / norm
                        p, q = float(a[j, i, c]), float(b[j, i, c])
                        for key, v in (("a", p), ("b", q), ("aa", p * p), ("bb", q * q), ("ab", p * q)):
                            m[key] += w * v
                va, vb, cov = m["aa"] - m["a"] ** 2, m["bb"] - m["b"] ** 2, m["ab"] - m["a"] * m["b"]
                top = (2 * m["a"] * m["b"] + 1e-4) * (2 * cov + 9e-4)
                total += top / ((m["a"] ** 2 + m["b"] ** 2 + 1e-4) * (va + vb + 9e-4))
    return total / (height * width * 3)


def pictures(height: int, width: int, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(3)
    a = torch.rand(height, width, 3, generator=g, dtype=dtype)
    return a, 0.6 * a + 0.4 * torch.rand(height, width, 3, generator=g, dtype=dtype)


def test_equals_the_naive_twin():
    a, b = pictures(7, 13)
    assert float(plain_ssim(a.double(), b.double())) == pytest.approx(naive(a, b), abs=1e-9)
    assert float(ssim(a, b)) == pytest.approx(naive(a, b), abs=1e-5)
    assert float(ssim(a, a)) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (3, 40), (37, 23)])
def test_compiled_gradient_is_autograds(size):
    a, b = pictures(*size)
    fast, slow = a.clone().requires_grad_(), a.double().requires_grad_()
    ssim(fast, b).backward()
    plain_ssim(slow, b.double()).backward()
    torch.testing.assert_close(fast.grad.double(), slow.grad, atol=1e-6, rtol=1e-3)


def test_pictures_that_do_not_fit_are_refused():
    for a, b in (((20, 20, 1), (20, 20, 1)), ((20, 20, 3), (8, 8, 3)), ((20, 3), (20, 3))):
        with pytest.raises(FormatError, match="two"):
            ssim(torch.rand(a), torch.rand(b))
    with pytest.raises(FormatError, match="dtype"):
        ssim(torch.rand(8, 8, 3), torch.rand(8, 8, 3).double())
