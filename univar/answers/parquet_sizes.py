"""How many rows of a Parquet row group may be read at once so that they fit into memory when unpacked.

What rows share is stored once: a file of a kilobyte can hold one long string for millions of rows. No such
string is longer than its column's dictionary page, and that page's header says how long it is.
"""

from __future__ import annotations

from typing import BinaryIO

import pyarrow.parquet as pq

UNPACKED_BYTES = 128 << 20
"""Most that the shared strings of the rows read at once may unpack to."""

_DICTIONARY_PAGE = 2
_I32_FIELD = 0x15  # in Thrift's compact protocol: the next field, a varint


def rows_at_once(
    file: BinaryIO, metadata: pq.FileMetaData, group: int, batch_rows: int, batch_bytes: int
) -> int:
    """Rows of row group `group` that are about `batch_bytes` as stored, at most UNPACKED_BYTES unpacked."""
    facts = metadata.row_group(group)
    columns = [facts.column(place) for place in range(facts.num_columns)]
    longest = sum(_longest_shared(file, column) for column in columns if column.physical_type == "BYTE_ARRAY")
    stored = facts.total_byte_size // max(facts.num_rows, 1)
    return max(1, min(batch_rows, batch_bytes // max(stored, 1), UNPACKED_BYTES // max(longest, 1)))


def _longest_shared(file: BinaryIO, column: pq.ColumnChunkMetaData) -> int:
    """Bytes that no string shared by rows of `column` exceeds, 0 if rows share nothing."""
    if "DELTA_BYTE_ARRAY" in column.encodings:  # a string may start with all of the one before
        return int(column.total_uncompressed_size)
    start = column.dictionary_page_offset if column.has_dictionary_page else column.data_page_offset
    file.seek(max(start, 0))
    page = _page_header(file.read(16))
    if page is None:
        return int(column.total_uncompressed_size)
    kind, size_bytes = page
    return size_bytes if kind == _DICTIONARY_PAGE else 0


def _page_header(data: bytes) -> tuple[int, int] | None:
    """(kind of page, its uncompressed bytes): a header's first two fields; None where there is no header."""
    fields: list[int] = []
    place = 0
    while len(fields) < 2:
        if data[place : place + 1] != bytes([_I32_FIELD]):
            return None
        value = shift = 0
        more = True
        while more:
            place += 1
            if place >= len(data):
                return None
            value |= (data[place] & 0x7F) << shift
            more, shift = data[place] >= 0x80, shift + 7
        fields.append(value >> 1)  # zigzag of a number that is not negative
        place += 1
    return fields[0], fields[1]
