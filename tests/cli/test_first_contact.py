"""Help, completion, exit codes, and no torch where none is needed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from univar import errors, runtime
from univar.cli import COMMANDS, cli

HEAVY = {"torch", "faiss", "h5py", "pyarrow", "numpy", "transformers", "tokenizers", "sklearn", "matplotlib"}


def modules_after(statement: str) -> set[str]:
    """Top-level modules that a fresh interpreter has loaded after `statement`."""
    script = f"{statement}\nimport sys, json\nprint(json.dumps([name.split('.')[0] for name in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_import_univar_loads_nothing_heavy() -> None:
    assert not modules_after("import univar") & (HEAVY | {"click", "rich"})


def modules_after_command(*arguments: str | Path) -> set[str]:
    """The same after a command that succeeded."""
    return modules_after(
        f"import sys; sys.argv = ['univar', *{list(map(str, arguments))!r}]\n"
        "from univar.cli import main\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code, stop.code"
    )


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], *([name, "-h"] for name in COMMANDS)])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    assert not modules_after_command(*arguments) & HEAVY


def test_embedding_and_attributing_on_a_cpu_load_no_torch(
    tmp_path: Path, answers: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if runtime.choose_device() != "cpu":
        pytest.skip("a CUDA device is there, and chosen")
    monkeypatch.setenv("UNIVAR_ISA", "avx2")  # fp32: the tiny encoder is too narrow for tiles of bf16
    store = tmp_path / "store"
    assert "torch" not in modules_after_command("embed", answers, "-o", store, "-e", tiny_bert, "-q")
    assert "torch" not in modules_after_command("attribute", store, answers, "-e", tiny_bert)


def test_help_names_every_exit_code(univar: Run) -> None:
    told = " ".join(univar("--help").stdout.split("Exit codes:")[1].split())
    codes = [value for name, value in vars(errors).items() if name.startswith("EXIT_")]
    assert [int(part.split()[0]) for part in told.split(",")] == sorted(codes)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_help_has_an_example(name: str, univar: Run) -> None:
    finished = univar(name, "-h")
    assert finished.exit_code == 0
    assert "Example:" in finished.stdout
    assert f"univar {name}" in finished.stdout.split("Example:")[1]


def test_exit_codes_are_told_in_the_help(univar: Run) -> None:
    assert (
        "0 done, 1 failed, 2 wrong usage, 3 bad data, 4 done in part, 10 a limit you set was not met, "
        "11 could not tell, 130 interrupted"
    ) in " ".join(univar("--help").stdout.split())


def test_wrong_usage_exits_2(univar: Run) -> None:
    assert univar("embed").exit_code == 2
    assert univar("nonsense").exit_code == 2
    assert univar("embed", "a.jsonl", "-o", "s", "--shard", "one/two").exit_code == 2


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shell_completion_script(shell: str) -> None:
    from click.shell_completion import get_completion_class

    complete = get_completion_class(shell)
    assert complete is not None
    script = complete(cli, {}, "univar", "_UNIVAR_COMPLETE")
    assert "_UNIVAR_COMPLETE" in script.source()
    assert {item.value for item in script.get_completions([], "em")} == {"embed"}


def test_doctor_measures_a_dtype(univar: Run, tiny_bert: Path) -> None:
    printed = univar("doctor", "--dtype", "bf16", "-e", tiny_bert, "--json")
    assert printed.exit_code == 0, printed.stderr
    found = json.loads(printed.stdout)["measured"]
    assert found["dtype"] == "bf16"
    assert 0.9 < found["lowest_cosine"] <= found["median_cosine"] < 1
    text = univar("doctor", "--dtype", "bf16", "-e", tiny_bert).stdout
    [line] = [line for line in text.splitlines() if line.startswith("bf16")]
    assert f"cosine to fp32 at least {found['lowest_cosine']:.5f}" in line


def test_doctor_measures_nothing_unasked(univar: Run) -> None:
    assert "measured" not in json.loads(univar("doctor", "--json").stdout)
