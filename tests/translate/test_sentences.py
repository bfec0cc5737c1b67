"""A full stop inside a sentence does not end it, in any language; a true end does."""

from __future__ import annotations

import pytest

from univar.translate.sentences import MAX_CHARS, split

WHOLE = [
    "Dr. Smith met Mr. J. R. Brown of Washington, D.C. at noon.",
    "Some fruit, e.g. apples, costs approx. 3.5 euros, i.e. little.",
    "Use fig. 3, No. 5 and pp. 3-5.",
    "Well... I think so.",
    "Wait… Maybe.",
    '"Is it?" he asked.',
    "He came at 5 p.m. on Monday.",
    "Le Dr. Moreau et M. Petit le disent aussi, p. ex. au travail.",
    "Mme. Roux est née en 200 av. J.-C. et vit encore.",
    "Das gilt z. B. für Dr. Müller, bzw. am 3. Oktober, ca. 3,50 Euro.",
    "Im II. Weltkrieg war das so.",
    "El Sr. García y la Dra. López viven en EE. UU. hoy.",
    "Il sig. Rossi e la dott.ssa Bianchi dicono di no.",
    "Esim. tri. Virtanen sanoi niin.",
    "Np. prof. Kowalski mówi, że tak.",
    "Это сказал А. С. Пушкин, т. е. поэт, в г. Москве.",
    "Ο κ. Παπάς λέει ναι.",
    "د. أحمد قال ذلك.",
    "डॉ. शर्मा ने कहा।",
    "1. Les tenir.",
]
SPLIT = [
    ["He said no.", "Then he left.", "Really?", "Yes!"],
    ["It was in 1999.", "Then it ended."],
    ["See example.com.", "Then go."],
    ["Er kam.", "Dann ging er."],
    ["Это так.", "Да!", "Нет?"],
    ["هل هذا عدل؟", "نعم."],
    ["यह ठीक है।", "हाँ!"],
    ["i think so.", "yes.", "i don't.", "maybe."],  # a writer without capitals
    ["네 그렇습니다.", "아니요!"],
]


@pytest.mark.parametrize("sentence", WHOLE)
def test_a_sentence_stays_whole(sentence: str) -> None:
    assert split(sentence).sentences == [sentence]


@pytest.mark.parametrize("sentences", SPLIT)
def test_sentences_are_told_apart(sentences: list[str]) -> None:
    assert split(" ".join(sentences)).sentences == sentences


def test_unspaced_scripts_are_split_after_their_own_stops() -> None:
    assert split("第一句。第二句！3.5分？好……是的。").sentences == [
        "第一句。",
        "第二句！",
        "3.5分？",
        "好……是的。",
    ]
    assert split("はい。いいえ！").sentences == ["はい。", "いいえ！"]


def test_what_never_ends_is_cut_and_loses_nothing() -> None:
    text = "z. B. " * 300
    assert "".join(split(text).sentences).replace(" ", "") == text.replace(" ", "")
    assert max(map(len, split(text).sentences)) <= MAX_CHARS
