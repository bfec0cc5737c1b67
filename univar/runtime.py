"""Which device, dtype and forward an encoder runs on, and why (`univar doctor` prints it); memory given back.

Two other choices are made elsewhere: a kernel's between Triton and torch (`univar.kernels.launch`), and an
index's between its types, by the number of rows (`univar.search.index`).
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import logging
import os
import sys
from dataclasses import dataclass
from typing import Protocol

from univar import _native
from univar._native import choose_isa as native_isa
from univar.errors import UsageError

logger = logging.getLogger("univar")

DTYPES = ("auto", "fp32", "bf16", "fp16", "int8")
DEVICES = ("auto", "cpu", "cuda", "cuda:N")
ISAS = ("portable", "avx2", "avx512", "amx")
"""Instruction sets of the native forward, worst first."""


@dataclass(frozen=True)
class Choice:
    """What was chosen, in one word, and why, in half a sentence."""

    chosen: str
    why: str


def choose_device(name: str = "auto") -> str:
    """The device to run on, "cpu", "cuda" or "cuda:N"; "auto" is CUDA where there is one, else the CPU.

    Under torchrun, which sets LOCAL_RANK, "auto" and "cuda" are the process's own device, with its index:
    CUDA's current device belongs to a thread, so it must not be left open. torch, which takes more than a
    second to import, is imported only where it may find a CUDA device. Raises UsageError for a device that
    does not exist.
    """
    if name == "cpu" or (name == "auto" and not _has_gpu_driver()):
        return "cpu"
    import torch

    if name == "auto":
        return _cuda_of_this_process(torch.cuda.device_count()) if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"unknown device {name!r}: give one of {', '.join(DEVICES)}") from None
    if device.type == "cpu":
        return "cpu"
    if device.type != "cuda":
        raise UsageError(f"device {name!r} is not supported: give one of {', '.join(DEVICES)}")
    if (device.index or 0) >= torch.cuda.device_count():
        raise UsageError(
            f"no CUDA device for {name!r} here: found {torch.cuda.device_count()}; give --device cpu"
        )
    return str(device) if device.index is not None else _cuda_of_this_process(torch.cuda.device_count())


def _cuda_of_this_process(devices: int) -> str:
    """ "cuda:LOCAL_RANK" under torchrun, else "cuda"; a launcher may show each process only its own."""
    local = os.environ.get("LOCAL_RANK")
    if local is None:
        return "cuda"
    if int(local) >= devices > 1:
        raise UsageError(
            f"process {local} of this machine has no CUDA device of its own: found {devices}; "
            f"start at most {devices} processes, or give --device cpu"
        )
    return f"cuda:{int(local) if devices > 1 else 0}"


def cuda_capability(device: str) -> tuple[int, int] | None:
    """The compute capability of a CUDA device, None where torch finds no CUDA."""
    import torch

    return torch.cuda.get_device_capability(device) if torch.cuda.is_available() else None


FLASH_CAPABILITY = (8, 0)
"""The first compute capability that multiplies bf16 and runs attention over packed texts."""


def _is_before_flash(device: str) -> bool:
    capability = cuda_capability(device)
    return capability is not None and capability < FLASH_CAPABILITY


def _has_gpu_driver() -> bool:
    """False only where torch cannot find a CUDA device: without a driver from NVIDIA, or ROCm on Linux."""
    if sys.platform == "darwin":
        return False
    if os.path.exists("/dev/kfd"):
        return True
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True


def choose_dtype(name: str, device: str) -> Choice:
    """fp32, bf16, fp16, or int8, which is for some CPUs (see `choose_forward`) and never chosen by "auto".

    "auto" is bf16 on CUDA, fp16 there before compute capability 8.0. On a CPU it is bf16 where that is
    multiplied faster than fp32: in AMX tiles, or by an AVX512-BF16 dot product at the rate of its FMA
    (AMD from Zen 4 on; Intel's has half that). Else fp32.
    """
    if name not in DTYPES:
        raise UsageError(f"unknown dtype {name!r}: give one of {', '.join(DTYPES)}")
    if name == "fp16" and device == "cpu":
        raise UsageError(
            "dtype fp16 is no faster than fp32 on a CPU and loses range: give fp32, bf16 or auto"
        )
    if name == "int8" and device != "cpu":
        raise UsageError("dtype int8 is for the CPU: give bf16, fp16, fp32 or auto")
    if name != "auto":
        return Choice(name, "asked for")
    if device != "cpu":
        if _is_before_flash(device):
            return Choice("fp16", "a CUDA device before compute capability 8.0, which has no bf16")
        return Choice("bf16", "CUDA device")
    if isa := bf16_isa():
        return Choice("bf16", f"the CPU has {_BF16_ISAS[isa]}")
    if bf16_isa(ISAS[-1]):
        return Choice("fp32", f"UNIVAR_ISA={isa_limit()}")
    return Choice("fp32", "the CPU has no AMX-BF16, nor AVX512-BF16 that is faster than fp32")


_BF16_ISAS = {"amx": "AMX-BF16", "avx512": "AVX512-BF16 at twice the rate of fp32"}


def bf16_isa(limit: str | None = None) -> str | None:
    """The instruction set with which the CPU multiplies bf16 faster than fp32; None if there is none.

    limit: the best one that may be used; default: UNIVAR_ISA
    """
    features, allowed = cpu_features(), ISAS[: ISAS.index(limit or isa_limit()) + 1]
    if "amx" in allowed and features["amx_bf16"]:
        return "amx"
    return "avx512" if "avx512" in allowed and features["avx512_bf16_fast"] else None


def cpu_features() -> dict[str, bool]:
    """CPU instruction sets that decide between implementations and that the operating system allows."""
    return dict(_native.cpu_features())


def isa_limit() -> str:
    """The best instruction set the native forward may use: the environment's UNIVAR_ISA, else "amx"."""
    limit = os.environ.get("UNIVAR_ISA", ISAS[-1])
    if limit not in ISAS:
        raise UsageError(f"UNIVAR_ISA={limit} is unknown: give one of {', '.join(ISAS)}")
    return limit


def usable_cpus() -> int:
    """Number of processors that affinity and cgroup leave to this process."""
    return int(_native.usable_cpus())


MOST_THREADS = 256
"""More threads than this, and than four a processor, only cost memory."""


def thread_count(wanted: int | None) -> int:
    """How many threads to start: as many as wanted, by default one for each usable processor.

    A number far above the processors is cut, and told. Raises UsageError for one below 1.
    """
    if wanted is None:
        return usable_cpus()
    if wanted < 1:
        raise UsageError(f"threads must be at least 1, got {wanted}")
    most = max(MOST_THREADS, 4 * usable_cpus())
    if wanted > most:
        told = "%d threads are asked for; %d are started, for %d processors"
        logger.warning(told, wanted, most, usable_cpus())
    return min(wanted, most)


class EncoderSizes(Protocol):
    """What of an encoder decides which forward runs it (a `univar.encoder.config.EncoderConfig`)."""

    @property
    def family(self) -> str: ...
    @property
    def dim(self) -> int: ...
    @property
    def head_dim(self) -> int: ...
    @property
    def intermediate(self) -> int: ...


def choose_forward(device: str, dtype: str, config: EncoderSizes | None = None) -> Choice:
    """The native forward's instruction set, one of ISAS, or "cuda" (packed, streamed, Triton), or "torch".

    Without `config`: for an encoder of the usual sizes. Raises UsageError for int8 where it does not run: it
    needs a CPU with AMX or AVX512-BF16 and dims that fill panels of bytes.
    """
    if device != "cpu":
        return _choose_cuda_forward(device, dtype, config)
    limit = isa_limit()
    limited = "" if limit == ISAS[-1] else f" (UNIVAR_ISA={limit})"
    obstacle = _native_obstacle(dtype, config)
    if obstacle is None:
        try:
            return Choice(native_isa(dtype, limit), f"native, the best for {dtype} on this CPU{limited}")
        except ValueError as error:
            obstacle = f"{error}{limited}"
    if dtype == "int8":
        raise UsageError(f"dtype int8 does not run here: {obstacle}; give fp32 or auto")
    return Choice("torch", obstacle)


def _native_obstacle(dtype: str, config: EncoderSizes | None) -> str | None:
    """What about an encoder keeps it from the native forward, if anything."""
    if config is None:
        return None
    if config.family == "mpnet":
        return "the native forward has no bias by distance (mpnet)"
    multiple = {"bf16": 32, "int8": 64}.get(dtype, 1)
    if config.dim % multiple or config.intermediate % multiple or (multiple > 1 and config.head_dim % 32):
        return f"native {dtype} needs dims in multiples of {multiple}, head dims in multiples of 32"
    return None


def _choose_cuda_forward(device: str, dtype: str, config: EncoderSizes | None) -> Choice:
    import torch

    from univar.kernels.launch import can_launch

    attention = choose_attention(device, dtype, None if config is None else config.head_dim)
    if attention.chosen != "varlen":
        return Choice("torch", attention.why)
    if config is not None and config.family == "mpnet":
        return Choice("torch", "attention over packed texts has no bias by distance (mpnet)")
    if not can_launch(torch.device(device)):
        return Choice("torch", "no triton package, or a device before compute capability 8.0")
    return Choice("cuda", "packed texts, copies beside computing")


def mkldnn_linear_works() -> bool:
    """Whether this torch has oneDNN's linear layer with prepacked weights, a private operator."""
    import torch

    try:
        weight, x = torch.eye(16, dtype=torch.float32), torch.ones(2, 16)
        packed = torch.ops.mkldnn._reorder_linear_weight(weight, 2)
        made = torch.ops.mkldnn._linear_pointwise(x, packed, None, "none", [], "")
    except (AttributeError, RuntimeError, NotImplementedError):
        return False
    return bool(torch.equal(made, x))


def choose_linear(device: str) -> Choice:
    """ "mkldnn": oneDNN with prepacked weights; "torch": torch.nn.functional.linear."""
    if device != "cpu":
        return Choice("torch", "CUDA device")
    if not mkldnn_linear_works():
        return Choice("torch", "this torch has no oneDNN linear with prepacked weights")
    return Choice("mkldnn", "weights packed once")


def choose_attention(device: str, dtype: str, head_dim: int | None = None) -> Choice:
    """How attention runs in torch. head_dim: None for an encoder of the usual sizes.

    "varlen": one CUDA kernel over packed texts; "sdpa": one call of torch per run of equally long texts.
    """
    if device == "cpu":
        return Choice("sdpa", f"{dtype} on a CPU")
    if dtype == "fp32":
        return Choice("sdpa", "varlen kernels take no fp32")
    if _is_before_flash(device):
        return Choice("sdpa", "varlen kernels need compute capability 8.0")
    if head_dim is not None and (head_dim % 8 or head_dim > 256):
        return Choice("sdpa", f"varlen kernels need head dims in multiples of 8 up to 256, not {head_dim}")
    if importlib.util.find_spec("torch.nn.attention.varlen") or importlib.util.find_spec("flash_attn"):
        return Choice("varlen", "one kernel over packed texts")
    return Choice("sdpa", "neither this torch nor flash_attn has a varlen kernel")


def prefer_jemalloc() -> None:
    """Let Arrow allocate with jemalloc, if it was built in: it gives freed memory back soonest.

    For a process that embeds and ends: the pool is the whole process's.
    """
    import pyarrow as pa

    with contextlib.suppress(NotImplementedError):
        pa.set_memory_pool(pa.jemalloc_memory_pool())


def release_freed_memory() -> None:
    """Give freed memory back to the system, where the allocators can.

    Memory that one thread allocates and another frees lets allocators hoard pages.
    """
    import pyarrow as pa

    pa.default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's
    if trim is not None:
        trim(0)
