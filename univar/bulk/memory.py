"""Memory that allocators keep though it was freed."""

from __future__ import annotations

import contextlib
import ctypes

import pyarrow as pa


def prefer_jemalloc() -> None:
    """Let Arrow allocate where freed memory soonest goes back to the system: jemalloc, if it was built in.

    For a process that embeds and ends: the pool is the whole process's.
    """
    with contextlib.suppress(NotImplementedError):
        pa.set_memory_pool(pa.jemalloc_memory_pool())


def release_freed_memory() -> None:
    """Give freed memory back to the system, where the allocators can.

    Windows are allocated in one thread and freed in another, which lets allocators hoard pages.
    """
    pa.default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's
    if trim is not None:
        trim(0)
