"""Encoders with random weights: tokens per second of the packed forward, its kernels, and a training step.

Lengths are lognormal with a mean of 128 tokens. The peers are sentence-transformers, from texts, and torch's
own operations.
"""

from __future__ import annotations

import json
import tempfile
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from timing import Results, arguments, compiled, time_ms

from univar import info_nce
from univar.encoder.checkpoint import load_weights
from univar.encoder.config import EncoderConfig, read_config
from univar.encoder.forward_cuda import BATCH_TOKENS, CudaForward
from univar.encoder.forward_torch import TorchForward, varlen_function
from univar.encoder.packing import Layout
from univar.kernels import reference

MODELS = {"MiniLM-L6": (6, 384, 12, 1536), "BERT-base": (12, 768, 12, 3072)}
TOKENS = {"MiniLM-L6": 8_000_000, "BERT-base": 2_000_000}
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


def with_tokens_per_s(timed: dict[str, float], tokens: int) -> dict[str, float]:
    return {**timed, "tokens_per_s": tokens / timed["ms"] * 1e3}


def bulk(forward: Any, ids: np.ndarray, cu_seqlens: np.ndarray, device: torch.device) -> dict[str, float]:
    """Tokens per second, ids on the host to embeddings on the host."""
    timed = time_ms(lambda: deque(forward.batches(ids, cu_seqlens), maxlen=0), device)
    return with_tokens_per_s(timed, len(ids))


def measure_forwards(
    results: Results, name: str, config: EncoderConfig, device: torch.device, tokens: int
) -> None:
    weights = load_weights(config)
    ids, cu_seqlens = packed(lognormal_lengths(tokens, min(tokens, config.positions)), config.vocab_size)
    per_token = 2 * sum(p.weight.size for layer in weights.layers for p in vars(layer).values())
    facts = {"what": "forward", "model": name, "weights": "random", "tokens": len(ids)}

    def ours() -> dict[str, float]:
        forward = CudaForward(config, weights, "bf16", device, attention(device))
        forward.batch_tokens = min(BATCH_TOKENS, max(64, tokens // 4))
        timed = bulk(forward, ids, cu_seqlens, device)
        return {**timed, "tflops": per_token * timed["tokens_per_s"] / 1e12}

    def by_torch() -> dict[str, float]:
        part = cu_seqlens[: len(cu_seqlens) // 4 + 2]  # it takes long
        timed = bulk(TorchForward(config, weights, "bf16", device, 1), ids[: part[-1]], part, device)
        return {**timed, "tokens": int(part[-1])}

    results.measure({**facts, "impl": "univar cuda"}, ours)
    results.measure({**facts, "impl": "torch, runs of one length"}, by_torch)


def measure_texts(results: Results, name: str, folder: Path, device: torch.device, tokens: int) -> None:
    """From texts on the host to embeddings on the host: `Encoder` beside sentence-transformers."""
    lengths = lognormal_lengths(tokens, min(tokens, 510))
    rng = np.random.default_rng(2)
    texts = [" ".join(f"w{n}" for n in rng.integers(0, 150, length)) for length in lengths]
    facts = {"what": "texts to embeddings", "model": name, "texts": len(texts), "tokens": int(lengths.sum())}
    made: dict[str, np.ndarray] = {}

    def timed(impl: str, encode: Callable[[list[str]], np.ndarray]) -> dict[str, float]:
        made[impl] = encode(texts)
        facts = with_tokens_per_s(time_ms(lambda: encode(texts), device), int(lengths.sum()))
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
    from univar.kernels.encoder_ops.pool_normalize import pool_normalize
    from univar.kernels.encoder_ops.residual_layer_norm import residual_layer_norm

    x, residual = (torch.randn(tokens, dim, device=device).bfloat16() for _ in range(2))
    weight, bias = (torch.rand(dim, device=device).bfloat16() for _ in range(2))
    cu_seqlens = torch.arange(0, tokens + 1, max(4, tokens // 512), device=device, dtype=torch.int32)
    x_end = x[: int(cu_seqlens[-1])]

    def torch_layer_norm() -> torch.Tensor:
        return F.layer_norm(x.add_(residual), (dim,), weight, bias, 1e-12)

    moved = {  # bytes that must be read or written
        "residual_layer_norm": 3 * x.numel() * x.element_size(),
        "pool_normalize": x_end.numel() * x.element_size() + 4 * dim * (len(cu_seqlens) - 1),
    }
    contenders: dict[tuple[str, str], Callable[[], object]] = {
        ("residual_layer_norm", "triton"): lambda: residual_layer_norm(x, residual, weight, bias, 1e-12),
        ("residual_layer_norm", "torch"): torch_layer_norm,
        ("residual_layer_norm", "torch.compile"): compiled(torch_layer_norm, device),
        ("pool_normalize", "triton"): lambda: pool_normalize(x_end, cu_seqlens),
        ("pool_normalize", "torch"): lambda: reference.pool_normalize(x_end, cu_seqlens),
        ("pool_normalize", "torch.compile"): compiled(
            lambda: reference.pool_normalize(x_end, cu_seqlens), device
        ),
    }
    for (what, impl), run in contenders.items():

        def measure(what: str = what, run: Callable[[], object] = run) -> dict[str, float]:
            timed = time_ms(run, device, 0.3)
            return {**timed, "tb_per_s": moved[what] / timed["ms"] / 1e9}

        results.measure({"what": what, "impl": impl, "tokens": tokens, "dim": dim}, measure)


def measure_training(results: Results, config: EncoderConfig, device: torch.device, pairs: int) -> None:
    """One step over pairs of 32 tokens a side: embed both with gradients, loss, backward, AdamW."""
    from univar.train.trainable import TrainableEncoder

    encoder = TrainableEncoder(config, load_weights(config), torch.bfloat16).to(device)
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=1e-5, fused=device.type == "cuda")
    layout = Layout(np.arange(0, pairs * 32 + 1, 32).astype(np.int32))
    sides = [
        np.random.default_rng(s).integers(5, config.vocab_size, layout.rows).astype(np.int32) for s in (0, 1)
    ]

    def step(impl: str) -> None:
        optimizer.zero_grad(set_to_none=True)
        anchor, positive = (encoder(ids, layout) for ids in sides)
        info_nce(anchor, positive, log_scale=3.0, impl=impl).backward()
        for parameter in encoder.parameters():  # those of word vectors are sparse, which Adam refuses
            if parameter.grad is not None and parameter.grad.is_sparse:
                parameter.grad = parameter.grad.to_dense()
        optimizer.step()

    facts = {"what": "training step", "pairs": pairs, "tokens": 2 * layout.tokens}
    for impl in ("triton", "dense"):
        name = f"{'univar ' if impl == 'triton' else ''}{impl}"
        results.measure({**facts, "impl": name}, lambda impl=impl: time_ms(lambda: step(impl), device))


def main() -> None:
    args = arguments(__doc__.splitlines()[0])
    results = Results(args)
    for name, sizes in (DRY_MODELS if args.dry_run else MODELS).items():
        tokens = 32 if args.dry_run else TOKENS[name]
        with tempfile.TemporaryDirectory() as folder:
            write_model(Path(folder), *sizes, DRY_VOCAB if args.dry_run else VOCAB)
            config = read_config(Path(folder))
            measure_forwards(results, name, config, args.device, tokens)
            measure_texts(results, name, Path(folder), args.device, max(32, tokens // 4))
            measure_training(results, config, args.device, 2 if args.dry_run else 2048)
        measure_kernels(results, sizes[1], args.device, 16 if args.dry_run else BATCH_TOKENS)


if __name__ == "__main__":
    main()
