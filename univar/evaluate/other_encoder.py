"""Stores of another encoder over the same rows, so that two can be compared on them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from univar.errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from univar.encoder.encoder import Encoder
    from univar.store import Store


def other_stores(
    given: str,
    stores: tuple[Store, Store],
    folder: Path | None,
    on_progress: Callable[[str], Any] | None = None,
) -> tuple[str, tuple[Store, Store]]:
    """(name, (train, eval)) of the encoder called `given`.

    given:  "TRAIN,EVAL", two store folders ("TRAIN" alone if there is one store), or an encoder's name or
            folder; the rows of `stores` are then embedded with it into stores below `folder`, or what is
            there already is used
    Raises UsageError without a folder for an encoder, DataError where a store is missing.
    """
    from univar.store import Store

    paths = given.split(",")
    if all(Store.exists(path) for path in paths) and len(paths) <= 2:
        opened = Store(paths[0]), Store(paths[-1])
        return opened[0].encoder["id"], opened
    if len(paths) > 1:
        raise DataError(f"{given}: there is no store at one of these folders; give TRAIN,EVAL")
    if folder is None:
        raise UsageError(
            f"{given!r} is no store: to embed the rows with the encoder of that name, say with --work FOLDER "
            "where its stores are kept"
        )
    from univar.encoder.encoder import Encoder

    encoder = Encoder(given)
    if encoder.info["id"] == stores[0].encoder["id"]:
        raise UsageError(f"{given} is of the name of the encoder under evaluation: rename its folder")
    made = [_embedded(store, encoder, folder, on_progress) for store in stores]
    return encoder.info["id"], (made[0], made[1])


def _embedded(
    store: Store, encoder: Encoder, folder: Path, on_progress: Callable[[str], Any] | None
) -> Store:
    """The store's rows embedded with another encoder; continues or reuses what is in `folder`."""
    import pyarrow.parquet as pq

    from univar import files
    from univar.bulk import embed
    from univar.store import Store, encoder_differences

    made_by = [f"{name}={value!r}" for name, value, _ in encoder_differences(encoder.info, {})]
    identity = "\n".join([*made_by, store.fingerprint])
    name = hashlib.blake2b(identity.encode(), digest_size=8).hexdigest()
    target, texts = folder / name, folder / f"{name}.parquet"
    if Store.exists(target) and len(Store(target)) == len(store):
        return Store(target)
    if on_progress is not None:
        on_progress(f"embedding {len(store):,} rows of {store.path} with {encoder.info['id']} into {target}")
    files.make_folder(folder)
    with files.new_file(texts) as file:
        tables = store.iter_tables()
        first = next(tables)
        with pq.ParquetWriter(file, first.schema, compression="zstd") as writer:
            for table in (first, *tables):
                writer.write_table(table)
    embed([texts], target, encoder=encoder)
    files.remove(texts)
    return Store(target)
