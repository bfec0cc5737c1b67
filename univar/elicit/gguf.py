"""A GGUF file served by llama.cpp inside this process, on a loopback port that needs a one-time key."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from univar.elicit.config import Key
from univar.elicit.requests import ModelEntry
from univar.errors import DataError, UsageError

CONTEXT_TOKENS = 2048
"""Context of one request: prompt and answer together."""

_PACKAGE = "package:"


@contextmanager
def served(model: ModelEntry) -> Iterator[ModelEntry]:
    """Load and serve `model` while the context lasts; yields the same model as an endpoint.

    Raises UsageError if llama.cpp is not installed, DataError if it cannot load the file.
    """
    key = secrets.token_hex(16)
    server = _load(model, key)
    yield replace(
        model, api="openai", url=f"{server.listening_address}/v1", key=Key(key), model=Path(model.model).stem
    )
    del server


def _load(model: ModelEntry, key: str) -> Any:
    try:
        import xllamacpp
    except ImportError:
        raise UsageError("api = \"gguf\" needs llama.cpp: pip install 'univar-embed[gguf]'") from None
    path = _file(model)
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(path)
    parameters.n_parallel = model.concurrency
    parameters.n_ctx = model.concurrency * model.options.get("context_tokens", CONTEXT_TOKENS)
    parameters.n_threads_http = model.concurrency + 1
    parameters.api_keys = [key]
    parameters.ui = parameters.warmup = False
    parameters.verbosity = -1
    for cores in (parameters.cpuparams, parameters.cpuparams_batch):
        cores.poll = 0  # waiting threads must not keep cores busy
        cores.n_threads = model.options.get("threads", cores.n_threads)
    if "gpu_layers" in model.options:
        parameters.n_gpu_layers = model.options["gpu_layers"]
    try:
        return xllamacpp.Server(parameters)
    except (RuntimeError, ValueError) as error:
        raise DataError(f"model {model.name!r}: llama.cpp cannot load {path} ({error})") from None


def _file(model: ModelEntry) -> Path:
    """The GGUF file: a path, or `package:NAME/FILE` for one inside an installed package."""
    name = model.model
    if name.startswith(_PACKAGE):
        package, _, file = name.removeprefix(_PACKAGE).partition("/")
        found = find_spec(package) if package.isidentifier() else None
        if found is None or not found.submodule_search_locations:
            raise UsageError(f"model {model.name!r}: the package {package} is not installed: pip install it")
        path = Path(found.submodule_search_locations[0]) / file
    else:
        path = Path(name)
    if not path.is_file():
        raise UsageError(f"model {model.name!r}: {path} does not exist: give a .gguf file as model")
    return path
