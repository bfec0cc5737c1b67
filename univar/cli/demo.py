"""univar demo: the whole chain on a shipped corpus."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from univar.cli.common import Output, table_options

if TYPE_CHECKING:
    from univar.demo import DemoReport


@click.command()
@click.option("-o", "--out", "folder", default="demo", show_default=True, help="Folder for stores and map.")
@click.option("-e", "--encoder", "spec", default="minilm", show_default=True, help="Name, folder or hub id.")
@table_options
def demo(folder: str, spec: str, output: Output) -> None:
    """Embed a shipped corpus, index it, attribute held-out questions and draw a map; offline.

    The corpus holds answers that two small local models gave under several system prompts and in several
    languages (examples/demo).

    \b
    Example:
        univar demo -o demo
    """
    from univar.demo import run_demo
    from univar.encoder.encoder import Encoder
    from univar.evaluate.text import tables

    found = run_demo(folder, Encoder(spec), output.note)
    text = "\n".join([*_examples(found), *_next_steps(found)])
    output.result(found.to_json(), [*tables(found.evaluation), text])


def _examples(found: DemoReport) -> list[str]:
    lines = ["Three held-out answers, and the sources of their nearest neighbours:"]
    for example in found.examples:
        ranking = ", ".join(f"{source['label']} {source['share']:.0%}" for source in example["sources"])
        right = example["sources"][0]["label"] == example["truth"]
        lines += [
            f"  {example['question']}",
            f"    {example['answer'][:140]} ...",
            f"    -> {ranking}   truth: {example['truth']} ({'right' if right else 'wrong'})",
        ]
    return lines


def _next_steps(found: DemoReport) -> list[str]:
    return [
        "",
        f"A map of the sources is in {found.map}; one to explore in a browser is {found.map_page}.",
        f"A report is in {found.report}.",
        "Next, with answers of your own (columns model, language, question, answer):",
        "  univar check answers.jsonl",
        "  univar embed answers.jsonl -o runs/answers",
        f"  univar attribute {found.folder}/reference -k 20 < {found.folder}/heldout.jsonl",
    ]
