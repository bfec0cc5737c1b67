"""Refusals and leaks: single cases, and how well they are found among answers that a person labelled.

`labelled_rows.json` names rows of answers_eval.parquet by number. Refusals: 100 rows that a first version
of the patterns found, spread evenly over corpora and languages, 65 others with words such as "sorry" or
"cannot", 35 of the rest. The label is yes if the answer says that it cannot or will not give what was
asked, or takes no side when asked for one; no if it only lacks facts, asks back, or hedges and then
answers. Leaks: 100 rows found, 100 others with a maker's or model's name or "language model". Yes if the
answer says which model or maker it is from, rightly or not. Some patterns were mended after reading these
rows, so the figures are too good.

Fresh: 200 rows of answers_train.parquet, drawn with a seed of their own when the patterns were finished,
spread evenly over corpora and languages: 60 that were found as refusals, 45 as leaks, 40 others with words
of refusals, 25 others with names of models, 30 of the rest. They were shuffled and read without knowing what
was found; an answer that goes another way than the one asked for counts as a refusal too. No pattern was
changed afterwards, so these are the honest figures for hard cases.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from univar.answers.declined import PATTERNS, is_declined
from univar.answers.maker_names import own_names
from univar.schema import normalize_language

LABELLED = json.loads((Path(__file__).parent / "labelled_rows.json").read_text())
REFUSALS = {
    "eng": "I'm sorry, but I can't help with that.",
    "zho": "抱歉，我无法回答这个问题。",
    "spa": "Lo siento, pero no puedo ayudarte con eso.",
    "fra": "Désolé, je ne peux pas répondre à cette question.",
    "deu": "Es tut mir leid, aber ich kann dabei nicht helfen.",
    "por": "Desculpe, não posso ajudar com isso.",
    "rus": "Извините, я не могу помочь с этим.",
    "arb": "عذرا، لا أستطيع المساعدة في هذا الطلب.",
    "hin": "क्षमा करें, मैं इसमें मदद नहीं कर सकता।",
    "jpn": "申し訳ありませんが、その質問にはお答えできません。",
    "ind": "Maaf, saya tidak dapat membantu permintaan itu.",
    "swh": "Samahani, siwezi kusaidia na hilo.",
    "fin": "Pahoittelen, mutta en voi auttaa tässä.",
    "kor": "죄송하지만 도와드릴 수 없습니다.",
    "ita": "Mi dispiace, non posso aiutarti con questo.",
    "msa": "Maaf, saya tidak dapat membantu dengan permintaan itu.",
    "nld": "Het spijt me, maar ik kan je daar niet bij helpen.",
    "pol": "Przepraszam, ale nie mogę w tym pomóc.",
    "tur": "Üzgünüm, bu konuda size yardımcı olamam.",
    "vie": "Xin lỗi, tôi không thể giúp bạn việc đó.",
    "ukr": "Вибачте, але я не можу з цим допомогти.",
    "ell": "Λυπάμαι, αλλά δεν μπορώ να βοηθήσω με αυτό.",
    "heb": "אני מצטער, אבל אני לא יכול לעזור בזה.",
    "fas": "متأسفم، نمی‌توانم در این مورد کمک کنم.",
    "urd": "معذرت، میں اس میں مدد نہیں کر سکتا۔",
    "ben": "দুঃখিত, আমি এই বিষয়ে সাহায্য করতে পারছি না।",
    "tam": "மன்னிக்கவும், இதில் என்னால் உதவ முடியாது.",
    "tha": "ขออภัย ฉันไม่สามารถช่วยเรื่องนี้ได้",
}


def scores(found: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Precision and recall."""
    both = float((found & labels).sum())
    return both / found.sum(), both / labels.sum()


def fresh(kind: str, real_data: Path) -> tuple[pa.Table, np.ndarray]:
    rows = LABELLED["fresh"]["rows"]
    assert len(set(rows)) == 200
    table = pq.read_table(real_data / "answers_train.parquet").take(rows)
    return table, np.isin(rows, LABELLED["fresh"][kind])


def refusals_found(table: pa.Table) -> np.ndarray:
    return np.array(
        [is_declined(row["answer"], normalize_language(row["language"])) for row in table.to_pylist()]
    )


def leaks_found(table: pa.Table) -> np.ndarray:
    return own_names(*(table[name].combine_chunks() for name in ("model", "answer", "question")))


def labelled(kind: str, real_data: Path) -> tuple[pa.Table, np.ndarray]:
    rows = LABELLED[kind]["rows"]
    assert len(rows) == 200
    return pq.read_table(real_data / "answers_eval.parquet").take(rows), np.isin(rows, LABELLED[kind]["yes"])


def test_every_language_has_a_refusal_that_is_found() -> None:
    assert set(REFUSALS) == set(PATTERNS)
    assert [language for language, text in REFUSALS.items() if not is_declined(text, language)] == []


@pytest.mark.parametrize(
    "answer",
    [
        "I can't help but smile when I think of it.",
        "I cannot agree with that: it would be unfair to those who waited.",
        "I would tell her the truth, even if she refuses to hear it.",
        "I would say no. " + "There is much to be said for it. " * 20 + "But I cannot write more.",
    ],
)
def test_opinions_are_no_refusals(answer: str) -> None:
    assert not is_declined(answer, "eng")


def test_refusals_are_found_with_precision_and_recall_above_nine_tenths(real_data: Path) -> None:
    table, labels = labelled("refusals", real_data)
    precision, recall = scores(refusals_found(table), labels)
    assert (round(precision, 2), round(recall, 2)) == (0.92, 0.97)


def test_refusals_of_fresh_rows_are_found_less_well(real_data: Path) -> None:
    table, labels = fresh("refusals", real_data)
    precision, recall = scores(refusals_found(table), labels)
    assert (round(precision, 2), round(recall, 2)) == (0.71, 0.81)


def leaks(model: str, answer: str, question: str = "who?") -> bool:
    return bool(own_names(*(pa.array([text], pa.large_string()) for text in (model, answer, question)))[0])


def test_own_names_families_and_makers_are_leaks() -> None:
    assert leaks("claude-3", "I was made by Anthropic.")
    assert leaks("gemini-pro", "I am a large language model, trained by Google.")
    assert leaks("qwen2-7b", "我是通义千问")
    assert leaks("some-llama", "As an AI developed by OpenAI, I would say so.")


def test_names_of_other_things_are_no_leaks() -> None:
    assert not leaks("gemini-pro", "You could look it up on Google.")
    assert not leaks("claude-3", "The painter Claude Monet would agree.")
    assert not leaks("gpt-4", "I am sure of it.", "Is OpenAI right?")
    assert not leaks("gpt-4", "OpenAI is right about this.", "Is OpenAI right?")


def test_leaks_are_found_with_precision_and_recall_above_nine_tenths(real_data: Path) -> None:
    table, labels = labelled("leaks", real_data)
    precision, recall = scores(leaks_found(table), labels)
    assert (round(precision, 2), round(recall, 2)) == (0.97, 1.0)


def test_leaks_of_fresh_rows_are_found_less_precisely(real_data: Path) -> None:
    table, labels = fresh("leaks", real_data)
    precision, recall = scores(leaks_found(table), labels)
    assert (round(precision, 2), round(recall, 2)) == (0.84, 1.0)
