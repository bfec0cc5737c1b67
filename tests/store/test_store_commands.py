"""univar info, verify, export and merge: what they print and how they exit."""

import json
import sys

import pytest

from tests.store.store_rows import flip_bit, rows, write
from univar.cli import main
from univar.store import Store


@pytest.fixture
def run(monkeypatch, capsys):
    """Run a command line; returns exit code, stdout and stderr."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["univar", *map(str, arguments)])
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = stop.code
        return (code, *capsys.readouterr())

    return call


@pytest.fixture
def store(tmp_path):
    return write(tmp_path / "s", rows(40, 0, model=[f"m{row}" for row in range(40)]), rows(3, 1))


def test_info_counts_rows_by_source_and_cuts_the_table(run, store):
    code, out, _ = run("info", store)
    assert code == 0
    assert "43 rows x 4 dims, float16" in out
    assert "and 23 more sources" in out
    assert "21 rows truncated" in out


def test_info_as_json_has_stable_names(run, store):
    _, out, _ = run("info", store, "--json")
    facts = json.loads(out)
    names = """path rows dim dtype encoder text_format columns sources models languages tokens truncated
        reused shards size_bytes workers workers_present fingerprint runs format parts pieces answer_tokens
        answer_tokens_read unknown_share question_only question_cut"""
    assert set(facts) == set(names.split())
    assert sum(facts["sources"].values()) == sum(facts["languages"].values()) == facts["rows"] == 43
    assert facts["fingerprint"] == Store(store).fingerprint


def test_info_shows_control_characters_of_strangers_as_escapes(run, tmp_path):
    _, out, _ = run("info", write(tmp_path / "s", rows(1, model=["evil\x1b[2J\u202e"])))
    assert "\x1b" not in out
    assert "\u202e" not in out


def test_verify_of_a_sound_store_exits_with_0(run, store):
    code, out, err = run("verify", store)
    assert (code, err) == (0, "")
    assert out.strip().endswith(": ok")
    assert "43 rows, 2 shards, 2 blocks" in out


def test_verify_of_a_damaged_store_exits_with_3_and_a_line_per_problem(run, store):
    flip_bit(store / "shards/00000000.h5", 3000)
    (store / "shards/00000001.h5").unlink()
    code, out, _ = run("verify", store)
    assert code == 3
    assert len(out.strip().splitlines()) == 3
    code, out, _ = run("verify", store, "--json")
    assert code == 3
    assert len(json.loads(out)["problems"]) == 2


def test_verify_puts_notes_on_stderr(run, store):
    (store / "shards/00000009.h5").write_bytes(b"")
    code, out, err = run("verify", store)
    assert code == 0
    assert "00000009.h5" in err
    assert "00000009.h5" not in out


def test_export_says_what_it_wrote(run, store, tmp_path):
    code, out, _ = run("export", store, "-o", tmp_path / "e.npy", "--json")
    assert code == 0
    assert json.loads(out)["rows"] == 43
    code, _, err = run("export", store, "-o", tmp_path / "e.npy")
    assert code == 2
    assert "--force" in err
    assert run("export", store, "-o", tmp_path / "e.npy", "--force")[0] == 0


@pytest.mark.parametrize("option", ["--to", "--format"])
def test_export_takes_its_format_under_the_new_name_and_the_old(run, store, tmp_path, option):
    code, out, _ = run("export", store, "-o", tmp_path / "e.data", option, "npy", "--json")
    assert (code, json.loads(out)["format"]) == (0, "npy")
    assert "--format" not in run("export", "-h")[1]


def test_numbers_agree_with_their_nouns(run, tmp_path):
    store = write(tmp_path / "one", rows(1))
    assert "1 row, 1 shard, 1 block," in run("verify", store)[1]
    assert "1 shard," in run("info", store)[1]


def test_merge_says_what_it_dropped(run, store, tmp_path):
    other = write(tmp_path / "t", rows(3, 1), rows(2, 2))
    code, out, _ = run("merge", store, other, "-o", tmp_path / "both", "--json")
    assert code == 0
    facts = json.loads(out)
    assert (facts["rows"], facts["read"], facts["duplicates"], facts["added"]) == (45, 48, 3, 45)
    assert "3 duplicates dropped, 0 added" in run("merge", store, other, "-o", tmp_path / "both")[1]


@pytest.mark.parametrize("command", ["info", "verify", "merge", "export"])
def test_a_folder_without_a_store_exits_with_3_and_one_sentence(run, tmp_path, command):
    out = ["-o", tmp_path / "out.npy"] if command in ("merge", "export") else []
    code, printed, err = run(command, tmp_path / "absent", *out)
    assert (code, printed) == (3, "")
    assert err.count("\n") == 1
    assert "is not a univar store" in err
