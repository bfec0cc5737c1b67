"""univar: turn what language models say into vectors of what they value.

>>> from univar import Encoder, Store, Index, attribute
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_LAZY = {
    "Encoder": "univar.model.encoder",
    "Store": "univar.store",
    "Index": "univar.index",
    "attribute": "univar.attribution",
    "embed": "univar.engine",
    "info_nce": "univar.kernels.info_nce",
    "knn": "univar.index.knn",
}

__all__ = ["Encoder", "Index", "Store", "__version__", "attribute", "embed", "info_nce", "knn"]

if TYPE_CHECKING:
    from univar.attribution import attribute
    from univar.engine import embed
    from univar.index import Index
    from univar.index.knn import knn
    from univar.kernels.info_nce import info_nce
    from univar.model.encoder import Encoder
    from univar.store import Store


def __getattr__(name: str) -> Any:
    """Import the heavy names on first use, so that `import univar` stays instant."""
    if name not in _LAZY:
        raise AttributeError(f"module 'univar' has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)
