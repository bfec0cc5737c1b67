"""InfoNCE, forward and backward in bf16, beside eager torch, torch.compile, inf-cl and cut-cross-entropy."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from timing import Results, arguments, compiled, time_ms
from torch import Tensor

from univar import info_nce
from univar.kernels.info_nce import tiles_triton as info_nce_triton
from univar.kernels.launch import Config

SCALE = 20.0
SIZES = [(65_536, 384), (262_144, 384), (65_536, 768), (16_384, 384), (16_384, 768), (4096, 384), (1024, 384)]
DRY_SIZES = [(96, 32)]
EAGER_BYTES_PER_LOGIT = 18
TUNED = (65_536, 384)
CANDIDATES = [
    Config(128, 128, 64, 8, 3),
    Config(128, 128, 64, 4, 3),
    Config(128, 256, 64, 8, 3),
    Config(128, 256, 64, 8, 4),
    Config(256, 128, 64, 8, 3),
    Config(64, 256, 64, 8, 3),
]

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


def eager(anchor: Tensor, positive: Tensor, log_scale: Tensor) -> Tensor:
    """As under bf16 autocast: the product in bf16, cross entropy in float32."""
    logits = (anchor @ positive.T).float() * log_scale.exp()
    targets = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, targets) + F.cross_entropy(logits.T, targets)) / 2


def ours(impl: str) -> Loss:
    return lambda anchor, positive, log_scale: info_nce(anchor, positive, log_scale=log_scale, impl=impl)


def inf_cl() -> Loss:
    from inf_cl import cal_flash_loss

    def loss(anchor: Tensor, positive: Tensor, log_scale: Tensor) -> Tensor:
        options = {"scale": log_scale.exp(), "head_dim": 128}  # D has to be a multiple
        return (cal_flash_loss(anchor, positive, **options) + cal_flash_loss(positive, anchor, **options)) / 2

    return loss


def cut_cross_entropy() -> Loss:
    from cut_cross_entropy import linear_cross_entropy

    def loss(anchor: Tensor, positive: Tensor, log_scale: Tensor) -> Tensor:
        scale = log_scale.exp().to(anchor.dtype)
        targets = torch.arange(len(anchor), device=anchor.device)
        one = linear_cross_entropy(anchor * scale, positive, targets)
        return (one + linear_cross_entropy(positive * scale, anchor, targets)) / 2

    return loss


def peers(device: torch.device) -> dict[str, Callable[[], Loss]]:
    """What makes each loss; making it may fail where a package is not there."""
    return {
        "univar triton": lambda: ours("triton"),
        "univar auto": lambda: ours("auto"),
        "univar chunked": lambda: ours("chunked"),
        "eager": lambda: eager,
        "torch.compile": lambda: compiled(eager, device),
        "inf-cl": inf_cl,
        "cut-cross-entropy": cut_cross_entropy,
    }


def step(loss: Loss, batch: int, dim: int, device: torch.device) -> Callable[[], list[Tensor]]:
    """Forward and backward; gives loss and gradients."""
    generator = torch.Generator(device).manual_seed(0)
    centre = torch.randn(batch, dim, generator=generator, device=device)
    views = [centre + torch.randn(batch, dim, generator=generator, device=device) for _ in range(2)]
    anchor, positive = (F.normalize(view, dim=1).bfloat16().requires_grad_() for view in views)
    log_scale = torch.tensor(SCALE, device=device).log().requires_grad_()

    def run() -> list[Tensor]:
        anchor.grad = positive.grad = log_scale.grad = None
        value = loss(anchor, positive, log_scale)
        value.backward()
        return [value.detach(), anchor.grad, positive.grad, log_scale.grad]

    return run


def measured(make: Callable[[], Loss], batch: int, dim: int, device: torch.device) -> dict[str, Any]:
    """Time, memory and TFLOP/s of the 8 B^2 D operations that making the logits twice takes."""
    run = step(make(), batch, dim, device)
    value, d_anchor, _, d_scale = run()
    facts = {"loss": float(value), "grad_norm": float(d_anchor.float().norm()), "d_log_scale": float(d_scale)}
    timed = time_ms(run, device)
    return {**facts, **timed, "tflops_of_8bbd": 8 * batch**2 * dim / timed["ms"] / 1e9}


def main() -> None:
    args = arguments(__doc__.splitlines()[0])
    results = Results(args)
    memory = torch.cuda.get_device_properties(0).total_memory if args.device.type == "cuda" else 1 << 30
    for batch, dim in DRY_SIZES if args.dry_run else SIZES:
        for name, make in peers(args.device).items():
            facts = {"what": "info_nce", "impl": name, "batch": batch, "dim": dim}
            if name in ("eager", "torch.compile") and batch**2 * EAGER_BYTES_PER_LOGIT > 0.9 * memory:
                continue
            if batch > 100_000 and name in ("univar chunked", "inf-cl", "cut-cross-entropy"):
                continue
            results.measure(facts, lambda make=make, b=batch, d=dim: measured(make, b, d, args.device))
    batch, dim = DRY_SIZES[0] if args.dry_run else TUNED
    for table in (info_nce_triton.FORWARD, info_nce_triton.BACKWARD):
        name = "forward" if table is info_nce_triton.FORWARD else "backward"
        before = table[True][2]
        for config in CANDIDATES[:1] if args.dry_run else CANDIDATES:
            table[True][2] = config
            facts = {"what": f"info_nce {name} tiles", "impl": str(dataclasses.astuple(config))}
            facts |= {"batch": batch, "dim": dim}
            results.measure(facts, lambda: measured(lambda: ours("triton"), batch, dim, args.device))
        table[True][2] = before


if __name__ == "__main__":
    main()
