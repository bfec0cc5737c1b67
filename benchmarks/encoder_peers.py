"""What embeds texts in the benchmarks: univar and its peers.

Peers other than sentence-transformers get texts sorted by length, batches of 32, and Hugging Face's fast
tokenizer.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ["TOKENIZERS_PARALLELISM"] = "false"  # its threads would spin beside the encoders'

import numpy as np
import torch

from univar import Encoder
from univar.encoder.checkpoint import load_weights
from univar.encoder.config import read_config
from univar.encoder.forward_torch import TorchForward
from univar.encoder.tokenizer import load_tokenizer

BASE = "sentence-transformers fp32 (default)"
BATCH = 32  # sentence-transformers' default, and the best of 8, 32, 128 for the others


@dataclass(frozen=True)
class Contender:
    """encode: texts -> embeddings (N, dim) float32, rows of length 1."""

    name: str
    encode: Callable[[list[str]], np.ndarray]


@dataclass(frozen=True)
class Setting:
    """What is the same for all contenders."""

    folder: Path
    max_length: int
    threads: int


def univar_contenders(setting: Setting, dtypes: tuple[str, ...] = ("bf16", "fp32")) -> list[Contender]:
    def encoder(dtype: str) -> Callable[[list[str]], np.ndarray]:
        return Encoder(
            setting.folder,
            dtype=dtype,
            device="cpu",
            max_length=setting.max_length,
            threads=setting.threads,
        ).encode

    return [Contender(f"univar {dtype}", encoder(dtype)) for dtype in dtypes]


def packed_torch_contender(setting: Setting, dtype: str = "bf16") -> Contender:
    """Packed texts through torch's own operations: what packing alone brings."""
    config = read_config(setting.folder)
    tokenizer = load_tokenizer(setting.folder, setting.max_length, setting.threads)
    forward = TorchForward(config, load_weights(config), dtype, torch.device("cpu"), setting.threads)

    def encode(texts: list[str]) -> np.ndarray:
        tokens = tokenizer.encode(texts)
        out = np.empty((len(texts), config.dim), np.float32)
        for rows, embeddings in forward.batches(tokens.ids, tokens.cu_seqlens):
            out[rows] = embeddings
        return out

    return Contender(f"packed torch {dtype}", encode)


def sentence_transformers_contenders(setting: Setting) -> list[Contender]:
    from sentence_transformers import SentenceTransformer

    def encoder(**settings: object) -> Callable[[list[str]], np.ndarray]:
        model = SentenceTransformer(str(setting.folder), device="cpu", **settings)
        model.max_seq_length = setting.max_length
        return lambda texts: np.asarray(model.encode(texts, convert_to_tensor=True).float())

    return [
        Contender(BASE, encoder()),
        Contender("sentence-transformers bf16", encoder(model_kwargs={"dtype": torch.bfloat16})),
    ]


class Pooled(torch.nn.Module):
    """The encoder with mean pooling and length 1, as one graph for the engines to convert."""

    def __init__(self, folder: Path):
        from transformers import AutoModel

        super().__init__()
        self.model = AutoModel.from_pretrained(folder, attn_implementation="sdpa").eval()

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        states = self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        mask = attention_mask.unsqueeze(-1).to(states.dtype)
        return torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=1)


def sorted_batches(tokenizer, texts: list[str]) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
    """(rows, padded inputs) in batches of texts of like length, longest first."""
    encodings = [encoding.ids for encoding in tokenizer.encode_batch_fast(texts)]
    lengths = np.array([len(ids) for ids in encodings])
    order = np.argsort(-lengths, kind="stable")
    for first in range(0, len(order), BATCH):
        rows = order[first : first + BATCH]
        ids = np.zeros((len(rows), lengths[rows[0]]), np.int64)
        for place, row in enumerate(rows):
            ids[place, : lengths[row]] = encodings[row]
        mask = (np.arange(ids.shape[1]) < lengths[rows, None]).astype(np.int64)
        yield rows, {"input_ids": ids, "attention_mask": mask}


def fast_tokenizer(setting: Setting):
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(setting.folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(setting.max_length)
    return tokenizer


def openvino_contenders(setting: Setting) -> list[Contender]:
    """One stream with all threads, and one stream a thread."""
    import openvino

    ones = torch.ones(2, 8, dtype=torch.long)
    graph = openvino.convert_model(
        Pooled(setting.folder), example_input={"input_ids": ones, "attention_mask": ones}
    )
    tokenizer = fast_tokenizer(setting)

    def encoder(streams: int) -> Callable[[list[str]], np.ndarray]:
        hints = {
            "INFERENCE_PRECISION_HINT": "bf16",
            "INFERENCE_NUM_THREADS": setting.threads,
            "NUM_STREAMS": streams,
        }
        queue = openvino.AsyncInferQueue(openvino.Core().compile_model(graph, "CPU", hints), streams)

        def encode(texts: list[str]) -> np.ndarray:
            out: dict[int, np.ndarray] = {}

            def keep(request, rows: np.ndarray) -> None:
                out.update(zip(rows, request.get_output_tensor(0).data.copy(), strict=True))

            queue.set_callback(keep)
            for rows, inputs in sorted_batches(tokenizer, texts):
                queue.start_async(inputs, rows)
            queue.wait_all()
            return np.stack([out[row] for row in range(len(texts))])

        return encode

    streams = sorted({1, setting.threads})
    return [Contender(f"openvino bf16, {n} stream{'s' * (n > 1)}", encoder(n)) for n in streams]


def onnxruntime_session(folder: Path, threads: int) -> Any:
    """The encoder of a folder in float32, pooled, as onnxruntime runs it."""
    import onnxruntime

    ones = torch.ones(2, 8, dtype=torch.long)
    names = ["input_ids", "attention_mask"]
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "model.onnx"
        axes = {name: {0: "texts", 1: "tokens"} for name in names}
        torch.onnx.export(
            Pooled(folder),
            (ones, ones),
            path,
            input_names=names,
            dynamic_axes=axes,
            opset_version=17,
            dynamo=False,
        )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def onnxruntime_contenders(setting: Setting) -> list[Contender]:
    session = onnxruntime_session(setting.folder, setting.threads)
    tokenizer = fast_tokenizer(setting)

    def encode(texts: list[str]) -> np.ndarray:
        out: dict[int, np.ndarray] = {}
        for rows, inputs in sorted_batches(tokenizer, texts):
            out.update(zip(rows, session.run(None, inputs)[0], strict=True))
        return np.stack([out[row] for row in range(len(texts))])

    return [Contender("onnxruntime fp32", encode)]
