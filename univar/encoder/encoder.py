"""Texts in, value embeddings out: `Encoder`, which joins tokenizer and forward."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from univar import runtime
from univar.encoder.checkpoint import load_weights
from univar.encoder.config import read_config
from univar.encoder.forward_native import NativeForward, finished
from univar.encoder.spec import COMPOSITES, ResolvedSpec, resolve_parts
from univar.encoder.tokenizer import NativeTokenizer, Tokenizer, load_tokenizer, take_texts
from univar.errors import DataError, UsageError

if TYPE_CHECKING:
    from univar.encoder.checkpoint import Weights
    from univar.encoder.forward_cuda import CudaForward
    from univar.encoder.forward_torch import TorchForward
    from univar.encoder.pieces import Pieces
    from univar.encoder.reading import ReadOptions

logger = logging.getLogger("univar")


class Encoder:
    """A text encoder by name, folder or hub id. Its embeddings always have length 1.

    spec:         "univar-2" or "univar-2-multilingual", which have the parts `values` and `source` side by
                  side; "univar-mini", "minilm", "e5-multilingual", a sentence-transformers or Hugging Face
                  folder, a hub id, or one of these with an adapter: "minilm+folder"
    dtype:        "auto" (bf16 where the machine multiplies it fast, else fp32), "fp32", "bf16", on CUDA also
                  "fp16", on the CPU also "int8" (faster, cosine to fp32 about 0.995: measure it first with
                  `univar doctor --dtype int8`)
    device:       "auto", "cpu", "cuda" or "cuda:N"
    max_length:   texts are truncated to this many tokens, special tokens included; default: what the
                  encoder's folder says
    truncate_dim: keep the first dims of each embedding (Matryoshka encoders) and scale the row to length 1
    threads:      worker threads on the CPU, each with batches of its own; default: one per processor that
                  affinity and cgroup leave to the process
    Raises UsageError, DataError or ProviderError (see `univar.encoder.spec.resolve`).
    """

    def __init__(
        self,
        spec: str | Path = "minilm",
        *,
        dtype: str = "auto",
        device: str = "auto",
        max_length: int | None = None,
        truncate_dim: int | None = None,
        threads: int | None = None,
    ):
        self._threads = runtime.thread_count(threads)
        self._device = runtime.choose_device(device)
        self._dtype = runtime.choose_dtype(dtype, self._device).chosen
        sources = resolve_parts(spec)
        self._sources = list(dict.fromkeys(sources.values()))  # parts may share one
        self._id = str(spec) if str(spec) in COMPOSITES else self._sources[0].id
        self._config = read_config(self._sources[0].folder)
        self.max_length: int = self._checked_max_length(max_length)
        width = self._checked_dim(truncate_dim)
        self.dim: int = width * len(self._sources)
        places = {name: self._sources.index(source) for name, source in sources.items()}
        self.parts: dict[str, slice] = {
            name: slice(place * width, (place + 1) * width) for name, place in places.items()
        }
        self.tokenizer: Tokenizer = load_tokenizer(self._config.folder, self.max_length, self._threads)
        self._forwards = [self._load(source) for source in self._sources]

    def __repr__(self) -> str:
        return f"Encoder({self._id!r}, {self.dim} dims, up to {self.max_length} tokens)"

    @property
    def info(self) -> dict[str, Any]:
        """What identifies the encoder (`id`, `revision`, `dim`, `max_length`, `pooling`) and how it runs.

        `parts` has first column and end of each part of a vector.
        """
        return {
            "id": self._id,
            "revision": self._revision,
            "dim": self.dim,
            "max_length": self.max_length,
            "pooling": self._config.pooling,
            "parts": {name: [columns.start, columns.stop] for name, columns in self.parts.items()},
            "dtype": self._dtype,
            "device": self._device,
        }

    def tokenize(self, sentences: Sequence[str] | pa.Array) -> tuple[np.ndarray, np.ndarray]:
        """Token ids (T,) int32 of all texts, special tokens included, and cu_seqlens (n + 1,) int64.

        Text i is ids[cu_seqlens[i]:cu_seqlens[i + 1]], truncated to `max_length` tokens.
        """
        tokens = self.tokenizer.encode(self._texts(sentences))
        return tokens.ids, tokens.cu_seqlens

    def encode(
        self,
        sentences: str | Sequence[str] | pa.Array,
        batch_size: int | None = None,
        show_progress_bar: bool = False,
        normalize_embeddings: bool = True,
    ) -> np.ndarray:
        """Embeddings (n, dim) float32 of n texts, rows of length 1; one string is a list of one.

        Each text is cut at `max_length`; `encode_qa` reads answers whole. Parts stand side by side.

        The parameters are those of sentence-transformers: `batch_size` is accepted and ignored, since batches
        are cut by tokens and results do not depend on them; `normalize_embeddings=False` raises UsageError.
        The number of texts that were truncated to `max_length` tokens is logged once per call.
        """
        if not normalize_embeddings:
            raise UsageError("univar's embeddings always have length 1: leave normalize_embeddings at True")
        texts = self._texts([sentences] if isinstance(sentences, str) else sentences)
        forward = self._forwards[0]
        if (
            len(self._forwards) == 1
            and isinstance(forward, NativeForward)
            and isinstance(self.tokenizer, NativeTokenizer)
        ):
            run = forward.embed(self.tokenizer, texts)
            batches = ((rows, self._shorten(vectors)) for rows, vectors in finished(run))
            embeddings = self._collect(batches, len(texts), show_progress_bar)
            truncated = run.truncated
        else:
            tokens = self.tokenizer.encode(texts)
            embeddings = self._embed(tokens.ids, tokens.cu_seqlens, show_progress_bar)
            truncated = tokens.truncated
        if cut := int(truncated.sum()):
            logger.warning("%d of %d texts were truncated to %d tokens", cut, len(texts), self.max_length)
        return embeddings

    def encode_qa(
        self,
        questions: Sequence[str] | pa.Array,
        answers: Sequence[str] | pa.Array,
        part: str | None = None,
        *,
        read: ReadOptions | None = None,
    ) -> np.ndarray:
        """Embeddings of answers read as `univar embed` reads them, rows of length 1.

        questions, answers: n texts each; an empty question means the answer alone
        part:     the name of one of `parts`: (n, its columns) float32; default: all side by side, (n, dim)
        read:     what is read of a row; default: whole answers
        The number of answers that were not read to their end is logged once per call. Raises UsageError for
        an unknown part and for texts that are no pairs, DataError for an answer without a token.
        """
        from univar.encoder.reading import WHOLE, RowReader

        asked, said = self._texts(questions), self._texts(answers)
        if len(asked) != len(said):
            raise UsageError(f"{len(asked)} questions and {len(said)} answers are no pairs: give one a row")
        columns = slice(None) if part is None else self._columns_of(part)
        pieces = RowReader(self.tokenizer, read or WHOLE).read(asked, said)
        if len(empty := np.flatnonzero(pieces.per_answer == 0)):
            raise DataError(f"answer {empty[0]} (counted from 0) has no text to read: remove it")
        first, twin = pieces.distinct()
        vectors = self._embed(*take_texts(pieces.ids, pieces.cu_seqlens, first), show_progress_bar=False)
        if cut := int((pieces.read < pieces.answer_tokens).sum()):
            logger.warning("%d of %d answers were not read to their end", cut, len(said))
        embeddings = self.pool(pieces, vectors[twin])[:, columns]
        return embeddings if part is None else unit_rows(embeddings)

    def pool(self, pieces: Pieces, vectors: np.ndarray) -> np.ndarray:
        """Vectors (n, dim) of answers from those of their pieces (P, dim): each part is pooled by itself."""
        width, weight = self.dim // len(self._forwards), np.float32(self._weight)
        if width == self.dim:
            return pieces.pool(vectors)
        parts = [vectors[:, start : start + width] / weight for start in range(0, self.dim, width)]
        return np.hstack([pieces.pool(part) for part in parts]) * weight

    def forward_packed(self, ids: np.ndarray, cu_seqlens: np.ndarray) -> np.ndarray:
        """Embeddings (n, dim) float32 of packed texts in their order, rows of length 1.

        ids: (T,) int32; cu_seqlens: (n + 1,) int64, text i is ids[cu_seqlens[i]:cu_seqlens[i + 1]], none is
        empty. Any number of texts: they are sorted by length and cut into micro-batches here.
        Raises UsageError where the arrays don't fit each other or the encoder.
        """
        lengths = np.diff(cu_seqlens)
        if len(cu_seqlens) == 0 or cu_seqlens[0] != 0 or cu_seqlens[-1] != len(ids) or (lengths < 1).any():
            raise UsageError("cu_seqlens must rise from 0 to the number of ids, with no text empty")
        if lengths.max(initial=0) > self._config.positions:
            raise UsageError(
                f"a text has {lengths.max()} tokens, but the encoder reads at most {self._config.positions}"
            )
        if len(ids) and not 0 <= ids.min() <= ids.max() < self._config.vocab_size:
            raise UsageError(
                f"token ids must be in 0..{self._config.vocab_size - 1}: use the encoder's own tokenizer"
            )
        return self._embed(ids, cu_seqlens, show_progress_bar=False)

    def forward_batches(
        self, ids: np.ndarray, cu_seqlens: np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The same batch by batch, so that a caller can stop early: yields rows (b,), embeddings (b, dim).

        Of several parts the last decides when a text is done; before it, batches are empty.
        """
        if len(ids) and ids.max() >= self._config.vocab_size:
            raise DataError(
                f"token {ids.max()} is not among the encoder's {self._config.vocab_size}: "
                "the tokenizer belongs to another encoder"
            )
        *earlier, last = self._forwards
        width = self.dim // len(self._forwards)
        kept = np.empty((len(cu_seqlens) - 1, self.dim - width), np.float32)
        for place, forward in enumerate(earlier):
            for rows, embeddings in forward.batches(ids, cu_seqlens):
                kept[rows, place * width : (place + 1) * width] = embeddings
                yield rows[:0], np.empty((0, self.dim), np.float32)
        for rows, embeddings in last.batches(ids, cu_seqlens):
            if earlier:
                yield rows, np.hstack([kept[rows], embeddings]) * np.float32(self._weight)
            else:
                yield rows, self._shorten(embeddings)

    def save(self, folder: str | Path, *, part: str | None = None, force: bool = False) -> None:
        """Write a folder that `SentenceTransformer(folder)` opens (see `univar.encoder.export`).

        part: which one, needed where there are several
        """
        from univar.encoder.export import export_encoder

        if part is None and len(self._sources) > 1:
            raise UsageError(f"{self._id} has several parts: name one of {', '.join(self.parts)}")
        place = 0 if part is None else self._columns_of(part).start * len(self._sources) // self.dim
        export_encoder(self._sources[place], folder, max_length=self.max_length, force=force)

    @property
    def _revision(self) -> str:
        revisions = [source.revision for source in self._sources]
        if len(self.parts) == 1:
            return revisions[0]
        named = " ".join([*self.parts, *revisions])
        return hashlib.sha256(named.encode()).hexdigest()[:16]

    @property
    def _weight(self) -> float:
        """What each part is multiplied by where they stand side by side: the squares sum to 1."""
        return float(len(self._forwards) ** -0.5)

    def _columns_of(self, part: str) -> slice:
        if part not in self.parts:
            raise UsageError(f"{self._id} has no part {part!r}: choose from {', '.join(self.parts)}")
        return self.parts[part]

    def _load(self, source: ResolvedSpec) -> NativeForward | TorchForward | CudaForward:
        weights = self._weights(source)
        choice = runtime.choose_forward(self._device, self._dtype, self._config)
        if choice.chosen in runtime.ISAS:
            return NativeForward(self._config, weights, self._dtype, choice.chosen, self._threads)
        import torch

        device = torch.device(self._device)
        if choice.chosen == "cuda":
            from univar.encoder.forward_cuda import CudaForward

            return CudaForward(self._config, weights, self._dtype, device)
        from univar.encoder.forward_torch import TorchForward

        return TorchForward(self._config, weights, self._dtype, device, self._threads)

    def _weights(self, source: ResolvedSpec) -> Weights:
        if source.adapter is None:
            return load_weights(self._config)
        from univar.encoder.adapter import adapted_weights

        return adapted_weights(source, self._config)

    def _checked_max_length(self, wanted: int | None) -> int:
        if wanted is None:
            return self._config.max_length
        if not 3 <= wanted <= self._config.positions:
            raise UsageError(
                f"max_length must be in 3..{self._config.positions} for {self._id}, got {wanted}"
            )
        return wanted

    def _checked_dim(self, truncate_dim: int | None) -> int:
        if truncate_dim is None or truncate_dim == self._config.dim * len(self._sources):
            return self._config.dim
        if len(self._sources) > 1:
            raise UsageError(
                f"{self._id} has several parts, of which none can be shortened: leave truncate_dim out"
            )
        if not 1 <= truncate_dim <= self._config.dim:
            raise UsageError(
                f"truncate_dim must be in 1..{self._config.dim} for {self._id}, got {truncate_dim}"
            )
        return truncate_dim

    def _texts(self, sentences: Sequence[str] | pa.Array) -> pa.Array:
        if isinstance(sentences, (pa.Array, pa.ChunkedArray)):
            return sentences
        try:
            texts = pa.array(sentences, pa.large_string())
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise UsageError(f"sentences must be strings: {error}") from None
        if texts.null_count:
            raise DataError(f"{texts.null_count} of {len(texts)} texts are None: remove them")
        return texts

    def _embed(self, ids: np.ndarray, cu_seqlens: np.ndarray, show_progress_bar: bool) -> np.ndarray:
        return self._collect(self.forward_batches(ids, cu_seqlens), len(cu_seqlens) - 1, show_progress_bar)

    def _collect(
        self, batches: Iterator[tuple[np.ndarray, np.ndarray]], n: int, show_progress_bar: bool
    ) -> np.ndarray:
        out = np.empty((n, self.dim), np.float32)
        for rows, embeddings in _with_bar(batches, n) if show_progress_bar else batches:
            out[rows] = embeddings
        return out

    def _shorten(self, embeddings: np.ndarray) -> np.ndarray:
        if self.dim == self._config.dim:
            return embeddings
        return unit_rows(embeddings[:, : self.dim])


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """Rows (n, D) brought to length 1; a row of zeros stays."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: np.ndarray = vectors / np.maximum(lengths, 1e-12)
    return unit


def _with_bar(
    batches: Iterator[tuple[np.ndarray, np.ndarray]], total: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pass batches on, with a bar on stderr."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("embed", total=total)
        for rows, embeddings in batches:
            progress.update(task, advance=len(rows))
            yield rows, embeddings
