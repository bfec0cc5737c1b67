"""One writer at a time: a lock file that the system releases when its holder dies."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from univar import files
from univar.errors import StoreCorrupt, StoreLocked


class StoreLock:
    """An exclusive lock held from `acquire` to `release`; its file holds the pid of the holder."""

    def __init__(self, path: Path, store: Path) -> None:
        self.path, self.store = path, store
        self._lock = FileLock(path, thread_local=False)

    def acquire(self, timeout_s: float = 0.0) -> None:
        """Take the lock or raise StoreLocked after `timeout_s` seconds."""
        if self.path.is_symlink():
            raise StoreCorrupt(f"{self.path} is a link: remove it, a lock has to be a file of its own")
        try:
            files.os_call(lambda: self._lock.acquire(timeout=timeout_s))
            files.os_call(lambda: self.path.write_text(f"{os.getpid()}\n"))
        except Timeout:
            raise StoreLocked(
                f"{self.store} is being written by {self._holder()}: wait until that is done or stop it, "
                "then run the same command again (reading goes on undisturbed)"
            ) from None
        except OSError as error:
            self._lock.release()
            raise files.failure("lock", self.path, error) from error

    def release(self) -> None:
        """Give the lock back; the file stays, as removing it would let two writers in."""
        self._lock.release()

    def _holder(self) -> str:
        with suppress(OSError, ValueError):
            return f"process {int(self.path.read_text())}"
        return "another process"
