"""TOML files that people write: read whole, with an error that names the file and the line."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from univar.errors import DataError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def read_toml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The tables of a TOML file. Raises DataError where it cannot be read or is no TOML."""
    try:
        return tomllib.loads(Path(path).read_bytes().decode("utf-8"))
    except OSError as error:
        raise DataError(f"{os.fspath(path)}: cannot be read ({error.strerror}): name a TOML file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{os.fspath(path)}: is no valid TOML ({error}): mend that place") from None
