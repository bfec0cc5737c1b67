"""A forward on threads of its own: every row once, the same bits whatever the threads, and it can stop."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from tests.csrc.conftest import skip_without
from tests.csrc.forward_twin import make_shape, make_texts, make_weights
from univar._native import Forward, ForwardPool, ForwardRun, WordPiece, usable_cpus
from univar.encoder.tokenizer import text_buffers

LENGTHS = [int(n) for n in np.random.default_rng(0).integers(1, 300, 60)]


@pytest.fixture(scope="module", params=["fp32", "bf16", "int8"])
def model(request: pytest.FixtureRequest) -> Forward:
    if request.param != "fp32":
        skip_without(request.param, "avx512")
    shape = make_shape(dim=64, heads=2, intermediate=64)
    return Forward(shape, make_weights(shape), request.param)


def embed(model: Forward, threads: int, lengths: list[int]) -> np.ndarray:
    ids, cu_seqlens = make_texts(make_shape(), lengths)
    run = ForwardPool(model, threads).start(ids, cu_seqlens.astype(np.int64))
    out = np.full((len(lengths), 64), np.nan, np.float32)
    seen: list[int] = []
    while (rows := run.take()) is not None:
        out[rows] = run.embeddings[rows]
        seen.extend(rows)
    assert sorted(seen) == list(range(len(lengths)))
    return out


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_and_blocks_do_not_change_a_bit(model: Forward, threads: int) -> None:
    expected = model.run(*make_texts(make_shape(), LENGTHS))
    np.testing.assert_array_equal(embed(model, threads, LENGTHS), expected)


def test_every_run_gives_the_same_bits(model: Forward) -> None:
    first = embed(model, 3, LENGTHS)
    for _ in range(3):
        np.testing.assert_array_equal(embed(model, 3, LENGTHS), first)


@pytest.mark.parametrize("lengths", [[], [1], [600], [1] * 100])
def test_few_and_short_texts(model: Forward, lengths: list[int]) -> None:
    np.testing.assert_array_equal(embed(model, 2, lengths), model.run(*make_texts(make_shape(), lengths)))


def test_a_run_that_is_dropped_stops_and_the_next_one_works(model: Forward) -> None:
    ids, cu_seqlens = make_texts(make_shape(), LENGTHS * 5)
    pool = ForwardPool(model, 2)
    run = pool.start(ids, cu_seqlens.astype(np.int64))
    assert run.take() is not None
    del run
    again = pool.start(ids[: cu_seqlens[3]], cu_seqlens[:4].astype(np.int64))
    rows = []
    while (more := again.take()) is not None:
        rows.extend(more)
    assert sorted(rows) == [0, 1, 2]


def test_two_runs_at_once_share_the_threads(model: Forward) -> None:
    ids, cu_seqlens = make_texts(make_shape(), LENGTHS)
    pool = ForwardPool(model, 2)
    runs = [pool.start(ids, cu_seqlens.astype(np.int64)) for _ in range(2)]
    for run in reversed(runs):
        while run.take() is not None:
            pass
    np.testing.assert_array_equal(runs[0].embeddings, runs[1].embeddings)


def test_texts_that_do_not_fit_are_refused(model: Forward) -> None:
    with pytest.raises(ValueError, match="text 0 has 0 tokens"):
        ForwardPool(model, 1).start(np.zeros(2, np.int32), np.array([0, 0, 2]))


def test_no_threads_are_refused(model: Forward) -> None:
    with pytest.raises(ValueError, match="threads"):
        ForwardPool(model, 0)


def test_this_process_may_use_a_processor() -> None:
    assert usable_cpus() >= 1


@pytest.fixture(scope="module")
def tokenizer() -> WordPiece:
    letters = "abcdefghijklmnopqrstuvwxyz"
    pieces = ["[UNK]", "[CLS]", "[SEP]", *letters[:20], *(f"##{letter}" for letter in letters[:20])]
    return WordPiece(pieces)


TEXTS = ["", "a", *("ab cd e" * n for n in range(1, 200)), "x y"]


def embed_texts(model: Forward, tokenizer: WordPiece, threads: int) -> ForwardRun:
    offsets, data = text_buffers(TEXTS)
    run = ForwardPool(model, threads).embed(tokenizer, offsets, data, max_length=100)
    while run.take() is not None:
        pass
    return run


@pytest.mark.parametrize("threads", [1, 3])
def test_texts_embed_as_their_tokens_do(model: Forward, tokenizer: WordPiece, threads: int) -> None:
    ids, cu_seqlens, truncated = tokenizer.encode(*text_buffers(TEXTS), max_length=100, threads=1)
    run = embed_texts(model, tokenizer, threads)
    np.testing.assert_array_equal(run.embeddings, model.run(ids, cu_seqlens.astype(np.int32)))
    np.testing.assert_array_equal(run.n_tokens, np.diff(cu_seqlens))
    np.testing.assert_array_equal(run.truncated, truncated)
    assert truncated.any()


def test_a_tokenizer_of_another_model_is_an_error_not_a_crash(model: Forward) -> None:
    pieces = ["[UNK]", "[CLS]", "[SEP]", *(chr(ord("a") + i) for i in range(26)), *map(str, range(40))]
    run = ForwardPool(model, 2).embed(WordPiece(pieces), *text_buffers(["a b", "39"]), max_length=10)
    with pytest.raises(ValueError, match="not in the model's vocabulary of 50"):
        while run.take() is not None:
            pass


def test_a_limit_beyond_the_model_is_refused(model: Forward, tokenizer: WordPiece) -> None:
    with pytest.raises(ValueError, match=r"max_length must be in 3\.\.600"):
        ForwardPool(model, 1).embed(tokenizer, *text_buffers(TEXTS), max_length=601)


def affinities() -> dict[int, set[int]]:
    """Processors that each thread of this process may use."""
    return {int(task): os.sched_getaffinity(int(task)) for task in os.listdir("/proc/self/task")}


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are looked up in /proc")
def test_as_many_threads_as_processors_have_one_each(model: Forward) -> None:
    before, cpus = affinities(), os.sched_getaffinity(0)
    pool = ForwardPool(model, len(cpus))
    one = ForwardPool(model, len(cpus) + 1)
    new = [allowed for task, allowed in affinities().items() if task not in before]
    assert all(allowed == before[task] for task, allowed in affinities().items() if task in before)
    del pool, one
    alone = [allowed for allowed in new if len(allowed) == 1]
    if len(cpus) > 1:
        assert set().union(*alone) == cpus
        assert len(alone) == len(cpus)
