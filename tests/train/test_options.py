"""An option of `univar train` is a field of a dataclass, which alone has its name, type, default and help."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import click
import pytest

from tests.train.conftest import losses, quick
from univar.cli.train import train as command
from univar.errors import UsageError
from univar.train import TrainOptions, TrainSettings, ViewSettings, train

FIELDS = [
    item
    for kind in (TrainSettings, ViewSettings, TrainOptions)
    for item in fields(kind)
    if item.metadata.get("option")
]


@pytest.mark.parametrize("item", FIELDS, ids=lambda item: item.name)
def test_a_field_with_an_option_is_an_option_of_the_command(item) -> None:
    (option,) = [option for option in command.params if option.name == item.name]
    assert isinstance(option, click.Option)
    assert option.opts == [item.metadata["option"]]
    assert option.help == item.metadata["help"]


def test_options_that_are_not_given_leave_settings_as_they_are() -> None:
    names = {item.name for item in fields(TrainSettings)} | {"qa_per_view"}
    values = command.make_context("train", ["answers.jsonl", "-o", "out"]).params
    given = {name for name in names & set(values) if values[name] is not None}
    assert not given


def test_options_go_whole_or_by_name(tiny_bert: Path, corpus_file: Path, tmp_path: Path) -> None:
    settings = quick(tiny_bert, steps=2)
    train([corpus_file], tmp_path / "whole", settings, TrainOptions(threads=1, checkpoint_every=1))
    train([corpus_file], tmp_path / "named", settings, threads=1)
    assert losses(tmp_path / "whole") == losses(tmp_path / "named")
    with pytest.raises(UsageError, match="there is no option 'checkpoint_evry'"):
        train([corpus_file], tmp_path / "out", settings, checkpoint_evry=1)


def test_a_run_folder_of_another_version_is_refused(
    tiny_bert: Path, corpus_file: Path, tmp_path: Path
) -> None:
    settings = quick(tiny_bert)
    train([corpus_file], tmp_path / "out", settings, threads=1, should_stop=lambda: True)
    (state_file,) = (tmp_path / "out.run" / "checkpoints").glob("*/state.json")
    state = json.loads(state_file.read_text())
    del state["sha256"]  # checkpoints had none then
    state["identity"]["format"] = 2
    state["progress"]["bad"] = state["progress"].pop("since_best")  # its name then
    state_file.write_text(json.dumps(state))
    with pytest.raises(UsageError, match="another version of univar"):
        train([corpus_file], tmp_path / "out", settings, threads=1, resume=True)
