"""Words of an index: which terms there are, that the block keeps likeness, and that it is read back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from univar.errors import DataError
from univar.search.words import Words, fit_words, terms

pytest.importorskip("sklearn", reason="words need scikit-learn")


def answers(n: int = 300, seed: int = 0) -> tuple[list[str], np.ndarray]:
    """Answers of three sources: common words, and a few that one source prefers."""
    rng = np.random.default_rng(seed)
    own = [["however", "moreover"], ["yeah", "well"], ["indeed", "surely"]]
    common = [f"word{i}" for i in range(80)]
    sources = rng.integers(0, 3, n)
    texts = []
    for source in sources.tolist():
        words = [*rng.choice(common, 12), *rng.choice(own[source], 3)]
        texts.append(" ".join(rng.permutation(words)))
    return texts, sources


def test_terms_are_words_and_their_pairs_in_lower_case() -> None:
    assert list(terms("I agree Fully")) == ["i", "agree", "i agree", "fully", "agree fully"]


def test_runs_of_signs_and_of_line_breaks_are_terms_too() -> None:
    assert list(terms("Yes!!\n\n- no")) == [
        "yes",
        "!!",
        "yes !!",
        "\n\n",
        "!! \n\n",
        "-",
        "\n\n -",
        "no",
        "- no",
    ]


def test_scripts_without_spaces_give_character_ngrams() -> None:
    assert list(terms("我同意")) == ["我同", "同意", "我同意"]
    assert list(terms("AI と 人間")) == ["ai", "人間"]
    assert "แต่" in set(terms("แต่ว่า"))


def test_korean_is_written_with_spaces() -> None:
    assert list(terms("나는 동의한다")) == ["나는", "동의한다", "나는 동의한다"]


def test_sources_that_prefer_words_lie_apart() -> None:
    texts, sources = answers()
    words = fit_words(texts[:200], dims=32)
    assert words is not None
    block = words.encode(texts)
    np.testing.assert_allclose(np.linalg.norm(block, axis=1), 1, atol=1e-5)
    likeness = block[200:] @ block[:200].T
    nearest = sources[:200][likeness.argmax(1)]
    assert np.mean(nearest == sources[200:]) > 0.7


def test_the_block_is_tfidf_on_its_own_axes() -> None:
    texts, _ = answers()
    words = fit_words(texts, dims=16)
    assert words is not None
    vectorizer = pytest.importorskip("sklearn.feature_extraction.text").TfidfVectorizer(
        analyzer=terms, sublinear_tf=True, vocabulary=words.terms
    )
    expected = vectorizer.fit_transform(texts)
    np.testing.assert_allclose(words.weigh(texts).toarray(), expected.toarray(), atol=1e-5)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    texts, _ = answers()
    words = fit_words(texts, dims=16)
    assert words is not None
    words.save(tmp_path)
    again = Words.load(tmp_path)
    np.testing.assert_array_equal(again.encode(texts), words.encode(texts))
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".npy", ".npy"]


@pytest.mark.parametrize("damage", ["short", "pickle", "missing"])
def test_damaged_files_are_told(tmp_path: Path, damage: str) -> None:
    texts, _ = answers()
    words = fit_words(texts, dims=16)
    assert words is not None
    words.save(tmp_path)
    if damage == "short":
        np.save(tmp_path / "words_idf.npy", words.idf[:-1])
    elif damage == "pickle":
        np.save(tmp_path / "words_idf.npy", np.array([{}], object), allow_pickle=True)
    else:
        (tmp_path / "words.json").unlink()
    with pytest.raises(DataError, match="words of the index"):
        Words.load(tmp_path)


@pytest.mark.parametrize("texts", [[], ["one"], ["a b", "c d"], [""] * 50])
def test_too_little_text_gives_no_block(texts: list[str]) -> None:
    assert fit_words(texts) is None


def test_a_text_without_a_known_term_is_zero() -> None:
    words = fit_words(answers()[0], dims=16)
    assert words is not None
    assert not words.encode(["zzz qqq", ""]).any()


def test_a_sample_is_drawn_with_the_seed() -> None:
    texts, _ = answers(400)
    first, second = (fit_words(texts, dims=16, sample=100, seed=seed) for seed in (0, 0))
    other = fit_words(texts, dims=16, sample=100, seed=1)
    assert first is not None
    assert second is not None
    assert other is not None
    assert first.terms == second.terms
    assert first.terms != other.terms


@pytest.mark.slow
def test_processes_that_share_the_rows_give_the_same_block() -> None:
    texts, _ = answers(9_000)
    words = fit_words(texts, dims=16, sample=500)
    assert words is not None
    np.testing.assert_array_equal(words.encode(texts, threads=2), words.encode(texts))


def test_a_question_s_own_words_are_left_out() -> None:
    texts, _ = answers(200)
    clusters = np.arange(200) // 4
    own = [f"{text} topic{cluster} topic{cluster}x" for text, cluster in zip(texts, clusters, strict=True)]
    words = fit_words(own, clusters, dims=16)
    assert words is not None
    assert not any(term.startswith("topic") for term in words.terms)
    assert "however" in words.terms
    without = fit_words(own, dims=16)
    assert without is not None
    assert any(term.startswith("topic") for term in without.terms)
