"""Texts to embeddings, tokenisation included: univar beside sentence-transformers, OpenVINO and onnxruntime.

Peers other than sentence-transformers get texts sorted by length, batches of 32 and the fast tokenizer. All
have the same texts, limit in tokens and number of threads.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import encoder_peers as peers
from benchmarks.conftest import THREADS, Measure
from univar.encoder.spec import is_installed, resolve
from univar.encoder.tokenizer import load_tokenizer

TEXTS, MAX_LENGTH = 128, 256
LEAST_COSINE = {"fp32": 0.99999, "bf16": 0.999, "int8": 0.99, "sentence-transformers bf16": 0.995}
"""To float32, by precision; sentence-transformers also pools and normalises in bf16."""

IMPLS: dict[str, tuple[str, Callable[[peers.Setting], peers.Contender]]] = {
    "univar bf16": ("univar", lambda setting: peers.univar_contenders(setting, ("bf16",))[0]),
    "univar fp32": ("univar", lambda setting: peers.univar_contenders(setting, ("fp32",))[0]),
    "univar int8": ("univar", lambda setting: peers.univar_contenders(setting, ("int8",))[0]),
    "packed torch bf16": ("torch", peers.packed_torch_contender),
    "sentence-transformers fp32": (
        "sentence_transformers",
        lambda setting: peers.sentence_transformers_contenders(setting)[0],
    ),
    "sentence-transformers bf16": (
        "sentence_transformers",
        lambda setting: peers.sentence_transformers_contenders(setting)[1],
    ),
    "openvino bf16": ("openvino", lambda setting: peers.openvino_contenders(setting)[-1]),
    "onnxruntime fp32": ("onnxruntime", lambda setting: peers.onnxruntime_contenders(setting)[0]),
}


@pytest.fixture(scope="session")
def setting(minilm: Path) -> peers.Setting:
    """What is the same for all."""
    torch.set_num_threads(THREADS)
    return peers.Setting(minilm, MAX_LENGTH, THREADS)


MPNET_IMPLS = ("univar bf16", "univar fp32", "sentence-transformers fp32", "sentence-transformers bf16")
"""int8 and OpenVINO's graph are for BERT."""

MPNET_TEXTS = 32


@pytest.fixture(scope="session")
def exact(setting: peers.Setting, texts: list[str]) -> np.ndarray:
    """Embeddings (N, D) in float32 by torch's own operations."""
    return peers.packed_torch_contender(setting, "fp32").encode(texts[:TEXTS])


@pytest.fixture(scope="session")
def mpnet() -> peers.Setting:
    """The larger encoder, 768 dims and 12 layers."""
    if not is_installed("mpnet"):
        pytest.skip("the encoder needs the extra [mpnet]")
    torch.set_num_threads(THREADS)
    return peers.Setting(resolve("mpnet").folder, MAX_LENGTH, THREADS)


@pytest.fixture(scope="session")
def exact_mpnet(mpnet: peers.Setting, texts: list[str]) -> np.ndarray:
    """Its embeddings (N, D) in float32 by torch's own operations."""
    return peers.packed_torch_contender(mpnet, "fp32").encode(texts[:MPNET_TEXTS])


@pytest.mark.parametrize("impl", IMPLS)
def test_embed(
    impl: str, setting: peers.Setting, exact: np.ndarray, texts: list[str], measure: Measure
) -> None:
    measure_embedding("MiniLM", impl, setting, exact, texts[:TEXTS], measure)


@pytest.mark.parametrize("impl", MPNET_IMPLS)
def test_embed_mpnet(
    impl: str, mpnet: peers.Setting, exact_mpnet: np.ndarray, texts: list[str], measure: Measure
) -> None:
    measure_embedding("MPNet-base", impl, mpnet, exact_mpnet, texts[:MPNET_TEXTS], measure)


def measure_embedding(
    encoder: str, impl: str, setting: peers.Setting, exact: np.ndarray, given: list[str], measure: Measure
) -> None:
    """Measure one implementation, after its vectors were compared with the exact ones."""
    package, make = IMPLS[impl]
    pytest.importorskip(package, reason=f"{package} is in the extra [bench]")
    contender = make(setting)
    cosines = (contender.encode(given) * exact).sum(axis=1)
    assert cosines.min() > LEAST_COSINE.get(impl, LEAST_COSINE[impl[-4:]])
    tokens = len(load_tokenizer(setting.folder, MAX_LENGTH).encode(given).ids)
    measure(
        f"embed {encoder}, {MAX_LENGTH} tokens",
        lambda: contender.encode(given),
        tokens=tokens,
        texts=len(given),
        least_cosine=float(cosines.min()),
    )
