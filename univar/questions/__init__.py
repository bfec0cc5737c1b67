"""The question bank: value-eliciting questions and controls, shipped ones and those of a user's file."""

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
