"""What a dtype of the forward costs and brings on this machine, measured beside fp32 on the CPU."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from univar import runtime
from univar.encoder.config import read_config
from univar.encoder.encoder import Encoder
from univar.encoder.spec import resolve

ROUNDS = 3


def measure_dtype(spec: str | Path, dtype: str, texts: Sequence[str]) -> dict[str, Any]:
    """How near `dtype` comes to fp32 on `texts`, and how fast it is beside fp32 and the default; JSON-ready.

    Each dtype passes the same tokens `ROUNDS` times in one thread, the dtypes one after the other within a
    round; speeds are ratios of the medians of CPU time.

    encoder, dtype, texts, tokens:  what was measured
    runs:                           {dtype: instruction set of the forward, or "torch"}
    lowest_cosine, median_cosine:   of each text's embedding to its fp32 embedding
    speed:                          {dtype: times fp32's}
    Raises UsageError, DataError or ProviderError as `Encoder` does.
    """
    device = runtime.choose_device("cpu")
    config = read_config(resolve(spec).folder)
    default = runtime.choose_dtype("auto", device).chosen
    encoders = {
        name: Encoder(spec, dtype=name, device="cpu", threads=1)
        for name in dict.fromkeys(("fp32", default, dtype))
    }
    ids, cu_seqlens = encoders[dtype].tokenize(texts)
    embeddings: dict[str, np.ndarray] = {}
    seconds: dict[str, list[float]] = {name: [] for name in encoders}
    for _ in range(ROUNDS):
        for name, encoder in encoders.items():
            began = time.process_time()
            embeddings[name] = encoder.forward_packed(ids, cu_seqlens)
            seconds[name].append(time.process_time() - began)
    cosines = (embeddings[dtype] * embeddings["fp32"]).sum(axis=1, dtype=np.float64)
    medians = {name: max(statistics.median(values), 1e-9) for name, values in seconds.items()}
    return {
        "encoder": str(spec),
        "dtype": dtype,
        "texts": len(texts),
        "tokens": len(ids),
        "runs": {name: runtime.choose_forward(device, name, config).chosen for name in encoders},
        "lowest_cosine": round(float(cosines.min()), 6),
        "median_cosine": round(float(np.median(cosines)), 6),
        "speed": {name: round(medians["fp32"] / value, 2) for name, value in medians.items()},
    }
