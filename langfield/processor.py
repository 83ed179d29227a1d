"""What this machine's processor is quick at."""

from __future__ import annotations

import torch


def quick_dtype() -> torch.dtype:
    """Give bfloat16 where the processor multiplies it by itself (AMX, AVX512-BF16), else float32."""
    probes = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")  # torch's own; none is public
    able = any(getattr(torch.cpu, probe, lambda: False)() for probe in probes)
    return torch.bfloat16 if able else torch.float32
