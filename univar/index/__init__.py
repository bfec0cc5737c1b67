"""Nearest rows of a store: exact, or through FAISS; deterministic order, cached inside the store."""

from univar.index.index import IVF_FROM_ROWS, TYPES, Index

__all__ = ["IVF_FROM_ROWS", "TYPES", "Index"]
