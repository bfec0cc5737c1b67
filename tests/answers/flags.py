"""How well cut off, declined and looping answers are found: precision and recall on labelled rows.

    python -m tests.answers.flags

`labels/flags.json` names 100 rows of answers_eval.parquet in Latin script (English, Finnish, Spanish) and 100
in Chinese and Japanese, and those of them that a reader found cut off, declined or in a loop. Hard cases are
over-represented: about 10 rows that were found as loops, 8 that pack well, 20 found as cut off, 14 others
without end punctuation, 20 found as declined, 12 others with words of refusals, and random ones. They were
shuffled, and read without what was found. The rules were written on answers_train.parquet before.

Cut off: it stops in the middle of a sentence, a word, a list or code. Declined: it says that it cannot or
will not give what was asked, takes no side when asked for one, or goes another way than asked; not where it
only lacks facts, asks back, or hedges and then answers. Loop: it repeats itself as only a model does.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from univar.answers import faults
from univar.answers.declined import declined
from univar.schema import normalize_language

LABELS = Path(__file__).parent / "labels" / "flags.json"
KINDS = ("cut_off", "declined", "loops")
Score = tuple[int, int, int]
"""Rows found rightly, found wrongly, missed."""


def found(table: pa.Table) -> dict[str, np.ndarray]:
    """Kind to (n,) bool: what the rules find. table: columns answer and language."""
    answers = table["answer"].combine_chunks()
    languages = pa.array([normalize_language(code) for code in table["language"].to_pylist()])
    return {
        "cut_off": faults.cut_off(answers, None),
        "declined": declined(answers, languages),
        "loops": faults.loops(answers),
    }


def scores(folder: Path) -> dict[str, dict[str, Score]]:
    """Script to kind to its counts. folder: that of answers_eval.parquet."""
    labels = json.loads(LABELS.read_text())
    answers = pq.read_table(folder / labels["corpus"], columns=["answer", "language"])
    counted: dict[str, dict[str, Score]] = {}
    for script in ("latin", "cjk"):
        rows = labels[script]["rows"]
        flags = found(answers.take(rows))
        counted[script] = {}
        for kind in KINDS:
            true, flag = np.isin(rows, labels[script][kind]), flags[kind]
            counted[script][kind] = (
                int((flag & true).sum()),
                int((flag & ~true).sum()),
                int((true & ~flag).sum()),
            )
    return counted


def main() -> None:
    """Print the table of docs/answers.md."""
    print("| script | flag | rows that have it | precision | recall |\n|---|---|---|---|---|")
    for script, kinds in scores(Path(os.environ["UNIVAR_DATA"])).items():
        for kind, (right, wrong, missed) in kinds.items():
            precision, recall = right / (right + wrong), right / (right + missed)
            print(
                f"| {script} | {kind} | {right + missed} | {precision:.2f} ({right}/{right + wrong}) | "
                f"{recall:.2f} ({right}/{right + missed}) |"
            )


if __name__ == "__main__":
    if "UNIVAR_DATA" not in os.environ:
        sys.exit("set UNIVAR_DATA to the folder of answers_eval.parquet")
    main()
