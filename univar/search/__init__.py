"""The nearest rows of a store, exact or through FAISS, and where an answer came from by their votes.

`univar.search.attribute` is the function here; `from univar.search.attribute import ...` reaches its module.
"""

from univar.search.attribute import Attribution, Attributor, attribute, attribute_answers, store_encoder
from univar.search.index import IVF_FROM_ROWS, TYPES, Index

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
