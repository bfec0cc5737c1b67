"""Every failure a user can cause, each with the exit code that the command line returns for it."""

from __future__ import annotations

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_DATA = 3
EXIT_PARTIAL = 4
EXIT_INTERRUPTED = 130


class UnivarError(Exception):
    """Root of all errors that cross a public function. The message says what was found and what to do."""

    exit_code = EXIT_FAILED


class UsageError(UnivarError):
    """The call itself makes no sense: an unknown encoder, two options that exclude each other."""

    exit_code = EXIT_USAGE


class DataError(UnivarError):
    """The input is not what it has to be; the message names file, row and remedy."""

    exit_code = EXIT_DATA


class StoreCorrupt(DataError):
    """A store's files are not what its manifest says."""


class StoreLocked(UnivarError):
    """Another process is writing to the store."""


class ProviderError(UnivarError):
    """Something outside failed: a model hub, a disk, an endpoint."""


class Interrupted(UnivarError):
    """The user stopped the work; what was finished is kept and the same command continues."""

    exit_code = EXIT_INTERRUPTED
