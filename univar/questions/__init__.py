"""Questions that elicit values, and controls: the shipped bank and files of users."""

from univar.questions.bank import CORE_LANGUAGES, Question, load_bank, passages, sample, select
from univar.questions.files import SETS, gather, read_questions, write_questions

__all__ = [
    "CORE_LANGUAGES",
    "SETS",
    "Question",
    "gather",
    "load_bank",
    "passages",
    "read_questions",
    "sample",
    "select",
    "write_questions",
]
