"""The two limits everything is compared with: copying memory, and multiplying bf16 matrices."""

from __future__ import annotations

import torch
from timing import Results, arguments, time_ms


def main() -> None:
    args = arguments(__doc__.splitlines()[0])
    results = Results(args)
    size = 1 << 12 if args.dry_run else 1 << 30
    source = torch.ones(size, dtype=torch.uint8, device=args.device)
    target = torch.empty_like(source)

    def copy() -> dict[str, float]:
        timed = time_ms(lambda: target.copy_(source), args.device)
        return {**timed, "tb_per_s": 2 * size / timed["ms"] / 1e9}

    n = 64 if args.dry_run else 8192
    left, right = (torch.randn(n, n, device=args.device).bfloat16() for _ in range(2))

    def multiply() -> dict[str, float]:
        timed = time_ms(lambda: left @ right, args.device)
        return {**timed, "tflops": 2 * n**3 / timed["ms"] / 1e9}

    results.measure({"what": "copy", "impl": "torch"}, copy)
    results.measure({"what": "bf16 matrix product", "impl": "torch"}, multiply)


if __name__ == "__main__":
    main()
