"""Frozen dataclasses as JSON: one key a field, old names beside new ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints


@dataclass(frozen=True)
class Was:
    """The key that a field had in the schema before; it is written too, for one release."""

    key: str


@dataclass(frozen=True)
class Inline:
    """The fields of this dataclass stand among its owner's keys."""


def to_json(value: Any) -> Any:
    """A dataclass as an object; fields that may be left out are, where they are None."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _object(value)
    if isinstance(value, Mapping):
        return {str(key): to_json(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(part) for part in value]
    return value


def _object(value: Any) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    extras = metadata_of(type(value))
    for field in dataclasses.fields(value):
        part = getattr(value, field.name)
        if part is None and field.default is None:
            continue
        written = to_json(part)
        for extra in extras.get(field.name, ()):
            if isinstance(extra, Was):
                facts[extra.key] = written
        if any(isinstance(extra, Inline) for extra in extras.get(field.name, ())):
            facts.update(written)
        else:
            facts[field.name] = written
    return facts


def metadata_of(owner: type[Any]) -> dict[str, tuple[Any, ...]]:
    """Field to what its type is annotated with."""
    hints = get_type_hints(owner, include_extras=True)
    return {name: hint.__metadata__ for name, hint in hints.items() if hasattr(hint, "__metadata__")}
