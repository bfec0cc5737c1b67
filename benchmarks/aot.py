"""Every kernel in every configuration, compiled for GPUs that aren't here: registers, spills, shared memory.

python benchmarks/aot.py            # prints the table of docs/kernels.md
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from univar.kernels import info_nce_triton, knn_triton
from univar.kernels.info_nce_kernels import info_nce_bwd_kernel, info_nce_fwd_kernel
from univar.kernels.knn_kernels import knn_groups_kernel, knn_rescore_kernel

TARGETS = {"sm_90a": 90, "sm_80": 80}
SHARED_LIMIT = {"sm_90a": 232_448, "sm_80": 166_912}
"""Bytes of shared memory that one program can have."""
INSTRUCTIONS = ("HGMMA", "HMMA", "UTMALDG", "LDGSTS", "MUFU", "SHFL", "LDL", "STL")
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
    instructions: dict[str, int] = field(default_factory=dict)

    @property
    def spills(self) -> int:
        """Loads and stores of registers that did not fit."""
        return self.instructions["LDL"] + self.instructions["STL"]


def variants() -> list[Variant]:
    """Everything that the launches in kernels/ can ask for, in two dims and the dtypes that matter."""
    made = []
    for target in TARGETS:
        for dtype, dim in (("bf16", 384), ("bf16", 768), ("fp16", 384), ("fp32", 384)):
            for tame, drop in ((True, False), (True, True), (False, False), (False, True)):
                if dtype == "bf16" or (tame and not drop):
                    made += info_nce_variants(target, dtype, dim, tame, drop)
        for size in (32, 16):
            made.append(knn_groups_variant(target, 384, size))
        made.append(knn_rescore_variant(target, 384))
    return made


def info_nce_variants(target: str, dtype: str, dim: int, tame: bool, drop: bool) -> list[Variant]:
    size = 4 if dtype == "fp32" else 2
    tma = TARGETS[target] >= 90
    made = []
    for kernel, configs in (
        (info_nce_fwd_kernel, info_nce_triton.FORWARD),
        (info_nce_bwd_kernel, info_nce_triton.BACKWARD),
    ):
        config = configs[tma][size]
        constants = {
            "D": dim,
            "TAME": tame,
            "DROP": drop,
            "BLOCK_M": config.block_m,
            "BLOCK_N": config.block_n,
            "BLOCK_K": config.block_k,
            "GROUP_M": 8,
            "PRECISION": "tf32",
            "TMA": tma,
            "UPCAST": False,
        }
        blocks = {
            "anchor": (config.block_m, config.block_k),
            "positive": (config.block_n, config.block_k),
            "weights": (config.block_m, config.block_n),
        }
        signature = {
            **{
                name: f"tensordesc<{dtype}[{r}, {c}]>" if tma else f"*{dtype}"
                for name, (r, c) in blocks.items()
            },
            **dict.fromkeys(("row_label_ptr", "col_label_ptr"), "*i32"),
            **dict.fromkeys(("row_parts_ptr", "col_parts_ptr", "row_lse_ptr", "col_lse_ptr"), "*fp32"),
            **{"dot_parts_ptr": "*fp32", "scale": "fp32", "lift": "fp32"},
            **dict.fromkeys(("m", "n", "width", "diagonal"), "i32"),
        }
        where = ("", " on diagonal") if kernel is info_nce_bwd_kernel and not drop else ("",)
        for place in where:
            name = f"{kernel.__name__.removesuffix('_kernel')} {dtype} D={dim}{' drop' if drop else ''}"
            if kernel is info_nce_bwd_kernel:
                constants = {**constants, "ON_DIAGONAL": bool(place)}
            name += f"{'' if tame else ' tracked'}{place}"
            made.append(
                Variant(name, kernel, target, signature, constants, config.num_warps, config.num_stages)
            )
    return made


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


def knn_rescore_variant(target: str, dim: int) -> Variant:
    signature = {
        **dict.fromkeys(("queries_ptr", "corpus_ptr", "scores_ptr"), "*fp32"),
        **{"groups_ptr": "*i64", "N": "i32", "chosen": "i32"},
    }
    constants = {"D": dim, "GROUP": 32, "BLOCK_D": 64}
    return Variant(f"knn_rescore D={dim}", knn_rescore_kernel, target, signature, constants, 4, 3, False)


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


def main() -> None:
    shown = INSTRUCTIONS[:6]
    print(f"| kernel | target | warps | registers | shared KB | spills | {' | '.join(shown)} |")
    print("|---" * (6 + len(shown)) + "|")
    for variant in variants():
        made = compile_variant(variant)
        cells = [variant.name, variant.target, variant.warps, made.registers, made.shared_bytes // 1000]
        cells += [made.spills, *(made.instructions[name] for name in shown)]
        print(f"| {' | '.join(str(cell) for cell in cells)} |")


if __name__ == "__main__":
    main()
