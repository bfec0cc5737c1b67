"""Whether a shard, as an HDF5 file, is only what its manifest says; checked in a child process.

Our own readers never follow HDF5's structure, but whoever opens a shard with h5py does. External storage
would show them another local file, a filter would run code of a plugin. As the HDF5 library can crash on a
crafted file, it runs in a child: a crash is one more problem found, not the end of the program.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from univar.errors import ProviderError
from univar.store.manifest import SHARD_FORMATS
from univar.store.shard import ShardFile

_READY = "ready"
_SECONDS = 60.0
_SECONDS_A_SHARD = 0.5


def structure_problems(shards: list[ShardFile]) -> list[str]:
    """One sentence for each shard whose HDF5 structure is not the one in the manifest."""
    if not shards:
        return []
    problems: list[str] = []
    left = list(shards)
    while left:
        found, stopped = _ask_child(left)
        problems += [str(shard.corrupt(what)) for shard, what in zip(left, found, strict=False) if what]
        if not stopped:
            break
        problems.append(str(left[len(found)].corrupt("the HDF5 library crashes or hangs on it")))
        left = left[len(found) + 1 :]
    return problems


def _ask_child(shards: list[ShardFile]) -> tuple[list[str], bool]:
    """What is wrong with each shard (nothing: an empty string), and whether the child stopped too early."""
    questions = [
        {
            "path": str(shard.path.absolute()),
            "datasets": {
                name: [info.offset, info.dtype, list(info.shape)]
                for name, info in shard.info.datasets.items()
            },
        }
        for shard in shards
    ]
    output, complaint = _run_child(json.dumps(questions).encode(), _SECONDS + _SECONDS_A_SHARD * len(shards))
    ready, *answers = output.decode().splitlines() or [""]
    if ready != _READY:
        raise ProviderError(f"cannot inspect the shards with {sys.executable}: {complaint}")
    return [json.loads(answer) for answer in answers], len(answers) < len(shards)


def _run_child(questions: bytes, limit_s: float) -> tuple[bytes, str]:
    """What the child printed until it ended, crashed or was stopped, and the end of its error output."""
    command = [sys.executable, "-m", "univar.store.structure"]
    home = Path(__file__).resolve().parents[2]  # the child's first import folder: never the user's
    try:
        child = subprocess.run(
            command, input=questions, cwd=home, capture_output=True, timeout=limit_s, check=False
        )
    except subprocess.TimeoutExpired as error:
        return error.stdout or b"", f"no answer in {limit_s:.0f} s"
    except OSError as error:
        return b"", str(error)
    return child.stdout, child.stderr.decode(errors="replace")[-300:]


def _problem(path: str, datasets: dict[str, Any]) -> str:
    """What is wrong with one file, or an empty string."""
    import h5py

    try:
        with h5py.File(path, "r") as h5:
            if h5.attrs.get("format") not in SHARD_FORMATS.values():
                return f"its format is {h5.attrs.get('format')!r}, not {' or '.join(SHARD_FORMATS.values())}"
            return _group_problem(h5, "", datasets)
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, UnicodeDecodeError) as error:
        return f"HDF5 cannot read it ({str(error)[:200]})"


def _group_problem(group: Any, prefix: str, datasets: dict[str, Any]) -> str:
    import h5py

    here = {name[len(prefix) :].partition("/")[0] for name in datasets if name.startswith(prefix)}
    names = set(group)
    if names != here:
        return f"HDF5 has {sorted(names - here)} that the manifest lacks, and lacks {sorted(here - names)}"
    for name in sorted(here):
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            return f"{prefix}{name} is a link to elsewhere"
        item = group[name]
        if isinstance(item, h5py.Group):
            problem = _group_problem(item, f"{prefix}{name}/", datasets)
        else:
            problem = _dataset_problem(item, datasets.get(prefix + name))
        if problem:
            return problem
    return ""


def _dataset_problem(dataset: Any, expected: list[Any] | None) -> str:
    import h5py

    if not isinstance(dataset, h5py.Dataset) or expected is None:
        return f"{dataset.name} is not the dataset that the manifest names"
    properties = dataset.id.get_create_plist()
    if properties.get_external_count() or dataset.is_virtual:
        return f"{dataset.name} takes its data from another file"
    if properties.get_layout() != h5py.h5d.CONTIGUOUS or properties.get_nfilters():
        return f"{dataset.name} is not contiguous and unfiltered"
    offset, dtype, shape = expected
    found = [dataset.id.get_offset() or 0, dataset.dtype.str, list(dataset.shape)]
    if found != [offset, dtype, shape]:
        return f"{dataset.name} is {found} in HDF5, {expected} in the manifest (offset, dtype, shape)"
    return ""


if __name__ == "__main__":
    print(_READY, flush=True)
    for question in json.load(sys.stdin):
        print(json.dumps(_problem(**question)), flush=True)
