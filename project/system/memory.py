"""The memory of a process: what it keeps from one training step to the next, and its peak."""

import ctypes
import mmap
import os
import sys
from functools import cache
from pathlib import Path

from project.system import control_groups

# Of glibc's malloc.h.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4

HUGE_PAGES = 15 * 2**27  # bytes of the heap in huge pages, 1.9 GiB; glibc would give 2 GiB or more back at once


@cache
def keep_freed_memory() -> None:
    """Reuse the memory of one step's tensors for the next step, in huge pages where Linux has them.

    glibc gives large blocks back to the system as soon as they are free. The system then zeroes the blocks of the next
    step page by page, which takes 13 % of a step of WhitenedConvNet with 500 images on two cores. Huge pages save
    another 3 to 5 % of a step of ConvNet with 125 images there. Without glibc, this does nothing.
    """
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if libc is None or not hasattr(libc, "mallopt"):
        return
    for option, value in ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, 2**31 - 1), (M_TOP_PAD, 2**26)):
        libc.mallopt(option, value)
    libc.malloc.restype = ctypes.c_void_p
    block = libc.malloc(ctypes.c_size_t(HUGE_PAGES))  # address space only; unused pages take no memory
    if block:
        start = -(-block // mmap.PAGESIZE) * mmap.PAGESIZE
        length = ctypes.c_size_t(HUGE_PAGES - mmap.PAGESIZE)
        libc.madvise(ctypes.c_void_p(start), length, mmap.MADV_HUGEPAGE)
        libc.free(ctypes.c_void_p(block))


def machine_gib() -> float | None:
    """The whole memory of the machine in GiB; None on Windows, which has no os.sysconf."""
    if not hasattr(os, "sysconf"):
        return None
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def total_bytes() -> int:
    """The whole memory of this machine, or of its container if that has less; 0 where the system does not say."""
    sizes = []
    if hasattr(os, "sysconf"):
        sizes.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    sizes += [size for (size,) in control_groups.limits("memory", ("memory.max",), ("memory.limit_in_bytes",))]
    return min(sizes, default=0)


def peak_gib() -> float:
    """Peak memory of this process in GiB.

    On Linux not by ru_maxrss, which includes the memory of the process that started this one.

    Raises:
        ModuleNotFoundError: on Windows.
    """
    if sys.platform == "linux":
        status = Path("/proc/self/status").read_text("utf-8").split()
        return int(status[status.index("VmHWM:") + 1]) / 2**20
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # on macOS in bytes
    return peak / (2**30 if sys.platform == "darwin" else 2**20)
