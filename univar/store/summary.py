"""What a store holds, in numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from univar.store.reader import Store
from univar.store.shard import FLAG_QUESTION_CUT, FLAG_QUESTION_ONLY, FLAG_REUSED, FLAG_TRUNCATED


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
        "format": store.format,
        "parts": {name: [columns.start, columns.stop] for name, columns in store.parts.items()},
        "text_format": store.text_format,
        "columns": store.columns,
        "sources": _counts(store, "source"),
        "models": _counts(store, "model"),
        "languages": _counts(store, "language"),
        "tokens": int(store.n_tokens.sum(dtype=np.int64)),
        "truncated": int(np.count_nonzero(flags & FLAG_TRUNCATED)),
        "question_only": int(np.count_nonzero(flags & FLAG_QUESTION_ONLY)),
        "question_cut": int(np.count_nonzero(flags & FLAG_QUESTION_CUT)),
        **_read(store),
        "reused": int(np.count_nonzero(flags & FLAG_REUSED)),
        "shards": len(store.shards),
        "size_bytes": store.size_bytes,
        "workers": workers,
        "workers_present": present,
        "fingerprint": store.fingerprint,
        "runs": store.runs,
    }


def _read(store: Store) -> dict[str, Any]:
    """What was read of the answers; null where a store of the first format doesn't know."""
    pieces, total, read = store.pieces, store.answer_tokens, store.answer_tokens_read
    unknown = store.unknown_share
    if pieces is None or total is None or read is None or unknown is None:
        return dict.fromkeys(("pieces", "answer_tokens", "answer_tokens_read", "unknown_share"))
    tokens = int(total.sum(dtype=np.int64))
    return {
        "pieces": int(pieces.sum(dtype=np.int64)),
        "answer_tokens": tokens,
        "answer_tokens_read": int(read.sum(dtype=np.int64)),
        "unknown_share": round(float(unknown.astype(np.float64) @ total) / tokens, 6) if tokens else 0.0,
    }


def _counts(store: Store, column: str) -> dict[str, int]:
    """Rows of each label, the most frequent first, equal ones by name."""
    codes, labels = store.codes(column)
    counts = np.bincount(codes, minlength=len(labels)).tolist()
    return dict(sorted(zip(labels, counts, strict=True), key=lambda pair: (-pair[1], pair[0])))
