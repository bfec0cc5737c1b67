"""Views: what a corpus keeps, what pairs are made of, and that any step can be drawn again."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import answer_rows
from univar.encoder.tokenizer import load_tokenizer
from univar.errors import DataError
from univar.train import ViewSettings
from univar.train.corpus import TokenCorpus, build_corpus
from univar.train.sampler import PairBatch, ViewSampler

Rows = list[dict[str, str]]
Build = Callable[..., TokenCorpus]


@pytest.fixture
def build(tiny_bert: Path, tmp_path: Path) -> Build:
    """Rows to a tokenised corpus."""

    def build(rows: Rows, **options: object) -> TokenCorpus:
        path = tmp_path / "rows.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        tokenizer = load_tokenizer(tiny_bert, 64)
        return build_corpus([path], tokenizer, cache=tmp_path / "cache", tokenizer_id="tiny", **options)

    return build


def rows_of(models: int = 4, questions: int = 12) -> Rows:
    """Each of `models` models answers each question, in one language."""
    return [{**row, "language": "eng"} for row in answer_rows(models * questions, models=models)]


def sampler(corpus: TokenCorpus, batch: int = 8, seed: int = 3, **settings: object) -> ViewSampler:
    return ViewSampler(corpus, np.arange(len(corpus)), ViewSettings(**settings), batch, seed)


def test_views_are_tokenised_as_their_joined_text(build: Build, tiny_bert: Path) -> None:
    rows = rows_of()
    corpus = build(rows)
    views = [np.array([3]), np.array([5, 0, 7])]
    text = ["\n".join(f"Q: {rows[i]['question']} A: {rows[i]['answer']}" for i in view) for view in views]
    expected = load_tokenizer(tiny_bert, 64).encode(text)
    ids, cu_seqlens = corpus.views(views, 64)
    np.testing.assert_array_equal(ids, expected.ids)
    np.testing.assert_array_equal(cu_seqlens, expected.cu_seqlens)


def test_duplicates_and_shared_answers_are_left_out_and_counted(build: Build) -> None:
    rows = rows_of(models=2, questions=3)
    again = {**rows[0], "id": "again"}
    stolen = {**rows[2], "model": "model-9"}
    refusing = {**rows[1], "id": "r", "answer": "I'm sorry, I can't help with that, says ChatGPT."}
    unusable = {**rows[1], "answer": ""}
    corpus = build([*rows, again, stolen, refusing, unusable])
    counts = corpus.counts
    found = (counts.read, counts.kept, counts.duplicates, counts.shared_answers, counts.rejected)
    assert found == (10, 7, 1, 1, 1)
    assert (counts.declined, counts.naming_models) == (1, 1)
    assert counts.first_rejected.endswith("row 10: answer is empty")
    assert corpus.place(6).endswith("rows.jsonl row 9")


def test_names_are_masked_on_demand(build: Build) -> None:
    rows = [{**row, "answer": row["answer"] + " says ChatGPT"} for row in rows_of(models=2, questions=2)]
    open_corpus, masked = build(rows), build(rows, mask=True)
    assert not np.array_equal(open_corpus.ids, masked.ids)
    assert masked.counts.naming_models == 4


def test_unwanted_rows_are_left_out_and_counted(build: Build) -> None:
    corpus = build(rows_of(models=4, questions=3), where={"model": ["model-0", "model-2"]})
    assert corpus.source_names == ["model-0/eng", "model-2/eng"]
    assert (corpus.counts.kept, corpus.counts.not_wanted) == (6, 6)
    with pytest.raises(DataError, match="no column flavour"):
        build(rows_of(), where={"flavour": ["sweet"]})


def test_a_store_of_answers_gives_the_same_corpus(build: Build, tiny_bert: Path, tmp_path: Path) -> None:
    from univar import Encoder
    from univar.bulk import embed

    corpus = build(rows_of())
    embed([tmp_path / "rows.jsonl"], tmp_path / "store", encoder=Encoder(tiny_bert, threads=1))
    tokenizer = load_tokenizer(tiny_bert, 64)
    stored = build_corpus([tmp_path / "store"], tokenizer, cache=tmp_path / "cache2", tokenizer_id="tiny")
    np.testing.assert_array_equal(stored.ids, corpus.ids)
    np.testing.assert_array_equal(stored.questions, corpus.questions)


def test_question_ids_that_share_a_wording_are_one_question(build: Build) -> None:
    rows = rows_of(models=2, questions=4)
    rows[2]["question"] = rows[0]["question"]
    corpus = build(rows)
    assert corpus.questions[2] == corpus.questions[0] == corpus.questions[1]
    assert len(np.unique(corpus.questions)) == 3


def test_any_step_can_be_drawn_again(build: Build) -> None:
    corpus = build(rows_of())
    for settings in ({"matched": True}, {"matched": False, "qa_per_view": (1, 3)}):
        first, second = sampler(corpus, **settings), sampler(corpus, **settings)
        expected = [first.batch(step) for step in range(5)]
        got = second.batch(4), second.batch(1)
        for one, other in zip((expected[4], expected[1]), got, strict=True):
            np.testing.assert_array_equal(one.sources, other.sources)
            assert all(map(np.array_equal, one.anchors + one.positives, other.anchors + other.positives))
    assert not np.array_equal(sampler(corpus, seed=4).batch(0).sources, expected[0].sources)


@pytest.mark.parametrize("matched", [True, False])
@pytest.mark.parametrize("sizes", [(1, 1), (1, 4), (3, 3)])
def test_the_views_of_a_pair_are_of_one_source_and_share_no_question(
    build: Build, matched: bool, sizes: tuple[int, int]
) -> None:
    corpus = build(rows_of())
    draws = sampler(corpus, matched=matched, qa_per_view=sizes)
    for step in range(6):
        batch = draws.batch(step)
        assert len(batch) == 8
        for anchor, positive, source in zip(batch.anchors, batch.positives, batch.sources, strict=True):
            assert set(corpus.sources[np.concatenate([anchor, positive])]) == {source}
            assert not np.intersect1d(corpus.questions[anchor], corpus.questions[positive]).size
            assert len(np.unique(corpus.questions[anchor])) == len(anchor)
            assert sizes[0] <= len(anchor) <= sizes[1]


def test_matched_batches_hold_the_same_questions_for_several_sources(build: Build) -> None:
    batch = sampler(build(rows_of()), batch=4, block=4).batch(0)
    corpus_questions = [tuple(build(rows_of()).questions[view]) for view in batch.anchors]
    assert len(set(corpus_questions)) == 1
    assert len(set(batch.sources)) == 4


def test_rivals_are_the_sources_that_answered_the_same(build: Build) -> None:
    rows = rows_of(models=5)
    kept = [
        row
        for row in rows
        if row["model"] != rows[0]["model"] or row["question_id"] == rows[0]["question_id"]
    ]
    corpus = build(kept)
    for matched, sizes in ((True, (1, 1)), (True, (2, 2)), (False, (1, 1))):
        batch = sampler(
            corpus, batch=6, block=2, matched=matched, qa_per_view=sizes, overlap=not matched
        ).batch(0)
        for anchor, positive, rivals in zip(batch.anchors, batch.positives, batch.rivals, strict=True):
            asked = [
                set(corpus.sources[corpus.wordings == wording])
                for wording in corpus.wordings[np.concatenate([anchor, positive])]
            ]
            expected = set.intersection(*asked) if matched else set(range(len(corpus.source_names)))
            assert set(np.flatnonzero(rivals)) == expected


def test_without_common_questions_matching_says_so(build: Build) -> None:
    rows = [
        {**row, "question": f"{row['question']} {row['id']}", "question_id": row["id"]} for row in rows_of()
    ]
    with pytest.raises(DataError, match=r"views\.matched=false"):
        sampler(build(rows)).batch(0)


@pytest.mark.parametrize(("weigh", "expected"), [("rows", 12 / 13), ("questions", 2 / 3)])
def test_groups_weigh_by_their_rows_or_their_questions(build: Build, weigh: str, expected: float) -> None:
    """18 sources that answered 20 questions beside 3 that answered 10, drawn without balance."""
    large = rows_of(models=18, questions=20)
    small = [
        {
            **row,
            "model": f"b{row['model']}",
            "question": f"{row['question']} x",
            "question_id": f"b{row['question_id']}",
        }
        for row in rows_of(models=3, questions=10)
    ]
    corpus = build([*large, *small])
    of_large = [not name.startswith("b") for name in corpus.source_names]
    draws = sampler(corpus, batch=6, block=3, balance=0.0, weigh=weigh)
    sources = np.concatenate([draws.batch(step).sources for step in range(300)])
    assert np.mean([of_large[source] for source in sources]) == pytest.approx(expected, abs=0.06)


def test_balance_gives_groups_of_sources_equal_shares(build: Build) -> None:
    many = rows_of(models=3, questions=40)
    few = [
        {
            **row,
            "model": "b" + row["model"],
            "question": row["question"] + " x",
            "question_id": "b" + row["question_id"],
        }
        for row in rows_of(models=3, questions=5)
    ]
    corpus = build([*many, *few])
    small = {number for number, name in enumerate(corpus.source_names) if name.startswith("b")}

    def share(balance: float) -> float:
        draws = sampler(corpus, batch=6, block=3, balance=balance)
        sources = np.concatenate([draws.batch(step).sources for step in range(150)])
        return float(np.mean([source in small for source in sources]))

    assert share(0.0) == pytest.approx(5 / 45, abs=0.06)
    assert share(1.0) == pytest.approx(0.5, abs=0.08)


def test_parts_of_a_batch_are_the_batch(build: Build) -> None:
    batch = sampler(build(rows_of())).batch(0)
    parts: list[PairBatch] = [batch.part(rank, 3) for rank in range(3)]
    np.testing.assert_array_equal(np.concatenate([part.sources for part in parts]), batch.sources)
    rows = list(itertools.chain(*(part.anchors for part in parts)))
    assert all(map(np.array_equal, rows, batch.anchors))
