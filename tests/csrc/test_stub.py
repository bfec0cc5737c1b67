"""_native.pyi and the extension offer the same names, each with a docstring."""

from __future__ import annotations

import ast
from pathlib import Path

import univar
from univar import _native

STUB = Path(univar.__file__).with_name("_native.pyi")


def stub_names() -> set[str]:
    """Functions, classes and public methods of the stub: "pack", "HashIndex", "HashIndex.find"."""
    names = set()
    for node in ast.parse(STUB.read_text()).body:
        if isinstance(node, ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.ClassDef):
            methods = [part.name for part in node.body if isinstance(part, ast.FunctionDef)]
            names |= {node.name, *(f"{node.name}.{name}" for name in methods if not name.startswith("_"))}
    return names


def native_names() -> set[str]:
    """The same of the extension itself."""
    names = set()
    for name, member in vars(_native).items():
        if name.startswith("_"):
            continue
        names.add(name)
        if isinstance(member, type):
            names |= {f"{name}.{method}" for method in vars(member) if not method.startswith("_")}
    return names


def test_stub_has_the_names_of_the_extension() -> None:
    assert stub_names() == native_names()


def test_every_name_has_a_docstring() -> None:
    for name in native_names():
        owner, _, method = name.rpartition(".")
        member = getattr(getattr(_native, owner) if owner else _native, method)
        assert (member.__doc__ or "").strip(), f"{name} has no docstring"
