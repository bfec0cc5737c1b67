"""Nearest rows of a store, exact or through FAISS, and what their votes say of an answer's source."""

from univar.search.answers import Attributor, attribute_answers, store_encoder
from univar.search.index import IVF_FROM_ROWS, TYPES, Index
from univar.search.vote import Attribution, attribute

__all__ = [
    "IVF_FROM_ROWS",
    "TYPES",
    "Attribution",
    "Attributor",
    "Index",
    "attribute",
    "attribute_answers",
    "store_encoder",
]
