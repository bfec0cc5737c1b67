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
OURS = ("univar", "triton")
"""How `impl` begins in rows of ours."""


def device_facts() -> dict[str, Any]:
    if not torch.cuda.is_available():
        return {"name": "CPU, a dry run: times mean nothing"}
    facts = torch.cuda.get_device_properties(0)
    capability = ".".join(str(x) for x in torch.cuda.get_device_capability(0))
    return {
        "name": facts.name,
        "memory_gib": facts.total_memory / 2**30,
        "capability": capability,
        "cuda": torch.version.cuda,
    }


def with_ratios(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each row with its shares of the measured ceilings, and how often faster ours is than it."""
    limits = {row["what"]: row.get(CEILINGS[row["what"]]) for row in rows if row["what"] in CEILINGS}
    ours: dict[tuple, float] = {}
    for row in rows:
        if row["impl"].startswith(OURS) and "ms" in row:
            ours.setdefault(_case(row), row["ms"])
    for row in rows:
        if row["what"] in CEILINGS or "ms" not in row:
            continue
        rates = {
            "bf16 matrix product": row.get("tflops_of_8bbd", row.get("tflops")),
            "copy": row.get("tb_per_s"),
        }
        for ceiling, rate in rates.items():
            if rate and limits.get(ceiling):
                row[f"share_of_{ceiling.split()[-1]}"] = rate / limits[ceiling]
        if _case(row) in ours:
            row["times_ours"] = row["ms"] / ours[_case(row)]
    return rows


def _case(row: dict[str, Any]) -> tuple:
    return (row["what"], *(row.get(name) for name in SIZES))


def print_table(rows: list[dict[str, Any]]) -> None:
    print(
        f"{'what':24}{'size':34}{'impl':28}{'ms':>11}"
        f"{'x ours':>8}{'peak MB':>10}{'of matmul':>10}{'of copy':>8}"
    )
    for row in rows:
        size = " ".join(str(row[name]) for name in SIZES if name in row)
        start = f"{row['what'][:23]:24}{size[:33]:34}{row['impl'][:27]:28}"
        if "ms" not in row:
            print(start + row.get("error", row.get("left_out", ""))[:60])
            continue
        shown = ("times_ours", "peak_mb", "share_of_product", "share_of_copy")
        times, peak, product, copy = ("" if name not in row else f"{row[name]:.2f}" for name in shown)
        print(f"{start}{row['ms']:11.3f}{times:>8}{peak:>10}{product:>10}{copy:>8}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tests", default="not run", help="what the test run said last")
    parser.add_argument("--failed", nargs="*", default=[], help="parts that ended badly")
    args = parser.parse_args()
    rows = with_ratios([row for part in args.parts if part.exists() for row in json.loads(part.read_text())])
    summary = {
        "tests": args.tests,
        "parts_failed": args.failed,
        "parts_without_rows": [part.stem for part in args.parts if not part.exists()],
        "rows_measured": sum("ms" in row for row in rows),
        "rows_left_out": sum("left_out" in row for row in rows),
        "errors_of_ours": sum("error" in row and row["impl"].startswith(OURS) for row in rows),
        "errors_of_others": sum("error" in row and not row["impl"].startswith(OURS) for row in rows),
    }
    device = device_facts()
    write_result(args.out, "gpu_check", PACKAGES, {"device": device, **summary, "rows": rows})
    print_table(rows)
    print("; ".join(f"{name.replace('_', ' ')}: {_said(value)}" for name, value in summary.items()))
    is_fine = not (args.failed or summary["parts_without_rows"] or summary["errors_of_ours"])
    print(f"device: {device['name']}; {'all is well' if is_fine else 'SOMETHING FAILED'}")
    return 0 if is_fine else 1


def _said(value: object) -> str:
    return (", ".join(value) or "none") if isinstance(value, list) else str(value)


if __name__ == "__main__":
    sys.exit(main())
