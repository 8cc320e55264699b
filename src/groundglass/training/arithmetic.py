"""What this machine computes fast in."""

from __future__ import annotations

import torch


def bf16_is_fast() -> bool:
    """Does the GPU, or without one the processor, have instructions for bf16?"""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    return bool(torch.cpu._is_avx512_bf16_supported())
