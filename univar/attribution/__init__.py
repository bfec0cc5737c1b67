"""Which labels an answer most likely has: the vote of its nearest rows, with the rows as evidence."""

from univar.attribution.answers import Witnesses, attribute_answers, store_encoder
from univar.attribution.vote import Attribution, attribute

__all__ = ["Attribution", "Witnesses", "attribute", "attribute_answers", "store_encoder"]
