"""The bulk engine: every row once, every row accounted for, whatever the run looked like."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import answer_rows, write_jsonl
from univar import Encoder, Store
from univar.bulk import EmbedOptions, EmbedReport, embed
from univar.bulk.plan import plan
from univar.errors import DataError, StoreLocked, UsageError
from univar.schema import qa_texts
from univar.store import FLAG_REUSED, FLAG_TRUNCATED, StoreWriter, verify


def expected_embeddings(encoder: Encoder, rows: list[dict[str, str]]) -> np.ndarray:
    import pyarrow as pa

    texts = qa_texts(pa.array([row["question"] for row in rows]), pa.array([row["answer"] for row in rows]))
    return encoder.encode(texts.to_pylist())


def test_store_holds_what_encode_gives_in_the_order_of_the_input(tmp_path: Path, encoder: Encoder) -> None:
    rows = answer_rows(300)
    report = embed(
        [write_jsonl(tmp_path / "a.jsonl", rows)], tmp_path / "store", encoder=encoder, dtype="float32"
    )
    store = Store(tmp_path / "store")
    assert report.embedded == report.rows_read == len(store) == 300
    assert store.text("answer", np.arange(300)) == [row["answer"] for row in rows]
    np.testing.assert_allclose(store.embeddings[:], expected_embeddings(encoder, rows), atol=1e-5)


def test_same_run_again_embeds_nothing(tmp_path: Path, encoder: Encoder) -> None:
    source = write_jsonl(tmp_path / "a.jsonl", answer_rows(100))
    embed([source], tmp_path / "store", encoder=encoder)
    before = Store(tmp_path / "store").fingerprint
    report = embed([source], tmp_path / "store", encoder=encoder)
    assert (report.embedded, report.already_stored, report.accounted) == (0, 100, 100)
    assert Store(tmp_path / "store").fingerprint == before


def test_new_rows_become_new_shards_and_old_ones_stay(tmp_path: Path, encoder: Encoder) -> None:
    embed([write_jsonl(tmp_path / "a.jsonl", answer_rows(50))], tmp_path / "store", encoder=encoder)
    old = {path.name: path.read_bytes() for path in (tmp_path / "store" / "shards").iterdir()}
    grown = write_jsonl(tmp_path / "b.jsonl", answer_rows(50) + answer_rows(30, seed=1))
    report = embed([grown], tmp_path / "store", encoder=encoder)
    assert (report.embedded, report.already_stored, report.store_rows) == (30, 50, 80)
    assert all((tmp_path / "store" / "shards" / name).read_bytes() == data for name, data in old.items())


def test_duplicates_and_shared_texts_are_told_apart(tmp_path: Path, encoder: Encoder) -> None:
    rows = answer_rows(20)
    same_text = [{**row, "id": f"copy-{row['id']}", "model": "another"} for row in rows[:5]]
    source = write_jsonl(tmp_path / "a.jsonl", rows + rows[:3] + same_text)
    report = embed([source], tmp_path / "store", encoder=encoder)
    store = Store(tmp_path / "store")
    assert (report.embedded, report.duplicate, report.reused, report.encoded) == (25, 3, 5, 20)
    assert np.count_nonzero(store.flags & FLAG_REUSED) == 5
    np.testing.assert_array_equal(store.embeddings[20:25], store.embeddings[:5])


def test_a_text_of_an_earlier_run_is_not_embedded_again(tmp_path: Path, encoder: Encoder) -> None:
    rows = answer_rows(20)
    embed([write_jsonl(tmp_path / "a.jsonl", rows)], tmp_path / "store", encoder=encoder)
    copies = [{**row, "id": f"copy-{row['id']}"} for row in rows]
    report = embed([write_jsonl(tmp_path / "b.jsonl", copies)], tmp_path / "store", encoder=encoder)
    store = Store(tmp_path / "store")
    assert (report.embedded, report.reused, report.encoded, report.tokens) == (20, 20, 0, 0)
    np.testing.assert_array_equal(store.embeddings[20:40], store.embeddings[:20])


def test_truncated_rows_are_counted_and_flagged(tmp_path: Path, encoder: Encoder) -> None:
    rows = answer_rows(10)
    rows[4]["answer"] = "care " * 500
    source = write_jsonl(tmp_path / "a.jsonl", rows)
    report = embed([source], tmp_path / "store", encoder=encoder, read="paper")
    flagged = np.flatnonzero(Store(tmp_path / "store").flags & FLAG_TRUNCATED)
    assert report.truncated == 1
    assert flagged.tolist() == [4]


def test_refused_rows_are_listed_and_the_rest_is_embedded(tmp_path: Path, encoder: Encoder) -> None:
    rows = answer_rows(10)
    rows[2]["answer"] = "  "
    rows[7]["language"] = "nowherish"
    sentences: list[str] = []
    report = embed(
        [write_jsonl(tmp_path / "a.jsonl", rows)],
        tmp_path / "store",
        encoder=encoder,
        on_rejected=sentences.append,
    )
    assert (report.embedded, report.rejected, report.accounted) == (8, 2, 10)
    assert "row 3" in sentences[0]
    assert "row 8" in sentences[1]
    assert len((tmp_path / "store" / "rejected.jsonl").read_text().splitlines()) == 2


def test_rows_before_a_broken_file_are_kept(tmp_path: Path, encoder: Encoder) -> None:
    good = write_jsonl(tmp_path / "a.jsonl", answer_rows(40))
    broken = tmp_path / "b.parquet"
    broken.write_bytes(b"PAR1 but not for long")
    with pytest.raises(DataError, match=r"b\.parquet"):
        embed([good, broken], tmp_path / "store", encoder=encoder)
    assert len(Store(tmp_path / "store")) == 40


@pytest.mark.parametrize("shard_rows", [1, 64, 10_000])
def test_shard_size_and_row_order_do_not_matter(tmp_path: Path, encoder: Encoder, shard_rows: int) -> None:
    rows = answer_rows(200)
    shuffled = [rows[number] for number in np.random.default_rng(shard_rows).permutation(len(rows))]
    store_path = tmp_path / "store"
    embed(
        [write_jsonl(tmp_path / "a.jsonl", shuffled)],
        store_path,
        encoder=encoder,
        dtype="float32",
        shard_rows=shard_rows,
    )
    store = Store(store_path)
    by_id = dict(zip(store.column("id"), store.embeddings[:], strict=True))
    got = np.stack([by_id[row["id"]] for row in rows])
    np.testing.assert_allclose(got, expected_embeddings(encoder, rows), atol=1e-5)


def test_workers_share_the_rows_and_one_store_shows_them_all(tmp_path: Path, encoder: Encoder) -> None:
    rows = answer_rows(120)
    source = write_jsonl(tmp_path / "a.jsonl", [*rows, {**rows[0], "id": "same text"}])
    reports = [embed([source], tmp_path / "store", encoder=encoder, worker=(index, 3)) for index in range(3)]
    store = Store(tmp_path / "store")
    assert [report.accounted for report in reports] == [121] * 3
    assert sum(report.embedded for report in reports) == len(store) == 121
    assert sum(report.encoded for report in reports) == 120
    assert set(store.column("id")) == {row["id"] for row in rows} | {"same text"}
    assert not verify(tmp_path / "store").problems


def test_stop_finishes_the_batch_and_the_next_run_the_rest(tmp_path: Path, encoder: Encoder) -> None:
    source = write_jsonl(tmp_path / "a.jsonl", answer_rows(2000))
    stop = threading.Event()
    report = embed(
        [source], tmp_path / "store", encoder=encoder, stop=stop, on_progress=lambda running: stop.set()
    )
    assert report.interrupted
    assert 0 < report.embedded < 2000
    assert report.accounted == report.rows_read
    assert len(Store(tmp_path / "store")) == report.embedded
    second = embed([source], tmp_path / "store", encoder=encoder)
    assert second.embedded == 2000 - report.embedded
    assert not verify(tmp_path / "store").problems


def test_second_writer_is_refused(tmp_path: Path, encoder: Encoder) -> None:
    source = write_jsonl(tmp_path / "a.jsonl", answer_rows(5))
    with (
        StoreWriter(tmp_path / "store", encoder=encoder.info),
        pytest.raises(StoreLocked, match="being written by process"),
    ):
        embed([source], tmp_path / "store", encoder=encoder)


def test_store_of_another_encoder_is_refused(tmp_path: Path, encoder: Encoder, other_tiny_bert: Path) -> None:
    source = write_jsonl(tmp_path / "a.jsonl", answer_rows(5))
    embed([source], tmp_path / "store", encoder=encoder)
    with pytest.raises(DataError, match="revision"):
        embed([source], tmp_path / "store", encoder=Encoder(str(other_tiny_bert), dtype="fp32", device="cpu"))


def test_worker_outside_the_range_is_a_usage_error(tmp_path: Path, encoder: Encoder) -> None:
    with pytest.raises(UsageError, match="3/3"):
        embed([tmp_path / "a.jsonl"], tmp_path / "store", encoder=encoder, worker=(3, 3))


def test_options_may_be_given_whole_and_changed_by_name(tmp_path: Path, encoder: Encoder) -> None:
    source = write_jsonl(tmp_path / "a.jsonl", answer_rows(10))
    options = EmbedOptions(encoder=encoder, dtype="float32", shard_rows=4)
    embed([source], tmp_path / "store", options)
    embed([source], tmp_path / "other", options, dtype="float16")
    assert Store(tmp_path / "store").dtype == "float32"
    assert Store(tmp_path / "other").dtype == "float16"
    assert options.dtype == "float32"


@pytest.mark.parametrize("function", [embed, plan])
def test_an_unknown_option_is_a_usage_error(tmp_path: Path, function: Callable[..., object]) -> None:
    with pytest.raises(UsageError, match="no option 'shards': choose from encoder, dtype, worker"):
        function([tmp_path / "a.jsonl"], tmp_path / "store", shards=3)


def test_rejected_rows_are_told_under_the_old_name_too(tmp_path: Path, encoder: Encoder) -> None:
    rows = [*answer_rows(3), {**answer_rows(1)[0], "answer": ""}]
    told: list[str] = []
    source = write_jsonl(tmp_path / "a.jsonl", rows)
    embed([source], tmp_path / "store", encoder=encoder, on_refused=told.append)
    assert len(told) == 1


def test_plan_counts_what_embed_then_does(tmp_path: Path, encoder: Encoder) -> None:
    rows = answer_rows(60)
    embed([write_jsonl(tmp_path / "a.jsonl", rows[:20])], tmp_path / "store", encoder=encoder)
    source = write_jsonl(tmp_path / "b.jsonl", [*rows, rows[30], {**rows[31], "id": "copy"}])
    planned = plan([source], tmp_path / "store", encoder=encoder)
    done = embed([source], tmp_path / "store", encoder=encoder)
    assert (planned.to_embed, planned.tokens) == (done.embedded, done.tokens) == (41, done.tokens)
    for name in ("rows_read", "already_stored", "duplicate", "rejected", "truncated", "reused"):
        assert getattr(planned.report, name) == getattr(done, name)


def test_report_accounts_for_every_row() -> None:
    report = EmbedReport(rows_read=10, embedded=4, already_stored=2, duplicate=1, other_workers=1, rejected=2)
    assert report.accounted == 10
    assert "10 rows read" in report.summary()
