"""What `univar.runtime` chooses, on machines that are not this one too."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from univar import _native, runtime
from univar.errors import UsageError

CPU, CUDA = "cpu", "cuda"


@pytest.mark.parametrize(
    ("has_amx", "has_fast_dots", "limit", "dtype"),
    [
        (True, False, "amx", "bf16"),
        (True, False, "avx512", "fp32"),
        (False, True, "amx", "bf16"),
        (False, True, "avx512", "bf16"),
        (False, True, "avx2", "fp32"),
        (False, False, "amx", "fp32"),
    ],
)
def test_auto_dtype_is_bf16_only_where_the_cpu_is_faster_at_it(
    has_amx: bool, has_fast_dots: bool, limit: str, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    features = {"amx_bf16": has_amx, "avx512_bf16": True, "avx512_bf16_fast": has_fast_dots}
    monkeypatch.setattr(runtime, "cpu_features", lambda: features)
    monkeypatch.setenv("UNIVAR_ISA", limit)
    assert runtime.choose_dtype("auto", CPU).chosen == dtype


def test_auto_device_without_a_gpu_driver_asks_no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "_has_gpu_driver", lambda: False)
    monkeypatch.setattr("torch.cuda.is_available", lambda: pytest.fail("asked"))
    assert runtime.choose_device() == "cpu"


@pytest.mark.parametrize(("found", "device"), [(True, "cuda"), (False, "cpu")])
def test_auto_device_with_a_gpu_driver_is_what_torch_finds(
    found: bool, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "_has_gpu_driver", lambda: True)
    monkeypatch.setattr("torch.cuda.is_available", lambda: found)
    assert runtime.choose_device() == device


def test_auto_dtype_on_cuda_is_bf16() -> None:
    assert runtime.choose_dtype("auto", CUDA).chosen == "bf16"


@dataclass(frozen=True)
class Sizes:
    family: str = "bert"
    dim: int = 384
    head_dim: int = 32
    intermediate: int = 1536


@pytest.fixture
def amx(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU with everything, and no UNIVAR_ISA."""
    monkeypatch.delenv("UNIVAR_ISA", raising=False)
    monkeypatch.setattr(runtime, "cpu_features", lambda: {"amx_bf16": True, "avx512_bf16_fast": False})
    monkeypatch.setattr(runtime, "native_isa", lambda dtype, limit: "avx512" if dtype == "fp32" else limit)


@pytest.mark.parametrize(
    ("device", "dtype", "sizes", "chosen"),
    [
        (CPU, "bf16", Sizes(), "amx"),
        (CPU, "fp32", Sizes(), "avx512"),
        (CPU, "fp32", Sizes(dim=33, head_dim=11), "avx512"),
        (CPU, "int8", Sizes(), "amx"),
        (CPU, "bf16", Sizes(head_dim=16), "torch"),
        (CPU, "bf16", Sizes(family="mpnet"), "torch"),
        (CUDA, "fp32", Sizes(), "torch"),
    ],
)
def test_forward_is_native_where_the_cpu_and_the_model_allow(
    amx: None, device: str, dtype: str, sizes: Sizes, chosen: str
) -> None:
    assert runtime.choose_forward(device, dtype, sizes).chosen == chosen


@pytest.mark.parametrize(
    "sizes", [Sizes(dim=96, intermediate=384), Sizes(intermediate=1568), Sizes(head_dim=16)]
)
def test_int8_of_dims_that_do_not_fill_panels_is_an_error(amx: None, sizes: Sizes) -> None:
    with pytest.raises(UsageError, match=r"int8 does not run here: .* multiples of 64.*; give fp32 or auto"):
        runtime.choose_forward(CPU, "int8", sizes)


def test_int8_of_mpnet_is_an_error(amx: None) -> None:
    with pytest.raises(UsageError, match=r"int8 does not run here: .*mpnet.*; give fp32 or auto"):
        runtime.choose_forward(CPU, "int8", Sizes(family="mpnet"))


@pytest.mark.parametrize("limit", ["avx2", "portable"])
def test_int8_without_avx512_bf16_is_an_error(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNIVAR_ISA", limit)
    with pytest.raises(UsageError, match=rf"AVX512-BF16.* \(UNIVAR_ISA={limit}\); give fp32 or auto"):
        runtime.choose_forward(CPU, "int8", Sizes())


def test_univar_isa_limits_dtype_and_forward(amx: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNIVAR_ISA", "avx2")
    monkeypatch.setattr(runtime, "native_isa", _native.choose_isa)
    assert runtime.choose_dtype("auto", CPU).chosen == "fp32"
    assert runtime.choose_forward(CPU, "fp32", Sizes()).chosen in ("avx2", "portable")
    assert runtime.choose_forward(CPU, "bf16", Sizes()).chosen == "torch"


def test_an_unknown_isa_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNIVAR_ISA", "sse9")
    with pytest.raises(UsageError, match="UNIVAR_ISA=sse9 is unknown: give one of portable, avx2"):
        runtime.isa_limit()


@pytest.mark.parametrize(
    ("installed", "chosen"),
    [("torch.nn.attention.varlen", "varlen"), ("flash_attn", "varlen"), (None, "sdpa")],
)
def test_cuda_attention_is_varlen_where_a_kernel_is(
    installed: str | None, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime.importlib.util, "find_spec", lambda name: name if name == installed else None)
    assert runtime.choose_attention(CUDA, "bf16").chosen == chosen


def test_linear_falls_back_without_the_private_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "mkldnn_linear_works", lambda: False)
    assert runtime.choose_linear(CPU).chosen == "torch"


@pytest.fixture
def four_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four CUDA devices of capability 9.0, as torch tells of them."""
    monkeypatch.setattr(runtime, "_has_gpu_driver", lambda: True)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda device=None: (9, 0))


@pytest.mark.usefixtures("four_gpus")
@pytest.mark.parametrize("asked", ["auto", "cuda"])
def test_each_process_of_torchrun_has_its_own_device(asked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert runtime.choose_device(asked) == "cuda:3"
    assert runtime.choose_device("cuda:1") == "cuda:1"
    assert runtime.choose_device("cpu") == "cpu"
    monkeypatch.setenv("LOCAL_RANK", "4")
    with pytest.raises(UsageError, match="found 4; start at most 4 processes"):
        runtime.choose_device(asked)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)  # each process is shown one of its own
    assert runtime.choose_device(asked) == "cuda:0"


@pytest.mark.usefixtures("four_gpus")
def test_a_gpu_before_8_0_gets_fp16_and_sdpa(monkeypatch: pytest.MonkeyPatch) -> None:
    assert runtime.choose_dtype("auto", "cuda:1").chosen == "bf16"
    assert runtime.choose_attention("cuda:1", "bf16", 32).chosen == "varlen"
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda device=None: (7, 5))
    assert runtime.choose_dtype("auto", "cuda:1").chosen == "fp16"
    assert runtime.choose_attention("cuda:1", "fp16", 32).chosen == "sdpa"
    assert runtime.choose_forward("cuda:1", "fp16", Sizes()).chosen == "torch"


@pytest.mark.usefixtures("four_gpus")
@pytest.mark.parametrize(("head_dim", "chosen"), [(12, "sdpa"), (264, "sdpa"), (64, "varlen")])
def test_head_dims_that_the_varlen_kernel_refuses_go_through_sdpa(head_dim: int, chosen: str) -> None:
    assert runtime.choose_attention("cuda:0", "bf16", head_dim).chosen == chosen
