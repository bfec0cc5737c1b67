"""What can go wrong in a training run is told in one sentence, and nothing good is lost."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.train.conftest import Rows, quick, run, styled_rows, write_rows
from univar.errors import DataError, ProviderError, UsageError
from univar.train import TrainSettings, run_folder
from univar.train.run_folder import RunFolder


def one_source(rows: Rows) -> Rows:
    return [{**row, "model": "only"} for row in rows]


def single_answers(rows: Rows) -> Rows:
    return [row for row in rows if row["question_id"] == "q0"]


def all_duplicates(rows: Rows) -> Rows:
    return [{**rows[0], "id": str(number), "model": f"m{number % 3}"} for number in range(20)]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (one_source, "one source, only/eng"),
        (single_answers, "only 0 of 4 sources have answers to two different questions"),
        (all_duplicates, "one source"),
    ],
)
def test_corpora_without_pairs_are_refused(
    tiny_bert: Path, tmp_path: Path, spoil: Callable[[Rows], Rows], said: str
) -> None:
    corpus = write_rows(tmp_path / "corpus.jsonl", spoil(styled_rows()))
    with pytest.raises(DataError, match=said):
        run(corpus, tmp_path / "out", quick(tiny_bert))


def test_missing_column_is_named(tiny_bert: Path, tmp_path: Path) -> None:
    rows = [{key: value for key, value in row.items() if key != "answer"} for row in styled_rows()]
    corpus = write_rows(tmp_path / "corpus.jsonl", rows)
    with pytest.raises(DataError, match="answer"):
        run(corpus, tmp_path / "out", quick(tiny_bert))


def test_unknown_family_is_named(tiny_bert: Path, corpus_file: Path, tmp_path: Path) -> None:
    base = Path(shutil.copytree(tiny_bert, tmp_path / "base"))
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps({**config, "model_type": "gpt2"}))
    with pytest.raises(DataError, match="'gpt2' is not supported"):
        run(corpus_file, tmp_path / "out", quick(base))


def test_divergence_stops_before_it_spoils_anything(
    tiny_bert: Path, corpus_file: Path, tmp_path: Path
) -> None:
    settings = quick(tiny_bert, steps=50, learning_rate=1e38, warmup_steps=6, schedule="inverse_sqrt")
    with pytest.raises(DataError, match=r"diverged .* at .*corpus.jsonl row \d+.* last good checkpoint"):
        run(corpus_file, tmp_path / "out", settings, checkpoint_every=1)
    kept = RunFolder(tmp_path / "out.run").checkpoints()
    assert kept
    assert json.loads((kept[0] / "state.json").read_text())["progress"]["loss"] < 100
    assert not (tmp_path / "out").exists()


def test_full_disk_keeps_the_last_good_checkpoint(
    tiny_bert: Path, corpus_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0

    def full_at_the_second(function: Callable[..., Any], *arguments: Any) -> Any:
        nonlocal calls
        calls += getattr(function, "__name__", "") == "save_file"
        if calls == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return function(*arguments)

    monkeypatch.setattr(run_folder, "os_call", full_at_the_second)
    with pytest.raises(ProviderError, match="no space is left"):
        run(corpus_file, tmp_path / "out", quick(tiny_bert), checkpoint_every=1)
    folder = tmp_path / "out.run" / "checkpoints"
    assert [path.name for path in folder.iterdir()] == ["step-000000001"]
    monkeypatch.undo()
    assert run(corpus_file, tmp_path / "out", quick(tiny_bert), resume=True).facts["steps"] == 4


def test_spoiled_checkpoint_is_named(tiny_bert: Path, corpus_file: Path, tmp_path: Path) -> None:
    settings = quick(tiny_bert)
    run(corpus_file, tmp_path / "out", settings, should_stop=lambda: True)
    (last,) = RunFolder(tmp_path / "out.run").checkpoints()
    (last / "state.safetensors").write_bytes(b"not safetensors")
    with pytest.raises(DataError, match="step-000000001 cannot be read"):
        run(corpus_file, tmp_path / "out", settings, resume=True)


def test_existing_folder_is_not_replaced(tiny_bert: Path, corpus_file: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(UsageError, match="exists"):
        run(corpus_file, tmp_path / "out", quick(tiny_bert))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"bach": 3}, "unknown setting 'bach'"),
        ({"views": {"overlapp": True}}, "unknown setting 'overlapp'"),
        ({"batch": 1}, "at least 2"),
        ({"loss": "triplet"}, "unknown loss 'triplet'"),
        ({"dtype": "int8"}, "unknown dtype 'int8'"),
        ({"views": {"weigh": "answers"}}, r"unknown views\.weigh 'answers'"),
        ({"views": {"qa_per_view": [3, 2]}}, "qa_per_view"),
        ({"temperature": 0}, "temperature"),
        ({"steps": 0}, "steps"),
    ],
)
def test_senseless_settings_are_refused(content: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        TrainSettings.from_dict(content)


def test_value_aware_needs_non_value_answers(tiny_bert: Path, corpus_file: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--non-value"):
        run(corpus_file, tmp_path / "out", quick(tiny_bert, loss="value_aware"))
