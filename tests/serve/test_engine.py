"""Batches of many requests, turns, cancellation, and what happens when the encoder fails."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from tests.serve.conftest import tiny_encoder as tiny_encoder
from tests.serve.conftest import until
from tests.serve.encoders import Controlled
from univar.encoder.encoder import Encoder
from univar.encoder.reading import PAPER
from univar.errors import DataError
from univar.serve.engine import Engine
from univar.serve.work import EngineFault, checked

LONG = "we care for the law " * 4


@pytest.fixture
def encoder(tiny_encoder: Encoder) -> Controlled:
    return Controlled(tiny_encoder)


@pytest.fixture
def engine(encoder: Controlled) -> Iterator[Engine]:
    engine = Engine(encoder, 256)  # type: ignore[arg-type]
    yield engine
    encoder.go.set()
    engine.close(10)
    assert not engine._thread.is_alive()


def held(engine: Engine, encoder: Controlled) -> None:
    """Let the engine stand in a batch of one text."""
    encoder.go.clear()
    encoder.begun.clear()
    engine.submit([""], ["we"])
    assert encoder.begun.wait(10)


def test_requests_share_batches_and_get_their_own_vectors(
    engine: Engine, encoder: Controlled, tiny_encoder: Encoder
) -> None:
    held(engine, encoder)
    texts = [[f"we care {n}", "law " * (n + 1)] for n in range(30)]
    jobs = [engine.submit(["why ?", ""], pair) for pair in texts]
    encoder.go.set()
    for pair, job in zip(texts, jobs, strict=True):
        found = job.future.result(20)
        expected = tiny_encoder.encode_qa(["why ?", ""], pair)
        assert (found.vectors * expected).sum(axis=1).min() > 0.99999
        assert found.answer_tokens.tolist() == found.read.tolist()
    assert len(encoder.texts) < 20  # 31 requests
    assert sum(encoder.texts) == 61
    until(lambda: engine.load.requests == 0)
    assert engine.load.tokens == 0


def test_answers_are_read_in_pieces_and_as_the_paper_does(engine: Engine, tiny_encoder: Encoder) -> None:
    long = " ".join(f"we care {n} ." for n in range(100))
    found = engine.submit(["why ?"], [long]).future.result(20)
    assert (found.vectors @ tiny_encoder.encode_qa(["why ?"], [long]).T).item() > 0.99999
    cut = engine.submit(["why ?"], [long], PAPER).future.result(20)
    assert (cut.vectors @ tiny_encoder.encode([f"Q: why ? A: {long}"]).T).item() > 0.99999
    assert cut.cut == [0]


def test_a_long_request_lets_others_pass(engine: Engine, encoder: Controlled) -> None:
    held(engine, encoder)
    long = engine.submit([""] * 40, [LONG] * 40)
    short = engine.submit([""], ["they speak"])
    done: list[str] = []
    long.future.add_done_callback(lambda _: done.append("long"))
    short.future.add_done_callback(lambda _: done.append("short"))
    encoder.go.set()
    assert long.future.result(20).vectors.shape == (40, 32)
    assert done == ["short", "long"]
    assert max(encoder.texts) <= 256 // len(encoder.tokenize([LONG])[0]) + 1  # + 1: the short one


def test_who_meets_the_end_of_a_batch_stays_in_front(engine: Engine, encoder: Controlled) -> None:
    held(engine, encoder)
    done: list[int] = []
    jobs = [engine.submit([""] * 3, [LONG] * 3) for _ in range(12)]  # 90 tokens of 256 each
    for number, job in enumerate(jobs):
        job.future.add_done_callback(lambda _, number=number: done.append(number))
    encoder.go.set()
    for job in jobs:
        job.future.result(20)
    assert done == sorted(done)


def test_a_slow_machine_gets_smaller_batches(encoder: Controlled) -> None:
    engine = Engine(encoder)  # type: ignore[arg-type]
    held(engine, encoder)
    job = engine.submit([""] * 40, [LONG] * 40)
    engine._count = lambda pieces, tokens, seconds: None  # type: ignore[method-assign]
    engine.load.tokens_per_s = 90.0  # 180 tokens in two seconds
    encoder.go.set()
    job.future.result(20)
    tokens = len(encoder.tokenize([LONG])[0])
    assert max(encoder.texts[1:]) == 180 // tokens
    engine.close(10)


def test_what_nobody_waits_for_is_not_embedded(engine: Engine, encoder: Controlled) -> None:
    held(engine, encoder)
    dropped = [engine.submit([""], ["we care"]) for _ in range(5)]
    kept = engine.submit([""], ["they speak"])
    for job in dropped:
        assert job.future.cancel()
    encoder.go.set()
    kept.future.result(20)
    assert sum(encoder.texts) == 2
    until(lambda: engine.load.requests == 0)
    assert engine.load.tokens == 0


def test_a_request_that_is_left_halfway_stops(engine: Engine, encoder: Controlled) -> None:
    encoder.go.clear()
    job = engine.submit([""] * 200, [LONG] * 200)
    assert encoder.begun.wait(10)
    job.future.cancel()
    encoder.go.set()
    until(lambda: engine.load.requests == 0)
    assert len(encoder.texts) == 1
    assert engine.load.tokens == 0


def test_a_text_without_tokens_fails_alone(engine: Engine, encoder: Controlled) -> None:
    held(engine, encoder)
    bad, good = engine.submit(["", ""], ["we", "\u200b"]), engine.submit([""], ["we"])
    encoder.go.set()
    with pytest.raises(DataError, match="text 1 "):
        bad.future.result(20)
    assert good.future.result(20).vectors.shape == (1, 32)
    until(lambda: engine.load.requests == 0)


def test_the_first_come_before_the_others(engine: Engine, encoder: Controlled) -> None:
    held(engine, encoder)
    done: list[int] = []
    for number in range(40):
        job = engine.submit([""], [LONG])
        job.future.add_done_callback(lambda _, number=number: done.append(number))
    first = engine.submit([""], ["we"], first=True)
    first.future.add_done_callback(lambda _: done.append(-1))
    encoder.go.set()
    until(lambda: len(done) == 41)
    assert -1 in done[:13]  # of the first batch


@pytest.mark.parametrize("fault", ["nan", "short", "raise"])
def test_no_wrong_vector_is_answered_and_a_broken_encoder_ends_it(
    engine: Engine, encoder: Controlled, fault: str
) -> None:
    held(engine, encoder)
    encoder.fault = fault
    job = engine.submit([""], ["we care"])
    encoder.go.set()
    with pytest.raises(EngineFault) as error:
        job.future.result(20)
    assert "own words" not in str(error.value)
    until(engine.broken.is_set)
    assert not engine.is_alive
    with pytest.raises(EngineFault):
        engine.submit([""], ["we"])


def test_one_failure_of_a_sound_encoder_ends_nothing(
    engine: Engine, encoder: Controlled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoder, "encode_qa", encoder._encoder.encode_qa)
    encoder.fault = "raise"
    with pytest.raises(EngineFault):
        engine.submit([""], ["we care"]).future.result(20)
    encoder.fault = None
    assert engine.submit([""], ["we care"]).future.result(20).vectors.shape == (1, 32)
    assert engine.is_alive
    until(lambda: engine.load.requests == 0)


def test_an_encoder_that_is_broken_from_the_start_is_not_served(encoder: Controlled) -> None:
    encoder.fault = "nan"
    with pytest.raises(EngineFault, match="length nan"):
        Engine(encoder)  # type: ignore[arg-type]


def test_closing_finishes_what_waits(encoder: Controlled) -> None:
    engine = Engine(encoder, 256)  # type: ignore[arg-type]
    jobs = [engine.submit([""], [f"we care {n}"]) for n in range(50)]
    engine.close(20)
    assert all(job.future.result(0).vectors.shape == (1, 32) for job in jobs)
    with pytest.raises(EngineFault, match="stopping"):
        engine.submit([""], ["we"])


def test_vectors_are_checked() -> None:
    fine = np.array([[0.6, 0.8], [1.0, 0.0]], np.float32)
    assert checked(fine) is fine
    for bad in (0.0, np.nan, np.inf, 1.01):
        with pytest.raises(EngineFault):
            checked(np.array([[1.0, 0.0], [bad, 0.0]], np.float32))
