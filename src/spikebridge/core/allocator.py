"""What the C library does with memory that tensors have freed."""

from __future__ import annotations

import ctypes
import os
import platform

_MAPPED_FROM, _TRIMMED_FROM = -3, -1
"""glibc's numbers of M_MMAP_THRESHOLD and M_TRIM_THRESHOLD, of its malloc.h."""

_LARGEST = (1 << 31) - 1
_TUNED = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")


def keep_freed_memory() -> bool:
    """Have the C library keep what tensors on the CPU free, for the next ones; whether it does.

    By default glibc gives blocks above 32 MB back to the system at once, and the top of its heap as soon as 64 MB lie
    free there. A training step frees as much every time, and the next one pays a page fault for each 4 KiB, which on
    virtual machines costs more than all the arithmetic of a neuron. For a process that trains or measures; it concerns
    the whole process, whose memory then stays at its peak. Not on other C libraries, and not where the environment has
    settings of its own (``MALLOC_...``, ``GLIBC_TUNABLES``).
    """
    if platform.libc_ver()[0] != "glibc" or any(name in os.environ for name in _TUNED):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all(mallopt(what, _LARGEST) == 1 for what in (_TRIMMED_FROM, _MAPPED_FROM))
