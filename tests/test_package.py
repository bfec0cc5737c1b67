"""What setup.py puts into a wheel: every module and every data file, also behind the link univar/kernels."""

from __future__ import annotations

import fnmatch
import runpy
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPOSITORY

PACKAGE = REPOSITORY / "univar"


@pytest.fixture
def packaged(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The arguments that setup.py gives to setuptools."""
    setuptools = pytest.importorskip("setuptools")
    arguments: dict[str, Any] = {}
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setattr(setuptools, "setup", lambda **given: arguments.update(given))
    runpy.run_path("setup.py")
    return arguments


def files_of(folder: Path) -> list[Path]:
    """Files below a folder, links followed, relative to the folder that holds it; no build products."""
    files = [*folder.rglob("*"), *(folder / "kernels").resolve().rglob("*")]
    kernels = (folder / "kernels").resolve()
    named = (
        Path("univar/kernels") / path.relative_to(kernels)
        if path.is_relative_to(kernels)
        else path.relative_to(folder.parent)
        for path in files
        if path.is_file()
    )
    return sorted({path for path in named if path.suffix not in {".pyc", ".so"}})


def test_every_module_is_in_a_package(packaged: dict[str, Any]) -> None:
    modules = [path for path in files_of(PACKAGE) if path.suffix == ".py"]
    assert Path("univar/kernels/info_nce/__init__.py") in modules
    missing = [str(path) for path in modules if ".".join(path.parent.parts) not in packaged["packages"]]
    assert not missing


def test_every_data_file_is_package_data(packaged: dict[str, Any]) -> None:
    data = [path for path in files_of(PACKAGE) if path.suffix != ".py"]
    assert {".toml", ".txt", ".safetensors", ".json"} <= {path.suffix for path in data}
    patterns = [
        "/".join([*package.split("."), pattern])
        for package, globs in packaged["package_data"].items()
        for pattern in globs
    ]
    missing = [str(path) for path in data if not any(fnmatch.fnmatch(str(path), glob) for glob in patterns)]
    assert not missing


def test_the_demo_s_answers_are_package_data(packaged: dict[str, Any]) -> None:
    folder = REPOSITORY / packaged["package_dir"]["univar.demo_data"]
    assert list(folder.glob("*.jsonl"))
    assert packaged["package_data"]["univar.demo_data"] == ["*.jsonl"]
