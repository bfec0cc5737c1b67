"""Encoders with random weights: tokens per second of the packed forward, its kernels, and a training step.

Lengths are lognormal with a mean of 128 tokens. The peers are sentence-transformers, from texts, and torch's
own operations.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from timing import Results, arguments, time_ms
from univar.kernels import reference

from univar import info_nce
from univar.model.attention import varlen_function
from univar.model.config import ModelConfig, read_config
from univar.model.cuda import BATCH_TOKENS, CudaForward
from univar.model.packing import Layout
from univar.model.torch_forward import TorchForward
from univar.model.weights import load_weights

MODELS = {"MiniLM-L6": (6, 384, 12, 1536), "BERT-base": (12, 768, 12, 3072)}
DRY_MODELS = {"tiny": (1, 32, 2, 64)}
VOCAB = 30_522
DRY_VOCAB = 200


def write_model(folder: Path, layers: int, dim: int, heads: int, intermediate: int, vocab: int) -> Path:
    """A BERT with random weights and made-up words, as a folder of transformers."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{number}" for number in range(vocab - 5))]
    tokenizer = Tokenizer(models.WordPiece({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(0)
    sizes = {"num_hidden_layers": layers, "hidden_size": dim, "num_attention_heads": heads}
    BertModel(BertConfig(vocab_size=vocab, intermediate_size=intermediate, **sizes)).save_pretrained(folder)
    settings = {"tokenizer_class": "BertTokenizer", "model_max_length": 512, "do_lower_case": True}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    (folder / "vocab.txt").write_text("\n".join(words))
    return folder


def lognormal_lengths(tokens: int, longest: int) -> np.ndarray:
    """Lengths that add up to about `tokens`, mean 128 (less where the longest is short)."""
    rng = np.random.default_rng(0)
    lengths = rng.lognormal(np.log(100), 0.7, max(4, tokens // 128)).astype(np.int64)
    return np.clip(lengths, 3, longest)


def packed(lengths: np.ndarray, vocab: int) -> tuple[np.ndarray, np.ndarray]:
    cu_seqlens = np.concatenate([[0], np.cumsum(lengths)])
    ids = np.random.default_rng(1).integers(5, vocab, cu_seqlens[-1]).astype(np.int32)
    return ids, cu_seqlens


def attention(device: torch.device) -> Callable[..., torch.Tensor] | None:
    """Of the device; on the CPU, for a dry run, text by text."""
    if device.type == "cuda":
        return varlen_function()

    def by_text(q, k, v, cu_seqlens, max_length):
        out = torch.zeros_like(q)
        for start, end in zip(cu_seqlens[:-1].tolist(), cu_seqlens[1:].tolist(), strict=True):
            if start < end:
                parts = (x[start:end].transpose(0, 1)[None] for x in (q, k, v))
                out[start:end] = F.scaled_dot_product_attention(*parts)[0].transpose(0, 1)
        return out

    return by_text


def bulk(forward: Any, ids: np.ndarray, cu_seqlens: np.ndarray) -> dict[str, float]:
    """Tokens per second, ids on the host to embeddings on the host; the second of two passes."""
    for _ in range(2):
        started = time.perf_counter()
        for _ in forward.batches(ids, cu_seqlens):
            pass
        seconds = time.perf_counter() - started
    return {"ms": seconds * 1e3, "tokens_per_s": len(ids) / seconds}


def measure_forwards(
    results: Results, name: str, config: ModelConfig, device: torch.device, tokens: int
) -> None:
    weights = load_weights(config)
    ids, cu_seqlens = packed(lognormal_lengths(tokens, min(tokens, config.positions)), config.vocab_size)
    per_token = 2 * sum(p.weight.numel() for layer in weights.layers for p in vars(layer).values())
    facts = {"what": "forward", "model": name, "tokens": len(ids)}

    def ours() -> dict[str, float]:
        forward = CudaForward(config, weights, "bf16", device, attention(device))
        forward.batch_tokens = min(BATCH_TOKENS, max(64, tokens // 4))
        timed = bulk(forward, ids, cu_seqlens)
        return {**timed, "tflops": per_token * timed["tokens_per_s"] / 1e12}

    results.measure({**facts, "impl": "univar cuda"}, ours)
    results.measure(
        {**facts, "impl": "univar torch"},
        lambda: bulk(TorchForward(config, weights, "bf16", device, 1), ids, cu_seqlens),
    )


def measure_texts(results: Results, name: str, folder: Path, device: torch.device, tokens: int) -> None:
    """From texts on the host to embeddings on the host: `Encoder` beside sentence-transformers."""
    lengths = lognormal_lengths(tokens, min(tokens, 510))
    rng = np.random.default_rng(2)
    texts = [" ".join(f"w{n}" for n in rng.integers(0, 150, length)) for length in lengths]
    facts = {"what": "texts to embeddings", "model": name, "texts": len(texts), "tokens": int(lengths.sum())}
    made: dict[str, np.ndarray] = {}

    def timed(impl: str, encode: Callable[[list[str]], np.ndarray]) -> dict[str, float]:
        encode(texts[: len(texts) // 8 + 1])
        started = time.perf_counter()
        made[impl] = encode(texts)
        seconds = time.perf_counter() - started
        facts = {"ms": seconds * 1e3, "tokens_per_s": lengths.sum() / seconds}
        if len(made) == 2:
            one, other = made.values()
            facts["least_cosine"] = float((one * other).sum(axis=1).min())
        return facts

    def sentence_transformers() -> dict[str, float]:
        from sentence_transformers import SentenceTransformer

        model = SentenceTransformer(str(folder), device=str(device))
        model = model.bfloat16() if device.type == "cuda" else model
        options = {"batch_size": 256, "normalize_embeddings": True, "convert_to_tensor": True}
        return timed("peer", lambda part: model.encode(part, **options).float().cpu().numpy())

    def ours() -> dict[str, float]:
        from univar import Encoder

        encoder = Encoder(folder, device=str(device), dtype="bf16", max_length=512)
        return timed("ours", encoder.encode)

    results.measure({**facts, "impl": "sentence-transformers bf16"}, sentence_transformers)
    results.measure({**facts, "impl": "univar Encoder"}, ours)


def measure_kernels(results: Results, dim: int, device: torch.device, tokens: int) -> None:
    """The kernels between the matrix products beside torch and torch.compile: does each earn its place?"""
    from univar.kernels.pool_normalize import pool_normalize
    from univar.kernels.residual_layer_norm import residual_layer_norm

    x, residual = (torch.randn(tokens, dim, device=device).bfloat16() for _ in range(2))
    weight, bias = (torch.rand(dim, device=device).bfloat16() for _ in range(2))
    cu_seqlens = torch.arange(0, tokens + 1, max(4, tokens // 512), device=device, dtype=torch.int32)
    x_end = x[: int(cu_seqlens[-1])]

    def torch_layer_norm() -> torch.Tensor:
        return F.layer_norm(x.add_(residual), (dim,), weight, bias, 1e-12)

    contenders: dict[tuple[str, str], Callable[[], object]] = {
        ("residual_layer_norm", "triton"): lambda: residual_layer_norm(x, residual, weight, bias, 1e-12),
        ("residual_layer_norm", "torch"): torch_layer_norm,
        ("residual_layer_norm", "torch.compile"): torch.compile(torch_layer_norm, dynamic=False),
        ("pool_normalize", "triton"): lambda: pool_normalize(x_end, cu_seqlens),
        ("pool_normalize", "torch"): lambda: reference.pool_normalize(x_end, cu_seqlens),
    }
    for (what, impl), run in contenders.items():
        facts = {"what": what, "impl": impl, "tokens": tokens, "dim": dim}
        results.measure(facts, lambda run=run: time_ms(run, device, 0.3))


def measure_training(results: Results, config: ModelConfig, device: torch.device, pairs: int) -> None:
    """One step: embed both sides with gradients, loss, backward, AdamW."""
    from univar.model.trainable import TrainableEncoder

    encoder = TrainableEncoder(config, load_weights(config), torch.bfloat16).to(device)
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=1e-5, fused=device.type == "cuda")
    layout = Layout(np.arange(0, pairs * 128 + 1, 128).astype(np.int32))
    sides = [
        np.random.default_rng(s).integers(5, config.vocab_size, layout.rows).astype(np.int32) for s in (0, 1)
    ]

    def step(impl: str) -> None:
        optimizer.zero_grad(set_to_none=True)
        anchor, positive = (encoder(ids, layout) for ids in sides)
        info_nce(anchor, positive, log_scale=3.0, impl=impl).backward()
        optimizer.step()

    for impl in ("auto", "dense"):
        facts = {
            "what": "training step",
            "impl": f"info_nce {impl}",
            "pairs": pairs,
            "tokens": 2 * layout.tokens,
        }
        results.measure(facts, lambda impl=impl: time_ms(lambda: step(impl), device))


def main() -> None:
    args = arguments(__doc__.splitlines()[0])
    results = Results(args.out)
    for name, sizes in (DRY_MODELS if args.dry_run else MODELS).items():
        with tempfile.TemporaryDirectory() as folder:
            write_model(Path(folder), *sizes, DRY_VOCAB if args.dry_run else VOCAB)
            config = read_config(Path(folder))
            measure_forwards(results, name, config, args.device, 32 if args.dry_run else 20_000_000)
            measure_texts(results, name, Path(folder), args.device, 32 if args.dry_run else 5_000_000)
            measure_training(results, config, args.device, 2 if args.dry_run else 512)
        measure_kernels(results, sizes[1], args.device, 16 if args.dry_run else BATCH_TOKENS)


if __name__ == "__main__":
    main()
