"""univar train: a value encoder from answers."""

from __future__ import annotations

import click

from univar.cli.options import input_options
from univar.cli.output import Output, output_options
from univar.errors import EXIT_INTERRUPTED


@click.command()
@click.argument("inputs", nargs=-1, required=True)
@click.option("-o", "--out", required=True, help="Folder of the encoder; the run works in OUT.run beside it.")
@click.option(
    "--preset", default="default", show_default=True, help="default or paper-lambda-1, -5, -20, -80."
)
@click.option("--recipe", type=click.Path(dir_okay=False), help="TOML file of settings on top of the preset.")
@click.option("--base", help="Encoder to start from; default: the preset's.")
@click.option("--budget-minutes", type=float, help="Stop after so many minutes of training.")
@click.option("--steps", type=int, help="Stop after so many steps.")
@click.option("--epochs", type=float, help="Stop after so many pairs per answer.")
@click.option("--batch", type=int, help="Pairs of a step.")
@click.option("--max-length", type=int, help="Tokens of a view.")
@click.option("--qa-per-view", metavar="N|A-B", help="Answers of a view, e.g. 1 or 1-5.")
@click.option("--lr", "learning_rate", type=float, help="Highest learning rate.")
@click.option("--temperature", type=float, help="Similarities are divided by it.")
@click.option("--loss", help="info_nce, barlow_twins or value_aware.")
@click.option("--non-value", multiple=True, help="Answers to non-value questions, for --loss value_aware.")
@click.option("--lora-rank", type=int, help="Train an adapter of this rank instead of all weights.")
@click.option("--seed", type=int, help="Of every draw.")
@click.option(
    "--set", "changes", multiple=True, metavar="KEY=VALUE", help="Any other setting, e.g. views.overlap=true."
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:1.")
@click.option("--threads", type=int, help="CPU threads; default: all that the process may use.")
@click.option("--checkpoint-every", default=50, show_default=True, help="Steps between checkpoints.")
@click.option("--resume", is_flag=True, help="Go on where the same command was stopped or killed.")
@click.option("--force", is_flag=True, help="Replace OUT if it exists.")
@click.option(
    "--log", type=click.Choice(["tensorboard", "trackio", "wandb"]), help="Track metrics there too."
)
@input_options
@output_options
def train(
    inputs: tuple[str, ...],
    out: str,
    preset: str,
    recipe: str | None,
    qa_per_view: str | None,
    changes: tuple[str, ...],
    non_value: tuple[str, ...],
    device: str,
    threads: int | None,
    checkpoint_every: int,
    resume: bool,
    force: bool,
    log: str | None,
    format: str | None,
    rename: dict[str, str],
    output: Output,
    **given: object,
) -> None:
    """Train an encoder to bring answers of one source (model and language) together.

    INPUTS are answer files or stores of answers. The finished folder opens in univar and in
    SentenceTransformer; with --lora-rank its `adapter` folder is a spec too: minilm+OUT/adapter. Several
    processes: torchrun --nproc-per-node 2 -m univar train ...

    \b
    Example:
        univar train answers.jsonl -o encoder --steps 3 --batch 8 --set validate_every=0
        univar train answers.jsonl -o encoder-lora --steps 2 --batch 8 --lora-rank 4
    """
    from univar.cli.progress import stop_on_signals
    from univar.cli.training import TrainingReporter, settings_of
    from univar.train import train as run_training

    settings = settings_of(preset, recipe, qa_per_view, changes, given)
    with TrainingReporter(output) as reporter:
        report = run_training(
            inputs,
            out,
            settings,
            non_value=non_value,
            resume=resume,
            force=force,
            device=device,
            threads=threads,
            checkpoint_every=checkpoint_every,
            log=log,
            format=format,
            rename=rename,
            on_progress=reporter.update,
            should_stop=stop_on_signals().is_set,
        )
    output.result({"folder": report.folder, **report.facts}, report.summary())
    if report.folder is None:
        output.note("interrupted: the same command with --resume continues")
        raise SystemExit(EXIT_INTERRUPTED)
