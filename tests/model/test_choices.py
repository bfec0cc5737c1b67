"""What `univar.ops` chooses, on machines that are not this one too."""

from __future__ import annotations

import pytest
import torch

from univar import ops

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(("has_amx", "dtype"), [(True, "bf16"), (False, "fp32")])
def test_auto_dtype_is_bf16_only_where_the_cpu_has_amx(
    has_amx: bool, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ops, "cpu_features", lambda: {"amx_bf16": has_amx, "avx512_bf16": True})
    assert ops.choose_dtype("auto", CPU).chosen == dtype


def test_auto_dtype_on_cuda_is_bf16() -> None:
    assert ops.choose_dtype("auto", CUDA).chosen == "bf16"


@pytest.mark.parametrize(
    ("device", "dtype", "usable", "chosen"),
    [
        (CPU, "bf16", True, "native"),
        (CPU, "bf16", False, "sdpa"),
        (CPU, "fp32", True, "sdpa"),
        (CUDA, "fp32", True, "sdpa"),
    ],
)
def test_attention_follows_device_and_dtype(
    device: torch.device, dtype: str, usable: bool, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ops, "bf16_kernels_usable", lambda: usable)
    assert ops.choose_attention(device, dtype).chosen == chosen


@pytest.mark.parametrize(
    ("installed", "chosen"),
    [("torch.nn.attention.varlen", "varlen"), ("flash_attn", "varlen"), (None, "sdpa")],
)
def test_cuda_attention_is_varlen_where_a_kernel_is(
    installed: str | None, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ops.importlib.util, "find_spec", lambda name: name if name == installed else None)
    assert ops.choose_attention(CUDA, "bf16").chosen == chosen


def test_linear_falls_back_without_the_private_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ops, "mkldnn_linear_works", lambda: False)
    assert ops.choose_linear(CPU).chosen == "torch"
