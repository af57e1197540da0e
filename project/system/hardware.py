"""The number formats that the hardware computes natively. All code that depends on them asks here."""

import torch


def computes_bfloat16(device: str) -> bool:
    """Whether devices of a type, such as cpu or cuda, compute bfloat16 natively.

    A CPU needs units for it (AVX512-BF16 or AMX), and oneDNN must be allowed to use them. oneDNN computes the matrix
    products and convolutions of torch; ONEDNN_MAX_CPU_ISA=AVX2 in the environment forbids these units. CUDA devices
    need a compute capability of 8.0 or more.
    """
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device == "cpu":
        has_units = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
        has_onednn = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        return bool(has_units and has_onednn and torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return False
