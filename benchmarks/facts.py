"""What every benchmark says about itself: machine, versions, date; and how its result is written."""

from __future__ import annotations

import datetime
import functools
import importlib.metadata
import json
import os
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Any


@functools.cache
def processor() -> str:
    """Name of the processor."""
    cpu_info = Path("/proc/cpuinfo")
    lines = cpu_info.read_text().splitlines() if cpu_info.exists() else []
    models = {line.partition(":")[2].strip() for line in lines if line.startswith("model name")}
    return ", ".join(sorted(models)) or platform.processor()


def machine() -> dict[str, object]:
    """Processor, cores, load and system."""
    return {
        "cpu": processor(),
        "cores": os.cpu_count(),
        "load_1min": round(os.getloadavg()[0], 2),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def versions(packages: Iterable[str]) -> dict[str, str | None]:
    """Installed version of each package, None where it is absent."""

    def version(name: str) -> str | None:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            return None

    return {name: version(name) for name in packages}


def write_result(path: Path | None, benchmark: str, packages: Iterable[str], facts: dict[str, Any]) -> None:
    """Write a benchmark's facts as JSON, with machine, versions and date; nothing where `path` is None."""
    if path is None:
        return
    report = {
        "benchmark": benchmark,
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": versions(packages),
        **facts,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
