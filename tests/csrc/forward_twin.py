"""The encoder's forward in NumPy float64, and random models and texts for it."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

Arrays = dict[str, Any]


def make_shape(**changes: Any) -> Arrays:
    """A small BERT; `changes` name other sizes, activation, pooling or a rotary base."""
    shape = {
        "dim": 384,
        "heads": 12,
        "intermediate": 512,
        "layers": 2,
        "vocab": 50,
        "positions": 600,
        "activation": "gelu",
        "pooling": "mean",
    }
    return {**shape, "norm_eps": 1e-12, "rotary_base": 0.0, **changes}


def make_weights(shape: Arrays, seed: int = 0, bias: bool = True) -> Arrays:
    """Random float32 weights that keep the states at about the size they have in trained models."""
    rng = np.random.default_rng(seed)
    dim, intermediate = shape["dim"], shape["intermediate"]

    def linear(out: int, inside: int) -> tuple[np.ndarray, np.ndarray | None]:
        weight = rng.normal(0, inside**-0.5, (out, inside)).astype(np.float32)
        return weight, rng.normal(0, 0.1, out).astype(np.float32) if bias else None

    def norm() -> tuple[np.ndarray, np.ndarray]:
        return rng.normal(1, 0.1, dim).astype(np.float32), rng.normal(0, 0.1, dim).astype(np.float32)

    up = intermediate * (2 if shape["activation"] == "swiglu" else 1)
    table = rng.normal(0, 1, (shape["vocab"], dim)).astype(np.float32)
    places = rng.normal(0, 0.3, (shape["positions"], dim)).astype(np.float32)
    return {
        "word": table,
        "position": None if shape["rotary_base"] else places,
        "embedding_norm": norm(),
        "layers": [
            {
                "qkv": linear(3 * dim, dim),
                "out": linear(dim, dim),
                "up": linear(up, dim),
                "down": linear(dim, intermediate),
                "attention_norm": norm(),
                "output_norm": norm(),
            }
            for _ in range(shape["layers"])
        ],
    }


def make_texts(shape: Arrays, lengths: list[int], seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Random ids (T,) int32 and cu_seqlens (n + 1,) int32 of texts of these lengths."""
    cu_seqlens = np.concatenate(([0], np.cumsum(lengths, dtype=np.int32))).astype(np.int32)
    ids = np.random.default_rng(seed).integers(0, shape["vocab"], cu_seqlens[-1], dtype=np.int32)
    return ids, cu_seqlens


def forward(shape: Arrays, weights: Arrays, ids: np.ndarray, cu_seqlens: np.ndarray) -> np.ndarray:
    """Embeddings (n, dim) float64, rows of length 1."""
    rows = [_embed(shape, weights, ids[a:b]) for a, b in itertools.pairwise(cu_seqlens)]
    return np.array(rows).reshape(len(rows), shape["dim"])


def cases(
    shapes: dict[str, Arrays], lengths: dict[str, list[int]], usual_lengths: list[int]
) -> Callable[[str], tuple[Any, ...]]:
    """A function of a shape's name: shape, weights, texts and their embeddings, computed once."""

    @functools.cache
    def case(name: str) -> tuple[Any, ...]:
        shape = make_shape(**shapes[name])
        weights = make_weights(shape)
        texts = make_texts(shape, lengths.get(name, usual_lengths))
        return shape, weights, texts, forward(shape, weights, *texts)

    return case


def _embed(shape: Arrays, weights: Arrays, ids: np.ndarray) -> np.ndarray:
    x = weights["word"][ids].astype(np.float64)
    if weights["position"] is not None:
        x += weights["position"][: len(ids)]
    x = _norm(x, weights["embedding_norm"], shape["norm_eps"])
    for layer in weights["layers"]:
        attended = _attention(shape, _linear(x, layer["qkv"]))
        x = _norm(x + _linear(attended, layer["out"]), layer["attention_norm"], shape["norm_eps"])
        hidden = activate(_linear(x, layer["up"]), shape["activation"])
        x = _norm(x + _linear(hidden, layer["down"]), layer["output_norm"], shape["norm_eps"])
    pooled = x[0] if shape["pooling"] == "cls" else x.mean(axis=0)
    return pooled / np.linalg.norm(pooled)


def _linear(x: np.ndarray, affine: tuple[np.ndarray, np.ndarray | None]) -> np.ndarray:
    weight, bias = affine
    product = x @ weight.astype(np.float64).T
    return product if bias is None else product + bias


def _norm(x: np.ndarray, norm: tuple[np.ndarray, np.ndarray], eps: float) -> np.ndarray:
    centred = x - x.mean(axis=1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + eps) * norm[0] + norm[1]


def _attention(shape: Arrays, qkv: np.ndarray) -> np.ndarray:
    tokens, heads = len(qkv), shape["heads"]
    q, k, v = qkv.reshape(tokens, 3, heads, -1).transpose(1, 2, 0, 3)  # (heads, T, head_dim)
    if shape["rotary_base"]:
        q, k = _rotate(q, shape["rotary_base"]), _rotate(k, shape["rotary_base"])
    attended = np.empty_like(q)
    for first in range(0, tokens, 512):  # so that a long text does not take gigabytes
        rows = slice(first, first + 512)
        scores = q[:, rows] @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1])
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        attended[:, rows] = weights / weights.sum(axis=-1, keepdims=True) @ v
    return attended.transpose(1, 0, 2).reshape(tokens, -1)


def _rotate(x: np.ndarray, base: float) -> np.ndarray:
    tokens, head_dim = x.shape[-2:]
    angles = np.arange(tokens)[:, None] * base ** (-np.arange(0, head_dim, 2) / head_dim)
    left, right = np.split(x, 2, axis=-1)
    cos, sin = np.cos(angles), np.sin(angles)
    return np.concatenate([left * cos - right * sin, right * cos + left * sin], axis=-1)


def activate(x: np.ndarray, activation: str) -> np.ndarray:
    """x (T, F), or (T, 2 F) for "swiglu": value, gate. Returns (T, F) float64."""
    if activation == "relu":
        return np.maximum(x, 0)
    if activation == "gelu_tanh":
        return x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    if activation == "swiglu":
        value, gate = np.split(x, 2, axis=1)
        return value * gate / (1 + np.exp(np.minimum(-gate, 700)))
    return x / 2 * (1 + _erf(x / np.sqrt(2)))


def _erf(x: np.ndarray) -> np.ndarray:
    import torch

    return torch.erf(torch.from_numpy(x)).numpy()
