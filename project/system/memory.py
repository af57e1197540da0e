"""How the process keeps memory between steps."""

import ctypes
import mmap
import sys
from functools import cache

# Of glibc's malloc.h.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4

HUGE_PAGES = 15 * 2**27  # bytes of the heap that may have huge pages, 1.9 GiB; below 2 GiB, which glibc would give back


@cache
def keep_freed_memory() -> None:
    """Let one step's tensors have the last one's memory, in huge pages where Linux has them.

    glibc gives large blocks back to the system as soon as they are free, and the system zeroes the next step's blocks
    page by page: 13 % of a step of WhitenedConvNet with 500 images on two cores. Huge pages take another 3 to 5 % off
    a step of ConvNet with 125 images there. Does nothing without glibc.
    """
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if libc is None or not hasattr(libc, "mallopt"):
        return
    for option, value in ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, 2**31 - 1), (M_TOP_PAD, 2**26)):
        libc.mallopt(option, value)
    libc.malloc.restype = ctypes.c_void_p
    block = libc.malloc(ctypes.c_size_t(HUGE_PAGES))  # address space alone: what is not used takes no memory
    if block:
        start = -(-block // mmap.PAGESIZE) * mmap.PAGESIZE
        length = ctypes.c_size_t(HUGE_PAGES - mmap.PAGESIZE)
        libc.madvise(ctypes.c_void_p(start), length, mmap.MADV_HUGEPAGE)
        libc.free(ctypes.c_void_p(block))
