"""univar demo: the whole chain on a shipped corpus."""

from __future__ import annotations

from typing import Any

import click

from univar.cli.output import Output, output_options, printable


@click.command()
@click.option("-o", "--out", "folder", default="demo", show_default=True, help="Folder to work in.")
@click.option("-e", "--encoder", "spec", default="minilm", show_default=True, help="Name, folder or hub id.")
@output_options
def demo(folder: str, spec: str, output: Output) -> None:
    """Embed a shipped corpus, index it, attribute held-out questions and draw a map; offline.

    The corpus holds answers that two small local models gave under several system prompts and in several
    languages (examples/demo).

    \b
    Example:
        univar demo -o demo
    """
    from univar.cli.evaluate_text import evaluation_text
    from univar.demo import run_demo
    from univar.encoder.encoder import Encoder

    facts = run_demo(folder, Encoder(spec), output.note)
    text = "\n".join([evaluation_text(facts["evaluation"]), "", *_examples(facts), *_next_steps(facts)])
    output.result(facts, text)


def _examples(facts: dict[str, Any]) -> list[str]:
    lines = ["Three held-out answers and what their neighbours say:"]
    for example in facts["examples"]:
        ranking = ", ".join(f"{source['label']} {source['share']:.0%}" for source in example["sources"])
        verdict = "right" if example["sources"][0]["label"] == example["truth"] else "wrong"
        lines += [
            f"  {printable(example['question'])}",
            f"    {printable(example['answer'])[:140]} ...",
            f"    -> {ranking}   truth: {example['truth']} ({verdict})",
        ]
    return lines


def _next_steps(facts: dict[str, Any]) -> list[str]:
    folder = facts["folder"]
    return [
        "",
        f"A map of the sources is in {facts['map']}.",
        "Next, with answers of your own (columns model, language, question, answer):",
        "  univar check answers.jsonl",
        "  univar embed answers.jsonl -o runs/answers",
        f"  univar attribute {folder}/reference -k 20 < {folder}/heldout.jsonl",
    ]
