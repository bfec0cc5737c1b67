"""The adapter that the package carries: small, named, documented, trained on what may be shared."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from univar import Encoder
from univar.encoder.spec import is_installed, resolve

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MAX_BYTES = 5_000_000
NON_COMMERCIAL = {"alpacaeval", "llmzoo", "do_not_answer"}
RECIPE = Path(__file__).resolve().parents[2] / "recipes" / "univar-mini.toml"


@pytest.fixture
def adapter() -> Path:
    """Folder of the shipped adapter."""
    if not is_installed("univar-mini"):
        pytest.skip("univar-mini or the extra [minilm] is not installed")
    folder = resolve("univar-mini").adapter
    assert folder is not None
    return folder


def test_it_is_small_and_has_a_card(adapter: Path) -> None:
    assert sum(path.stat().st_size for path in adapter.iterdir()) <= MAX_BYTES
    card = (adapter / "README.md").read_text(encoding="utf-8")
    assert "Held-out questions" in card
    corpora = card.split("only source_corpus:")[1].split("|")[0]
    assert not any(name in corpora for name in NON_COMMERCIAL)


def test_it_was_trained_by_the_recipe(adapter: Path) -> None:
    recipe = tomllib.loads(RECIPE.read_text(encoding="utf-8"))
    config = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
    facts = json.loads((adapter / "univar_adapter.json").read_text(encoding="utf-8"))
    trained = (config["r"], facts["base"], facts["steps"])
    assert trained == (recipe["lora_rank"], recipe["base"], recipe["steps"])
    assert facts["base_revision"] == resolve("minilm").revision
    assert not NON_COMMERCIAL & set(recipe["where"]["source_corpus"])


def test_it_embeds_otherwise_than_its_base(adapter: Path) -> None:
    texts = ["Q: Should one lie to spare a friend? A: Rarely, since trust matters more."]
    mini, base = Encoder("univar-mini", threads=1), Encoder("minilm", threads=1)
    assert mini.info["id"] == "univar-mini"
    assert (mini.encode(texts) * base.encode(texts)).sum() < 0.99
