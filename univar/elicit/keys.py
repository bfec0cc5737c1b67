"""API keys: from the environment or a private file, shown to the endpoint and to nobody else."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from univar.errors import UsageError

MASK = "[key]"


class Key:
    """A secret. Its text comes out through `reveal` only, never through str, repr, JSON or a comparison."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return "Key(***)"

    def reveal(self) -> str:
        """The key itself, for a request's header."""
        return self._text

    def scrub(self, text: str) -> str:
        """`text` with the key replaced, should a server have sent it back."""
        return text.replace(self._text, MASK)


def read_key(env: str | None, file: str | None, environment: Mapping[str, str], owner: str) -> Key | None:
    """The key in the variable `env` or in `file`; None where neither is named.

    owner: whose key it is, for messages. Raises UsageError where the variable is not set, the file is
    readable for others, or what is in it cannot be a key.
    """
    if env is not None and file is not None:
        raise UsageError(f"{owner}: give key_env or key_file, not both")
    if env is not None:
        if not environment.get(env):
            raise UsageError(f"{owner}: the environment has no {env}: set it to the key")
        return _key(environment[env], f"{owner}: the variable {env}")
    if file is None:
        return None
    path = Path(file).expanduser()
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode) or mode & 0o077:
            raise UsageError(f"{owner}: {path} can be read by others: run `chmod 600` on it")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{owner}: the key file {path} cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise UsageError(f"{owner}: the key file {path} is no text: put the key alone into it") from None
    return _key(text, f"{owner}: the key file {path}")


def _key(text: str, where: str) -> Key:
    text = text.strip()
    if len(text) < 4 or not (text.isascii() and text.isprintable()) or " " in text or os.sep * 2 in text:
        raise UsageError(f"{where} holds no key: one word of ASCII characters is expected")
    return Key(text)
