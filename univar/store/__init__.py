"""Stores: folders of immutable HDF5 shards and a manifest.

Whatever the manifest does not name does not exist; a finished shard is never opened for writing again.
What only writers and checkers need is imported on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from univar.store.manifest import encoder_differences
from univar.store.reader import Store
from univar.store.shard import FLAG_QUESTION_CUT, FLAG_QUESTION_ONLY, FLAG_REUSED, FLAG_TRUNCATED

if TYPE_CHECKING:
    from univar.store.exporting import export
    from univar.store.merging import merge
    from univar.store.shard_writer import EmbeddedRows
    from univar.store.summary import summarize
    from univar.store.verification import VerifyReport, verify
    from univar.store.writer import StoreWriter

_LAZY = {
    "EmbeddedRows": "shard_writer",
    "StoreWriter": "writer",
    "VerifyReport": "verification",
    "export": "exporting",
    "merge": "merging",
    "summarize": "summary",
    "verify": "verification",
}

__all__ = [
    "FLAG_QUESTION_CUT",
    "FLAG_QUESTION_ONLY",
    "FLAG_REUSED",
    "FLAG_TRUNCATED",
    "EmbeddedRows",
    "Store",
    "StoreWriter",
    "VerifyReport",
    "encoder_differences",
    "export",
    "merge",
    "summarize",
    "verify",
]


def __getattr__(name: str) -> Any:
    """Import what is not needed for reading on first use."""
    if name not in _LAZY:
        raise AttributeError(f"module 'univar.store' has no attribute {name!r}")
    return getattr(importlib.import_module(f"univar.store.{_LAZY[name]}"), name)


def __dir__() -> list[str]:
    """All names, those not yet imported too."""
    return sorted({*globals(), *_LAZY})
