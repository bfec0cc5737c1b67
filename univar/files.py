"""Files that are there whole or not at all, with one writer at a time; TOML and JSON that people write.

Calls to the operating system that can fail go through `os_call`, so that a test can make the k-th of them
fail. What the operating system refuses becomes a ProviderError that names the path and what to do about it.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import mmap
import os
import secrets
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, TypeVar

from univar.errors import DataError, ProviderError, StoreCorrupt, StoreLocked, UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

T = TypeVar("T")

_REMEDIES = {
    errno.ENOSPC: "no space is left on the disk: free some and run the same command again",
    errno.EDQUOT: "your disk quota is used up: free some space and run the same command again",
    errno.EROFS: "the file system is read-only: choose a folder elsewhere",
    errno.EACCES: "permission is denied: change the permissions or choose another folder",
    errno.EPERM: "it is not permitted: change the permissions or choose another folder",
    errno.EIO: "the disk reports an input/output error: check the disk, then run the same command again",
    errno.ENOTDIR: "a part of the path is a file, not a folder: choose another path",
    errno.EMFILE: "too many files are open: raise the limit (ulimit -n)",
    errno.ENAMETOOLONG: "the name is too long for the file system: choose a shorter path",
}
_SAFE_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def os_call(function: Callable[..., T], *args: Any) -> T:
    """The seam: every call to the operating system that can fail is made here."""
    return function(*args)


def failure(action: str, path: Path, error: OSError) -> ProviderError:
    """The ProviderError to raise for an OSError met while doing `action` (write, read, create) to `path`."""
    known = _REMEDIES.get(error.errno or 0)
    return ProviderError(f"cannot {action} {path}: {known or error.strerror or error}")


@contextmanager
def reported(action: str, path: Path) -> Iterator[None]:
    """Turn any OSError inside into a ProviderError about `path`."""
    try:
        yield
    except OSError as error:
        raise failure(action, path, error) from error


def make_folder(path: Path) -> None:
    """Create a folder and its parents; one that is there already is fine."""
    with reported("create", path):
        os_call(lambda: path.mkdir(parents=True, exist_ok=True))
        os_call(sync, path.parent)


def sync(path: Path) -> None:
    """Make what is in a file, or the renames inside a folder, survive a power cut."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class NewFile:
    """A file being written under a temporary name; a binary file as far as pyarrow and NumPy care."""

    def __init__(self, path: Path, fd: int) -> None:
        self.path, self.fd, self.size_bytes = path, fd, 0
        self.closed = False

    def write(self, buffer: Any) -> int:
        """Write all of a C-contiguous buffer; return its size in bytes."""
        left = memoryview(buffer).cast("B")
        size = len(left)
        with reported("write", self.path):
            while len(left):
                left = left[os_call(os.write, self.fd, left) :]
        self.size_bytes += size
        return size

    def tell(self) -> int:
        """Bytes written so far."""
        return self.size_bytes

    def flush(self) -> None:
        """Nothing is buffered here."""

    def close(self) -> None:
        """Nothing is done here: `new_file` syncs, closes and renames."""

    def readable(self) -> bool:
        """False: the file is written once, from start to end. io.TextIOWrapper asks."""
        return False

    def writable(self) -> bool:
        """True: see `readable`."""
        return True

    def seekable(self) -> bool:
        """False: see `readable`."""
        return False


@contextmanager
def new_file(path: Path) -> Iterator[NewFile]:
    """Write `path` so that it is there whole or not at all: temporary name, fsync, rename, fsync folder."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    with reported("create", path):
        fd = os_call(os.open, temporary, _NEW_FILE, 0o666)
    open_fds = [fd]
    try:
        yield NewFile(path, fd)
        with reported("write", path):
            os_call(os.fsync, fd)
            os_call(os.close, open_fds.pop())
            os_call(os.replace, temporary, path)
            os_call(sync, path.parent)
    except BaseException:
        for fd in open_fds:
            os.close(fd)
        with suppress(OSError):
            os.unlink(temporary)
        raise


@contextmanager
def new_text_file(path: Path) -> Iterator[IO[str]]:
    """`new_file` for text in UTF-8; lines end as they are written."""
    with new_file(path) as target:
        text = io.TextIOWrapper(target, encoding="utf-8", newline="")  # type: ignore[type-var]
        yield text
        text.flush()
        text.detach()


@contextmanager
def new_folder(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """Fill the folder that is yielded; it becomes `path` whole or not at all, its files synced.

    replace: take the place of what is at `path`; else an existing `path` that is not empty is an error.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    old = temporary.with_suffix(".old")
    try:
        make_folder(temporary)
        yield temporary
        with reported("write", path):
            for file in sorted(temporary.rglob("*")):
                if file.is_file():
                    os_call(sync, file)
            if replace and path.exists():
                os_call(os.replace, path, old)
            os_call(os.replace, temporary, path)
            os_call(sync, path.parent)
    finally:
        if old.exists() and not path.exists():  # the new folder did not come: the old one comes back
            os.replace(old, path)
        for folder in (temporary, old):
            shutil.rmtree(folder, ignore_errors=True)


def refuse_existing(path: Path, force: bool = False) -> None:
    """Raise UsageError where something is at `path` that must not be replaced."""
    if path.exists() and not force:
        raise UsageError(f"{path} already exists: choose another name, or replace it with --force")


def read_toml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The tables of a TOML file. Raises DataError, with the line, where it cannot be read or is not TOML."""
    try:
        return tomllib.loads(Path(path).read_bytes().decode("utf-8"))
    except OSError as error:
        raise DataError(f"{os.fspath(path)} cannot be read ({error.strerror}): give a TOML file") from None
    except (ValueError, RecursionError) as error:  # not TOML, not UTF-8, too deep, too many digits
        raise DataError(f"{os.fspath(path)} is not valid TOML ({error}): correct it there") from None


def toml_value(text: str) -> Any:
    """The value of `text` as TOML; `text` itself if it is not TOML."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text


def read_json(path: Path, kind: type = dict) -> Any:
    """The object (with kind=list, the list) in a JSON file. Raises DataError if it is missing or broken."""
    text = read_text(path)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read as JSON: {error}") from None
    if not isinstance(content, kind):
        raise DataError(f"{path} does not hold a JSON {'object' if kind is dict else 'list'}")
    return content


def read_text(path: Path) -> str:
    """The text of a file in UTF-8. Raises DataError unless it is a regular file that can be read."""
    try:
        refuse_irregular(path)
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        raise DataError(f"{path.parent} has no {path.name}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text: {error}") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None


def refuse_irregular(path: Path) -> None:
    """Raise DataError for a pipe, a folder or a device, which may never end; OSError where nothing is."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise DataError(f"{path} is not a regular file: put the file itself there")


def file_sha256(path: Path) -> str:
    """Checksum of a file's bytes. Raises DataError unless it is a regular file."""
    refuse_irregular(path)
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()


def text_sha256(content: Any) -> str:
    """Checksum of what is written as JSON, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def remove(path: Path) -> None:
    """Delete a file; one that is gone already is fine."""
    with reported("remove", path), suppress(FileNotFoundError):
        os_call(os.unlink, path)


def list_folder(path: Path) -> list[str]:
    """Names in a folder, sorted; an absent folder is an empty one."""
    with reported("read", path):
        try:
            return sorted(os_call(os.listdir, path))
        except FileNotFoundError:
            return []


@contextmanager
def _regular_file(path: Path) -> Iterator[tuple[int, int]]:
    """(descriptor, size in bytes) of a regular file: never a link, a pipe or a device."""
    try:
        fd = os_call(os.open, path, _SAFE_READ)
    except FileNotFoundError:
        raise StoreCorrupt(
            f"{path} is missing: restore it from a copy, or embed its answers into a new store"
        ) from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise StoreCorrupt(f"{path} is a link: put the file itself there") from None
        raise failure("read", path, error) from error
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise StoreCorrupt(f"{path} is not a regular file: restore it from a copy")
        yield fd, status.st_size
    finally:
        os.close(fd)


def file_size(path: Path) -> int:
    """Size in bytes of a regular file; StoreCorrupt when it is missing or a link."""
    with _regular_file(path) as (_, size):
        return size


def read_file(path: Path, limit_bytes: int) -> bytes:
    """The bytes of a small file; StoreCorrupt when it has more than `limit_bytes`."""
    with _regular_file(path) as (fd, size), reported("read", path):
        if size > limit_bytes:
            raise StoreCorrupt(f"{path} has {size} bytes, more than the manifest of a store can have")
        with os.fdopen(os.dup(fd), "rb") as file:
            return os_call(file.read, limit_bytes)


def map_file(path: Path, size_bytes: int) -> mmap.mmap:
    """A regular file as read-only memory; StoreCorrupt when it does not have the expected size (> 0)."""
    with _regular_file(path) as (fd, size), reported("read", path):
        if size != size_bytes:
            raise StoreCorrupt(
                f"{path} has {size} bytes, the manifest says {size_bytes}: "
                "restore it from a copy, or embed its answers into a new store"
            )
        return os_call(lambda: mmap.mmap(fd, size, access=mmap.ACCESS_READ))


class WriterLock:
    """One writer at a time: a lock file that the system releases when its holder dies.

    path: the lock file, which holds the pid of the holder; what: the file or folder that is written, for
    the error. Held from `acquire` to `release`.
    """

    def __init__(self, path: Path, what: Path) -> None:
        from filelock import FileLock

        self.path, self.what = path, what
        self._lock = FileLock(path, thread_local=False)

    def acquire(self, timeout_s: float = 0.0) -> None:
        """Take the lock or raise StoreLocked after `timeout_s` seconds."""
        from filelock import Timeout

        if self.path.is_symlink():
            raise StoreCorrupt(f"{self.path} is a link: remove it, a lock must be a file of its own")
        try:
            os_call(lambda: self._lock.acquire(timeout=timeout_s))
            os_call(lambda: self.path.write_text(f"{os.getpid()}\n"))
        except Timeout:
            raise StoreLocked(
                f"{self.what} is being written by {self._holder()}: wait until that is done or stop it, "
                "then run the same command again (reading goes on undisturbed)"
            ) from None
        except OSError as error:
            self._lock.release()
            raise failure("lock", self.path, error) from error

    def release(self) -> None:
        """Give the lock back; the file stays, as removing it would let two writers in."""
        self._lock.release()

    def _holder(self) -> str:
        with suppress(OSError, ValueError):
            return f"process {int(self.path.read_text())}"
        return "another process"


def escaped(text: str) -> str:
    """`text` with the bytes of a file name that are no UTF-8, and halves of characters, as `\\udcff`."""
    return text.encode("utf-8", "backslashreplace").decode()
