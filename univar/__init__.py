"""univar: turn what language models say into vectors of what they value.

>>> from univar import Encoder, Store, Index, attribute
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_LAZY = {
    "Encoder": "univar.encoder.encoder",
    "Store": "univar.store",
    "Index": "univar.search.index",
    "attribute": "univar.search.attribute",
    "embed": "univar.bulk",
    "info_nce": "univar.kernels.info_nce",
    "knn": "univar.search.knn",
}

__all__ = ["Encoder", "Index", "Store", "__version__", "attribute", "embed", "info_nce", "knn"]

if TYPE_CHECKING:
    from univar.bulk import embed
    from univar.encoder.encoder import Encoder
    from univar.kernels.info_nce import info_nce
    from univar.search.attribute import attribute
    from univar.search.index import Index
    from univar.search.knn import knn
    from univar.store import Store


def __getattr__(name: str) -> Any:
    """Import the heavy names on first use, so that `import univar` stays instant."""
    if name not in _LAZY:
        raise AttributeError(f"module 'univar' has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    """All names, those not yet imported too."""
    return sorted({*globals(), *_LAZY})
