"""Cut-off, declined and loop flags: how well they do on labelled answers, and one case for each script."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from tests.answers.flags import scores
from univar.answers import faults
from univar.answers.declined import is_declined
from univar.answers.endings import has_no_end
from univar.answers.loops import is_loop

SENTENCES = {
    "arb": "أعتقد أن من الأفضل أن نقول الحقيقة دائما لأصدقائنا.",
    "fas": "به نظر من بهتر است همیشه به دوستان حقیقت را بگوییم.",
    "urd": "میرے خیال میں دوستوں سے ہمیشہ سچ بولنا بہتر ہے۔",
    "heb": "אני חושב שעדיף תמיד לומר לחברים את האמת.",
    "rus": "Я думаю, что друзьям всегда лучше говорить правду.",
    "ell": "Νομίζω ότι είναι καλύτερο να λέμε πάντα την αλήθεια στους φίλους.",
    "hin": "मुझे लगता है कि दोस्तों से हमेशा सच बोलना बेहतर है।",
    "ben": "আমি মনে করি বন্ধুদের সবসময় সত্য বলা ভালো।",
    "tam": "நண்பர்களிடம் எப்போதும் உண்மையைச் சொல்வது நல்லது என்று நினைக்கிறேன்.",
    "kor": "친구에게는 언제나 진실을 말하는 것이 더 낫다고 생각합니다.",
    "jpn": "友人にはいつも本当のことを言うほうがよいと思います。",
    "zho": "我认为对朋友永远说真话比较好。",
    "hye": "Կարծում եմ, որ ընկերներին միշտ պետք է ճշմարտությունն ասել։",
    "amh": "ለጓደኞች ሁልጊዜ እውነቱን መናገር የተሻለ ይመስለኛል።",
    "kat": "ვფიქრობ, რომ მეგობრებს ყოველთვის სიმართლე უნდა ვუთხრათ.",
    "khm": "ខ្ញុំគិតថាការនិយាយការពិតជាមួយមិត្តភក្តិគឺល្អ។",
    "spa": "Creo que siempre es mejor decir la verdad a los amigos.",
}
"""One sentence of each language, with its end."""

WITHOUT_STOPS = {"tha": "ฉันคิดว่าการพูดความจริงกับเพื่อนเสมอเป็นสิ่งที่ดีกว่า ", "lao": "ຂ້ອຍຄິດວ່າການເວົ້າຄວາມຈິງກັບໝູ່ດີກວ່າ "}


def long_answer(language: str) -> str:
    """Several different sentences, of at least 200 letters of an alphabet."""
    sentence = SENTENCES[language]
    return " ".join(f"{number}) {sentence}" for number in range(1, 8))


def test_flags_on_labelled_answers(real_data: Path) -> None:
    """(found rightly, found wrongly, missed), as printed in docs/answers.md."""
    assert scores(real_data) == {
        "latin": {"cut_off": (24, 1, 5), "declined": (20, 2, 1), "loops": (10, 1, 1)},
        "cjk": {"cut_off": (20, 0, 3), "declined": (18, 5, 3), "loops": (8, 0, 0)},
    }


@pytest.mark.parametrize("language", SENTENCES)
def test_a_whole_answer_is_not_cut_off_and_half_of_one_is(language: str) -> None:
    answer = long_answer(language)
    assert not has_no_end(answer)
    assert has_no_end(answer[: -len(SENTENCES[language]) // 3])
    assert not has_no_end(SENTENCES[language][:-1])  # a short answer may go without a stop


@pytest.mark.parametrize("language", WITHOUT_STOPS)
def test_scripts_without_stops_are_cut_off_only_where_it_shows(language: str) -> None:
    answer = WITHOUT_STOPS[language] * 8
    assert not has_no_end(answer)
    assert has_no_end(answer + "\ufffd")
    assert has_no_end(answer + "\n3.")


@pytest.mark.parametrize("language", [*SENTENCES, *WITHOUT_STOPS])
def test_a_loop_is_found_in_every_script(language: str) -> None:
    sentence = {**SENTENCES, **WITHOUT_STOPS}[language]
    words = sentence.split() if " " in sentence.strip() else [sentence[:6], sentence[6:]]
    assert is_loop(" ".join(words[:2] * 15))
    assert is_loop(f"{sentence} {' '.join(words[:2]) * 20} x")
    assert is_loop(f"{sentence}\n" * 8 + words[0])
    assert not is_loop(sentence)
    assert not is_loop(f"{sentence} {sentence}")


@pytest.mark.parametrize(
    "tail",
    [
        "We need to make sure that the",
        "and it is important to respect",
        "These are the reasons:",
        "First, we should consider the costs, the benefits,",
        "\n\nFinally, the",
        "\n4.",
        "\n-",
        "\n5. In",
        "\nf(x) = sum(a, b, (c",
        "self-",
        "“",
    ],
)
def test_endings_that_go_on(tail: str) -> None:
    assert has_no_end("It is right to tell the truth, and friends deserve it. " * 5 + tail)


@pytest.mark.parametrize(
    "tail",
    [
        "Tell the truth! 😊",
        "（本文纯属虚构）",
        "See https://example.org/a/long/path/to/some/page",
        "#Truth #Honesty #Friends",
        "\n\nSincerely,\nThe Committee for Truth and Honesty in Public Life",
        "\n- respect for everyone who asks for it\n- honesty in every single thing we do",
        "\n\n—— to all those who still look for the truth among friends",
        "\n\nTHE END",
        "\n（完）",
        "\n| a | b |",
        "\n```",
        "\nBest wishes",
    ],
)
def test_endings_that_are_ends(tail: str) -> None:
    assert not has_no_end("It is right to tell the truth, and friends deserve it. " * 5 + tail)


@pytest.mark.parametrize(
    "text",
    [
        "I had a dream.\n" * 12,
        "".join(f"{number}. I had a dream\n" for number in range(20)),
        "Start. " + "| " * 400 + "\nend of it",
        "🎉" * 700,
        "So it goes, " + "forever and " * 20 + "then it stops here with other words.",
        "The committee met in the old town hall and talked about the budget of next year.\n" * 3
        + "Then it left.",
    ],
)
def test_more_kinds_of_loops(text: str) -> None:
    assert is_loop(text)


@pytest.mark.parametrize(
    "text",
    [
        "Never gonna give you up, never gonna let you down, never gonna run around. Never gonna say goodbye.",
        "| team | score |\n|---|---|\n"
        + "".join(f"| Rovers against United | {n}-{n * 3 % 7} |\n" for n in range(12)),
        "+----+----+----+\n" * 3 + "| 1  | 2  | 3  |\n" + "+----+----+----+\n" * 3,
        "x = [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]",
        "\n".join(f"Question {number}: what would you do?" for number in range(4)),
    ],
)
def test_what_repeats_for_a_reason_is_no_loop(text: str) -> None:
    assert not is_loop(text)


def test_declined_is_told_by_language_and_not_by_a_word_alone() -> None:
    assert not any(is_declined(sentence, language) for language, sentence in SENTENCES.items())
    assert is_declined("抱歉，我無法協助您完成這個請求。", "zho")
    assert is_declined("آسف، لا يمكنني المساعدة في ذلك.", "ary")


def test_short_is_counted_in_letters_of_an_alphabet() -> None:
    short = ["是的。", "はい。", "네.", "Yes.", "हाँ।", "כן.", "Да."]
    long = ["不应该，诚实。", "正直が一番。", "아니요, 정직이 낫죠.", "Honesty matters.", "सच बोलना अच्छा है।"]
    assert faults.short(pa.array(short + long)).tolist() == [True] * len(short) + [False] * len(long)
