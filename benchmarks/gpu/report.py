"""Put the parts' rows into one JSON file with device, versions and date, and print the table."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from facts import write_result

PACKAGES = [
    "torch",
    "triton",
    "sentence-transformers",
    "transformers",
    "inf-cl",
    "cut-cross-entropy",
    "numpy",
]
SIZES = ("model", "batch", "queries", "rows", "dim", "k", "pairs", "texts", "tokens")
CEILINGS = {"bf16 matrix product": "tflops", "copy": "tb_per_s"}


def device_facts() -> dict[str, Any]:
    if not torch.cuda.is_available():
        return {"name": "CPU, dry run"}
    facts = torch.cuda.get_device_properties(0)
    capability = ".".join(str(x) for x in torch.cuda.get_device_capability(0))
    return {
        "name": facts.name,
        "memory_gib": facts.total_memory / 2**30,
        "capability": capability,
        "cuda": torch.version.cuda,
    }


def with_ratios(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each row with its share of the measured matrix product, and how often faster ours is than it."""
    limit = next(
        (row["tflops"] for row in rows if row.get("what") == "bf16 matrix product" and "tflops" in row), None
    )
    ours: dict[tuple, float] = {}
    for row in rows:
        if str(row.get("impl", "")).startswith(("univar", "triton")) and "ms" in row:
            ours.setdefault(_case(row), row["ms"])
    for row in rows:
        rate = row.get("tflops_of_8bbd", row.get("tflops"))
        if limit and rate and row["what"] not in CEILINGS:
            row["share_of_matrix_product"] = rate / limit
        if "ms" in row and _case(row) in ours:
            row["times_ours"] = row["ms"] / ours[_case(row)]
    return rows


def _case(row: dict[str, Any]) -> tuple:
    return (row["what"], *(row.get(name) for name in SIZES))


def print_table(rows: list[dict[str, Any]]) -> None:
    print(f"{'what':24}{'size':34}{'impl':28}{'ms':>11}{'x ours':>8}{'peak MB':>10}{'of matmul':>10}")
    for row in rows:
        size = " ".join(str(row[name]) for name in SIZES if name in row)
        if "error" in row:
            print(f"{row['what'][:23]:24}{size[:33]:34}{row['impl'][:27]:28}{row['error'][:60]}")
            continue
        shown = [row.get("times_ours"), row.get("peak_mb"), row.get("share_of_matrix_product")]
        cells = ("" if x is None else f"{x:.2f}" for x in shown)
        times, peak, share = cells
        print(
            f"{row['what'][:23]:24}{size[:33]:34}{row['impl'][:27]:28}{row['ms']:11.3f}{times:>8}{peak:>10}{share:>10}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tests", default="not run", help="what the test run said last")
    args = parser.parse_args()
    rows = with_ratios([row for part in args.parts if part.exists() for row in json.loads(part.read_text())])
    missing = [part.stem for part in args.parts if not part.exists()]
    facts = {"device": device_facts(), "tests": args.tests, "parts_without_rows": missing, "rows": rows}
    write_result(args.out, "gpu_check", PACKAGES, facts)
    print_table(rows)
    parts = ", ".join(missing) or "none"
    print(f"device: {device_facts()['name']}; tests: {args.tests}; parts without rows: {parts}")


if __name__ == "__main__":
    main()
