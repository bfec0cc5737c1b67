"""Texts as the two arrays that the native code reads: nothing is copied where Arrow already has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.types as pat

from univar.errors import DataError

Texts: TypeAlias = "pa.Array | pa.ChunkedArray | Sequence[str]"


def text_buffers(texts: Texts) -> tuple[np.ndarray, np.ndarray]:
    """Offsets (n + 1,) int32 or int64, data (bytes,) uint8: text i is data[offsets[i]:offsets[i + 1]].

    texts: a string or binary array of Arrow (large, view, sliced, chunked), or a list of str; lone surrogates
    in a str become bytes that are not UTF-8. Raises DataError for a null and for anything that isn't text.
    """
    array = _one_array(texts)
    if array.null_count:
        row = array.is_null().index(True).as_py()
        raise DataError(f"text {row} (counted from 0) is null: give it a text, or leave its row out.")
    _, offsets, data = array.buffers()
    dtype = np.int64 if pat.is_large_string(array.type) or pat.is_large_binary(array.type) else np.int32
    if not len(array):
        return np.zeros(1, dtype), np.zeros(0, np.uint8)
    bounds = np.frombuffer(offsets, dtype)[array.offset : array.offset + len(array) + 1]
    return bounds, np.zeros(0, np.uint8) if data is None else np.frombuffer(data, np.uint8)


def _one_array(texts: Texts) -> pa.Array:
    if isinstance(texts, str):
        raise DataError("texts is one str: give a list of str, or an Arrow array.")
    if not isinstance(texts, pa.Array | pa.ChunkedArray):
        return _from_list(texts)
    kind = texts.type
    if pat.is_null(kind) or pat.is_string_view(kind) or pat.is_dictionary(kind):
        texts = texts.cast(pa.large_string())
    elif pat.is_binary_view(kind):
        texts = texts.cast(pa.large_binary())
    elif not (_is_plain_text(kind)):
        raise DataError(f"texts are an Arrow array of {kind}: give strings.")
    if isinstance(texts, pa.ChunkedArray):
        large = pa.large_string() if pat.is_string(texts.type) else texts.type  # chunks of 2 GiB fit together
        texts = pa.concat_arrays(texts.cast(large).chunks) if texts.num_chunks else pa.array([], large)
    return texts


def _is_plain_text(kind: pa.DataType) -> bool:
    return any(
        is_kind(kind) for is_kind in (pat.is_string, pat.is_large_string, pat.is_binary, pat.is_large_binary)
    )


def _from_list(texts: Sequence[str]) -> pa.Array:
    try:
        return pa.array(texts, pa.large_string())
    except UnicodeEncodeError:
        encoded = [None if text is None else text.encode("utf-8", "surrogatepass") for text in texts]
        return pa.array(encoded, pa.large_binary())
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DataError(f"texts must all be str: {error}") from error
