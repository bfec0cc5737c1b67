"""What a store holds, in numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from univar.store.reader import Store
from univar.store.shard import FLAG_REUSED, FLAG_TRUNCATED


def summarize(store: Store) -> dict[str, Any]:
    """Facts about a store as a JSON object; `sources`, `models` and `languages` map a label to its rows."""
    flags = store.flags
    present, workers = len(store.workers), store.workers[0][1]
    return {
        "path": str(store.path),
        "rows": len(store),
        "dim": store.dim,
        "dtype": store.dtype,
        "encoder": store.encoder,
        "text_format": store.text_format,
        "columns": store.columns,
        "sources": _counts(store, "source"),
        "models": _counts(store, "model"),
        "languages": _counts(store, "language"),
        "tokens": int(store.n_tokens.sum(dtype=np.int64)),
        "truncated": int(np.count_nonzero(flags & FLAG_TRUNCATED)),
        "reused": int(np.count_nonzero(flags & FLAG_REUSED)),
        "shards": len(store.shards),
        "size_bytes": store.size_bytes,
        "workers": workers,
        "workers_present": present,
        "fingerprint": store.fingerprint,
        "runs": store.runs,
    }


def _counts(store: Store, column: str) -> dict[str, int]:
    """Rows of each label, the most frequent first, equal ones by name."""
    codes, labels = store.codes(column)
    counts = np.bincount(codes, minlength=len(labels)).tolist()
    return dict(sorted(zip(labels, counts, strict=True), key=lambda pair: (-pair[1], pair[0])))
