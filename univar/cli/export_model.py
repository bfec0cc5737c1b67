"""`univar export-model`: an encoder as a SentenceTransformer folder."""

from __future__ import annotations

import click

from univar.cli.common import Output, output_options


@click.command("export-model")
@click.argument("spec", metavar="ENCODER")
@click.option("-o", "--out", "folder", required=True, help="Folder to write.")
@click.option(
    "--max-length", type=int, help="Truncate texts to this many tokens; default: the encoder's own limit."
)
@click.option("--part", help="Part to write of an encoder with several, e.g. values.")
@click.option("--force", is_flag=True, help="Replace the folder if it exists.")
@output_options
def export_model(
    spec: str, folder: str, max_length: int | None, part: str | None, force: bool, output: Output
) -> None:
    """Write an encoder as a folder that sentence-transformers 5 and 6 open without remote code.

    ENCODER is a name, a folder or a hub id, alone or with an adapter (minilm+folder). Of univar-2 and
    univar-2-multilingual, one part is written.

    \b
    Example:
        univar export-model minilm -o runs/minilm
        univar export-model univar-2 --part source -o runs/source
    """
    from univar.encoder.export import export_encoder
    from univar.encoder.spec import resolve_part

    source = resolve_part(spec, part)
    export_encoder(source, folder, max_length=max_length, force=force)
    facts = {"encoder": source.id, "revision": source.revision, "folder": folder}
    output.result(facts, f"{source.id} (revision {source.revision}) -> {folder}")
