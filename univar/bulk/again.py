"""Stores embedded again from their own texts with another encoder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from univar.encoder.encoder import Encoder
    from univar.store import Store


def embedded_again(
    store: Store, encoder: Encoder, folder: Path, on_note: Callable[[str], Any] | None = None
) -> Store:
    """The store's rows embedded with `encoder`, in a folder below `folder` that keeps the store's name.

    Goes on with, or reuses, what is there already; a store that this encoder made is returned as it is.
    """
    import pyarrow.parquet as pq

    from univar import files
    from univar.bulk.engine import embed
    from univar.encoder.reading import ReadOptions
    from univar.store import Store, encoder_differences

    if not encoder_differences(encoder.info, store.encoder):
        return store
    made_by = [f"{name}={value!r}" for name, value, _ in encoder_differences(encoder.info, {})]
    identity = "\n".join([*made_by, store.fingerprint])
    name = hashlib.blake2b(identity.encode(), digest_size=8).hexdigest()
    target, texts = folder / name / store.path.name, folder / f"{name}.parquet"
    if Store.exists(target) and len(Store(target)) == len(store):
        return Store(target)
    if on_note is not None:
        on_note(f"embedding {len(store):,} rows of {store.path} with {encoder.info['id']} into {target}")
    files.make_folder(folder / name)
    with files.new_file(texts) as file:
        tables = store.iter_tables()
        first = next(tables)
        with pq.ParquetWriter(file, first.schema, compression="zstd") as writer:
            for table in (first, *tables):
                writer.write_table(table)
    embed([texts], target, encoder=encoder, read=ReadOptions.from_text_format(store.text_format))
    files.remove(texts)
    return Store(target)
