"""Stores: folders of immutable HDF5 shards and a manifest.

Whatever the manifest does not name does not exist; a finished shard is never opened for writing again.
"""

from __future__ import annotations

from univar.store.export import export
from univar.store.manifest import encoder_differences
from univar.store.merge import merge
from univar.store.reader import Store
from univar.store.rows import FLAG_REUSED, FLAG_TRUNCATED, EmbeddedRows
from univar.store.summary import summarize
from univar.store.verify import VerifyReport, verify
from univar.store.writer import StoreWriter

__all__ = [
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
