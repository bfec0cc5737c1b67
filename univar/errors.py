"""Every failure a user can cause, each with the exit code that the command line returns for it."""

from __future__ import annotations

from collections.abc import Iterable

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_DATA = 3
EXIT_PARTIAL = 4
EXIT_GATE = 10
"""A limit that the user set is not met, such as `evaluate --compare` finding a worse result."""
EXIT_UNSURE = 11
"""There is too little evidence to tell."""
EXIT_INTERRUPTED = 130


class UnivarError(Exception):
    """Root of all errors that cross a public function. The message says what was found and what to do."""

    exit_code = EXIT_FAILED


class UsageError(UnivarError):
    """The call itself is wrong: an unknown encoder, two options that exclude each other."""

    exit_code = EXIT_USAGE


class DataError(UnivarError):
    """The input cannot be used; the message names file, row and remedy."""

    exit_code = EXIT_DATA


class StoreCorrupt(DataError):
    """A store's files are not what its manifest says."""


class StoreLocked(UnivarError):
    """Another process is writing to the same store or file."""


class StoppedReading(UnivarError):
    """The user stopped the run while it waited for input."""

    exit_code = EXIT_INTERRUPTED


class ProviderError(UnivarError):
    """Something outside failed: a model hub, a disk, an endpoint."""


def did_you_mean(asked: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)` with the name of `known` that is nearest to `asked`, "" where none is near."""
    import difflib

    names = {name.casefold(): name for name in known}
    near = difflib.get_close_matches(asked.casefold(), names, n=1, cutoff=0.7)
    begun = [name for name in names if asked and (name.startswith(asked.casefold()))]
    found = near or begun[:1]
    return f" (did you mean {names[found[0]]!r}?)" if found else ""
