"""What depends on the hardware: number formats that it computes natively, and copies that it does not wait for."""

import torch
from torch import Tensor


def computes_bfloat16(device: str) -> bool:
    """Whether devices of a type, such as cpu or cuda, compute bfloat16 natively."""
    return native_bfloat16(device)[0]


def native_bfloat16(device: str) -> tuple[bool, str]:
    """Whether devices of a type compute bfloat16 natively, and the reason in a few words.

    A CPU needs units for it (AVX512-BF16 or AMX), and oneDNN must be allowed to use them. oneDNN computes the matrix
    products and convolutions of torch; ONEDNN_MAX_CPU_ISA=AVX2 in the environment forbids these units. CUDA devices
    need a compute capability of 8.0 or more.
    """
    if device == "cuda":
        computes = bool(torch.cuda.is_bf16_supported(including_emulation=False))
        return computes, f"the GPU has {'' if computes else 'no '}bfloat16 units"
    if device != "cpu":
        return False, f"bfloat16 was not measured on {device}"
    if not (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()):
        return False, "the CPU has no bfloat16 units"
    has_onednn = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    computes = bool(has_onednn and torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return computes, "the CPU has bfloat16 units" if computes else "oneDNN does not use the CPU's bfloat16 units"


def fuses_updates(device: str) -> bool:
    """Whether torch's optimizers are fastest with fused updates on devices of a type."""
    return device in ("cpu", "cuda")


def copy_to(values: Tensor, device: torch.device) -> Tensor:
    """The values of a tensor of the CPU on `device`. The CPU does not wait for a GPU.

    A copy from memory that the system may move (pageable memory) waits until all earlier work of the GPU is done. Metal
    would read memory that was already freed, so this copy waits, as Lightning's do.
    """
    if device.type == "cuda":
        values = values.pin_memory()
    return values.to(device, non_blocking=device.type not in ("cpu", "mps"))
