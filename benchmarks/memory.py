"""Peak memory of a call in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak_mb(call: Callable[[], object]) -> float | None:
    """MB that the process held at most during the call beyond what it held before; None where not Linux.

    Memory that was freed earlier but is still held by the allocator counts as held before.
    """
    try:
        CLEAR.write_text("5")  # the peak is now what is in use
    except OSError:
        return None
    before = _peak_bytes()
    call()
    return round((_peak_bytes() - before) / 1e6, 1)


def _peak_bytes() -> int:
    return 1024 * int(STATUS.read_text().split("VmHWM:")[1].split()[0])
