"""Every kernel in every configuration, compiled for GPUs that aren't here: registers, spills, shared memory.

    python benchmarks/aot.py > benchmarks/results/kernel_resources.csv    # which a slow test compares

Registers are per thread, shared memory is bytes per program; spills are loads and stores of registers, the
other columns say how often an instruction stands in the code: HGMMA and HMMA are matrix products, UTMALDG and
LDGSTS asynchronous copies, MUFU exponentials, SHFL exchanges between lanes. Where sizes are multiples of 16,
Triton compiles once more, with a few registers more or fewer.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from univar.kernels.encoder_ops.pool_normalize import ROWS, pool_normalize_fwd_kernel
from univar.kernels.encoder_ops.residual_layer_norm import residual_layer_norm_fwd_kernel, warps
from univar.kernels.encoder_ops.rotate import rotate_fwd_kernel
from univar.kernels.encoder_ops.swiglu import BLOCK, swiglu_fwd_kernel
from univar.kernels.info_nce import tiles_triton as info_nce_triton
from univar.kernels.info_nce.kernels import info_nce_bwd_kernel, info_nce_fwd_kernel
from univar.kernels.knn import tiles_triton as knn_triton
from univar.kernels.knn.kernels import knn_groups_kernel, knn_rescore_kernel
from univar.kernels.launch import Config

TARGETS = {"sm_90a": 90, "sm_80": 80}
SHARED_LIMIT = {"sm_90a": 232_448, "sm_80": 166_912}
"""Bytes of shared memory that one program can have."""
INSTRUCTIONS = ("HGMMA", "HMMA", "UTMALDG", "LDGSTS", "MUFU", "SHFL", "LDL", "STL")
COLUMNS = ("name", "target", "warps", "registers", "shared_bytes", "spills", *INSTRUCTIONS[:6])
_OBJDUMP = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"


@dataclass(frozen=True)
class Variant:
    """A kernel as one launch compiles it. signature: type of each argument that is no constant."""

    name: str
    kernel: Any
    target: str
    signature: dict[str, str]
    constants: dict[str, Any]
    warps: int
    stages: int
    uses_tensor_cores: bool = True


@dataclass(frozen=True)
class Resources:
    """What the compiled kernel takes: per thread, per program in bytes, and how often in its code."""

    registers: int
    stack_bytes: int
    shared_bytes: int
    instructions: dict[str, int]


def variants() -> list[Variant]:
    """Everything that the launches in kernels/ can ask for, in two dims and the dtypes that matter."""
    made = []
    for target in TARGETS:
        for dtype, dim, precision in (
            ("bf16", 384, "tf32"),  # which means nothing to 16-bit inputs
            ("bf16", 768, "tf32"),
            ("fp16", 384, "tf32"),
            ("fp32", 384, "tf32"),
            ("fp32", 384, "tf32x3"),
        ):
            for exp_fits, drop in ((True, False), (True, True), (False, False), (False, True)):
                made += info_nce_variants(target, dtype, dim, exp_fits, drop, precision)
        made += [knn_groups_variant(target, dim, size) for dim, size in ((384, 32), (384, 16), (768, 32))]
        made += [knn_rescore_variant(target, 384, dtype) for dtype in ("fp32", "fp16")]
        made += encoder_variants(target, 384) + encoder_variants(target, 768)
    return made


def info_nce_variants(
    target: str, dtype: str, dim: int, exp_fits: bool, drop: bool, precision: str
) -> list[Variant]:
    """Forward and backward; without `drop` the backward off and on the diagonal."""
    tma, size = TARGETS[target] >= 90, 4 if dtype == "fp32" else 2
    kind = f"{dtype} D={dim}{' drop' if drop else ''}{'' if exp_fits else ' tracked'}"
    kind += " tf32x3" if precision == "tf32x3" else ""
    made = []
    for name, kernel, configs, place in (
        ("info_nce_fwd", info_nce_fwd_kernel, info_nce_triton.FORWARD, {}),
        ("info_nce_bwd", info_nce_bwd_kernel, info_nce_triton.BACKWARD, {"ON_DIAGONAL": False}),
        ("info_nce_bwd", info_nce_bwd_kernel, info_nce_triton.BACKWARD, {"ON_DIAGONAL": True}),
    ):
        on_diagonal = place.get("ON_DIAGONAL", False)
        if on_diagonal and drop:
            continue
        config = configs[tma][size]
        constants = {
            **{
                "D": dim,
                "EXP_FITS": exp_fits,
                "DROP": drop,
                "PRECISION": precision,
                "TMA": tma,
                "UPCAST": False,
            },
            **{"BLOCK_M": config.block_m, "BLOCK_N": config.block_n, "BLOCK_K": config.block_k, "GROUP_M": 8},
            **place,
        }
        signature = info_nce_signature(dtype, config, tma)
        full_name = f"{name} {kind}{' on diagonal' if on_diagonal else ''}"
        how = (config.num_warps, config.num_stages)
        made.append(Variant(full_name, kernel, target, signature, constants, *how))
    return made


def info_nce_signature(dtype: str, config: Config, tma: bool) -> dict[str, str]:
    blocks = {
        "anchor": (config.block_m, config.block_k),
        "positive": (config.block_n, config.block_k),
        "weights": (config.block_m, config.block_n),
    }
    return {
        **{name: f"tensordesc<{dtype}[{r}, {c}]>" if tma else f"*{dtype}" for name, (r, c) in blocks.items()},
        **dict.fromkeys(("row_label_ptr", "col_label_ptr"), "*i32"),
        **dict.fromkeys(("row_parts_ptr", "col_parts_ptr", "row_lse_ptr", "col_lse_ptr"), "*fp32"),
        **{"dot_parts_ptr": "*fp32", "scale": "fp32", "weight_factor": "fp32"},
        **dict.fromkeys(("m", "n", "width", "diagonal"), "i32"),
    }


def knn_groups_variant(target: str, dim: int, size: int) -> Variant:
    tma = TARGETS[target] >= 90
    config = knn_triton.CONFIG[tma]
    blocks = {"queries_ptr": config.block_m, "corpus_ptr": config.block_n}
    signature = {
        **{
            name: f"tensordesc<fp16[{rows}, {config.block_k}]>" if tma else "*fp16"
            for name, rows in blocks.items()
        },
        **{"maxima_ptr": "*fp32", "Q": "i32", "N": "i32"},
    }
    constants = {
        "D": dim,
        "GROUP": size,
        "BLOCK_Q": config.block_m,
        "BLOCK_N": config.block_n,
        "BLOCK_K": config.block_k,
        "TILES_Q": 8,
        "TMA": tma,
    }
    name = f"knn_groups D={dim} of {size}"
    return Variant(name, knn_groups_kernel, target, signature, constants, config.num_warps, config.num_stages)


def knn_rescore_variant(target: str, dim: int, corpus: str) -> Variant:
    signature = {
        **dict.fromkeys(("queries_ptr", "scores_ptr"), "*fp32"),
        **{"corpus_ptr": f"*{corpus}", "groups_ptr": "*i64", "N": "i32", "chosen": "i32"},
    }
    constants = {"D": dim, "GROUP": 32, "BLOCK_D": 64}
    name = f"knn_rescore {corpus} D={dim}"
    return Variant(name, knn_rescore_kernel, target, signature, constants, 4, 3, False)


def encoder_variants(target: str, dim: int) -> list[Variant]:
    block = triton.next_power_of_2(dim)
    pooled = {"hidden_ptr": "*bf16", "cu_seqlens_ptr": "*i32", "out_ptr": "*fp32", "eps": "fp32"}
    shape = {"D": dim, "FIRST_ONLY": False, "ROWS": ROWS, "BLOCK_D": block}
    normed = dict.fromkeys(("x_ptr", "residual_ptr", "weight_ptr", "bias_ptr"), "*bf16") | {"eps": "fp32"}
    row = {"D": dim, "BLOCK_D": block}
    turned = {"qkv_ptr": "*bf16", "cos_ptr": "*fp32", "sin_ptr": "*fp32"}
    heads = {"HEADS": dim // 64, "HALF": 32, "BLOCK_H": triton.next_power_of_2(dim // 32), "BLOCK": 32}
    gated = {"hidden_ptr": "*bf16", "out_ptr": "*bf16"}
    wide = {"F": 4 * dim, "BLOCK_F": BLOCK}
    return [
        Variant(f"pool_normalize D={dim}", pool_normalize_fwd_kernel, target, pooled, shape, 4, 3, False),
        Variant(
            f"residual_layer_norm D={dim}",
            residual_layer_norm_fwd_kernel,
            target,
            normed,
            row,
            warps(dim),
            3,
            False,
        ),
        Variant(f"rotate D={dim}", rotate_fwd_kernel, target, turned, heads, 4, 3, False),
        Variant(f"swiglu D={dim}", swiglu_fwd_kernel, target, gated, wide, 4, 3, False),
    ]


def compile_variant(variant: Variant) -> Resources:
    """Compile one variant by Triton and read its registers and instructions off the machine code."""
    names = variant.kernel.arg_names
    signature = {name: variant.signature.get(name, "constexpr") for name in names}
    pointers = [number for number, name in enumerate(names) if signature[name].startswith("*")]
    source = ASTSource(
        fn=variant.kernel,
        signature=signature,
        constexprs={name: variant.constants[name] for name in names if signature[name] == "constexpr"},
        attrs={(number,): [["tt.divisibility", 16]] for number in pointers},
    )
    options = {"num_warps": variant.warps, "num_stages": variant.stages}
    compiled = triton.compile(source, target=GPUTarget("cuda", TARGETS[variant.target], 32), options=options)
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(compiled.asm["cubin"])
        file.flush()
        usage, code = (_objdump(flag, file.name) for flag in ("-res-usage", "-sass"))
    registers, stack = (int(re.search(rf"{word}:(\d+)", usage)[1]) for word in ("REG", "STACK"))
    counts = {name: len(re.findall(rf"\b{name}\b", code)) for name in INSTRUCTIONS}
    return Resources(registers, stack, compiled.metadata.shared, counts)


def _objdump(flag: str, file: str) -> str:
    return subprocess.run([_OBJDUMP, flag, file], check=True, capture_output=True, text=True).stdout


def facts(variant: Variant) -> dict[str, Any]:
    """What one variant takes, and what it may take."""
    made = compile_variant(variant)
    return {
        "name": variant.name,
        "target": variant.target,
        "warps": variant.warps,
        "registers": made.registers,
        "stack_bytes": made.stack_bytes,
        "shared_bytes": made.shared_bytes,
        "shared_limit": SHARED_LIMIT[variant.target],
        "uses_tensor_cores": variant.uses_tensor_cores,
        "spills": made.instructions["LDL"] + made.instructions["STL"],
        **made.instructions,
    }


def csv_line(found: dict[str, Any]) -> str:
    """Its line in the table."""
    return ",".join(str(found[name]) for name in COLUMNS)


def main() -> None:
    """Print the table, or with --json all that is known."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", choices=TARGETS, help="GPU to compile for; default: all")
    parser.add_argument("--only", nargs="*", default=[], help="start or end of names of kernels")
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args()
    ends = tuple(args.only) or ("",)
    wanted = [v for v in variants() if v.name.endswith(ends) or v.name.startswith(ends)]
    rows = [facts(variant) for variant in wanted if args.target in (None, variant.target)]
    if args.json:
        print(json.dumps(rows))
        return
    print(",".join(("kernel", *COLUMNS[1:])))
    for row in rows:
        print(csv_line(row))


if __name__ == "__main__":
    main()
