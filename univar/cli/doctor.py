"""univar doctor: what is installed and what will run."""

from __future__ import annotations

from typing import Any

import click

from univar.cli.output import Output, output_options
from univar.errors import EXIT_FAILED


@click.command()
@output_options
def doctor(output: Output) -> None:
    """Show versions, devices, and which implementation each operation uses and why.

    Exit code 0 if `univar demo` can run here, else 1 with the remedy.

    \b
    Example:
        univar doctor
        univar doctor --json
    """
    from univar.model.report import installation

    facts = installation()
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
        f"extras     {named(facts['extras'], 'not installed')}",
        f"disk       {facts['free_disk_gb']} GB free here",
        *(f"missing    {problem}" for problem in facts["problems"]),
    ]
    return "\n".join(
        [*lines, "`univar demo` can run here." if not facts["problems"] else "`univar demo` cannot run."]
    )
