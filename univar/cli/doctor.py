"""`univar doctor`: what is installed and what runs."""

from __future__ import annotations

from typing import Any

import click

from univar.cli.common import Output, table_options
from univar.errors import EXIT_FAILED


@click.command()
@click.option(
    "--dtype",
    type=click.Choice(["int8", "bf16"]),
    help="Precision to measure on this CPU: its accuracy and speed compared with fp32.",
)
@click.option(
    "-e", "--encoder", "spec", default="minilm", show_default=True, help="Encoder to measure --dtype with."
)
@table_options
def doctor(dtype: str | None, spec: str, output: Output) -> None:
    """Show versions and devices, which implementation runs each step, and why.

    With --dtype, also measure how accurate and how fast the encoder is in that precision on this machine, on
    questions in twelve languages that the package ships. Exit code 0 if `univar demo` can run here, else 1
    with the remedy.

    \b
    Example:
        univar doctor
        univar doctor --json
        univar doctor --dtype int8
    """
    from univar.encoder.doctor import installation, measure_dtype

    facts = installation()
    if dtype is not None:
        from univar.questions import passages

        facts["measured"] = measure_dtype(spec, dtype, passages())
    output.result(facts, _text(facts))
    if facts["problems"]:
        raise SystemExit(EXIT_FAILED)


def _text(facts: dict[str, Any]) -> str:
    def named(flags: dict[str, bool], absent: str) -> str:
        return "  ".join(name if there else f"{name} ({absent})" for name, there in flags.items())

    packages = "  ".join(
        f"{name} {version or '(not installed)'}" for name, version in facts["packages"].items()
    )
    lines = [
        f"univar {facts['univar']}  python {facts['python']}  {facts['platform']}",
        packages,
        f"devices    {', '.join(facts['devices'])}; {facts['cpus']} CPUs, {facts['threads']} threads",
        f"CPU        {named(facts['cpu_features'], 'no')}",
        *(f"{name:<10} {run['chosen']}: {run['why']}" for name, run in facts["runs"].items()),
        f"encoders   {named(facts['encoders'], 'not installed')}, folders, hub ids",
        f"default    {facts['default_encoder']}: an encoder made for English reads no other script",
        f"extras     {named(facts['extras'], 'not installed')}",
        f"disk       {facts['free_disk_gb']} GB free here",
        *([_measured_text(facts["measured"])] if "measured" in facts else []),
        *(f"missing    {problem}" for problem in facts["problems"]),
    ]
    return "\n".join(
        [*lines, "`univar demo` can run here." if not facts["problems"] else "`univar demo` cannot run here."]
    )


def _measured_text(found: dict[str, Any]) -> str:
    dtype, speed, runs = found["dtype"], found["speed"], found["runs"]
    ratios = (f"{speed[dtype] / speed[name]:.2f}x {name} ({runs[name]})" for name in runs if name != dtype)
    return (
        f"{dtype:<10} {found['encoder']}, {runs[dtype]}, {found['texts']} texts, {found['tokens']:,} tokens: "
        f"cosine to fp32 at least {found['lowest_cosine']:.5f}, median {found['median_cosine']:.5f}; "
        f"speed {', '.join(ratios)}"
    )
