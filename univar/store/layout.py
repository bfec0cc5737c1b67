"""Where the datasets of a shard lie: HDF5 writes its own few kilobytes, and the data goes in by our hand.

h5py lays out a file of contiguous datasets in sparse memory without touching their data. Writing the file
is then one pass from front to back over HDF5's bytes and the callers' own buffers: no copy, no second read
for the checksums, and every byte through `fs`.
"""

from __future__ import annotations

import io
import mmap
from typing import Any

import h5py
import numpy as np

SHARD_FORMAT = "univar-shard/1"
ALIGNMENT = 64
_SLACK_BYTES = 4 << 20
_SLACK_PER_DATASET = 32 << 10


class _SparseFile:
    """A file in anonymous memory, of which only the pages that HDF5 writes exist."""

    def __init__(self, capacity_bytes: int) -> None:
        self.memory = mmap.mmap(-1, capacity_bytes)
        self.position = 0
        self.size = 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self.position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self.position, io.SEEK_END: self.size}[whence]
        return self.position

    def tell(self) -> int:
        return self.position

    def read(self, size: int) -> bytes:
        return self.memory[self.position : self.position + size]

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        view[:] = self.read(len(view))
        self.position += len(view)
        return len(view)

    def write(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        end = self.position + len(view)
        self.memory[self.position : end] = bytes(view)
        self.position = end
        self.size = max(self.size, end)
        return len(view)

    def truncate(self, size: int) -> int:
        self.size = size
        return size

    def flush(self) -> None:
        pass


def lay_out(datasets: dict[str, tuple[str, tuple[int, ...]]]) -> tuple[memoryview, dict[str, int]]:
    """A shard file without its data, and the byte offset of each dataset in it (0 for one without bytes).

    datasets: name -> (dtype, shape), in the order in which they shall lie in the file.
    """
    nbytes = sum(np.dtype(dtype).itemsize * int(np.prod(shape)) for dtype, shape in datasets.values())
    file = _SparseFile(nbytes + _SLACK_BYTES + _SLACK_PER_DATASET * len(datasets))
    settings: dict[str, Any] = {"libver": ("v110", "v110"), "track_order": False}
    with h5py.File(file, "w", alignment_threshold=1, alignment_interval=ALIGNMENT, **settings) as h5:
        h5.attrs["format"] = SHARD_FORMAT
        offsets = {name: _allocate(h5, name, *what) for name, what in datasets.items()}
    return memoryview(file.memory)[: file.size], offsets


def _allocate(h5: h5py.File, name: str, dtype: str, shape: tuple[int, ...]) -> int:
    folder, _, leaf = name.rpartition("/")
    parent = h5.require_group(folder) if folder else h5
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_layout(h5py.h5d.CONTIGUOUS)
    properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    properties.set_obj_track_times(False)
    dataset = h5py.h5d.create(
        parent.id,
        leaf.encode(),
        h5py.h5t.py_create(np.dtype(dtype)),
        h5py.h5s.create_simple(shape),
        properties,
    )
    return dataset.get_offset() or 0
