"""Reading a models.toml: which models to ask, and how.

[personas.rebel]                      # a system prompt, per language or for all of them (key "all")
eng = "You love freedom and new things. Answer in the first person."

[[models]]
name = "small"                        # the model's name in the answers; with a persona `small:rebel`
api = "openai"                        # openai, anthropic, cohere; in this process gguf, transformers, vllm
url = "http://127.0.0.1:8080/v1"
model = "smollm2"                     # its name at the endpoint or on disk
personas = ["", "rebel"]              # "" means no system prompt
sampling = { temperature = 0.8, max_tokens = 128 }
"""

from __future__ import annotations

import math
import os
import re
import stat
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from univar.elicit.requests import ALL_LANGUAGES, LOCAL_APIS, REMOTE_APIS, ModelEntry, Persona
from univar.errors import DataError, UsageError
from univar.files import read_toml
from univar.schema import normalize_language

PAPER_REMOTE_SAMPLING = {"max_tokens": 128}
PAPER_LOCAL_SAMPLING = {"max_tokens": 128, "temperature": 1.0, "top_k": 50, "top_p": 0.95}
"""The sampling of UniVaR's authors; endpoints chose everything but the length themselves."""

MASK = "[key]"
"""Stands for a key that an endpoint sent back."""

_NAME = re.compile(r"[^\x00-\x1f\x7f-\x9f]{1,200}")
_URL = re.compile(r"[^\s\x00-\x20\x7f-\xa0]+")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def read_models(path: str | os.PathLike[str], environment: Mapping[str, str]) -> tuple[ModelEntry, ...]:
    """The entries of a models.toml. environment: where `key_env` is looked up.

    Raises DataError, with place and key, for a value that makes no sense; UsageError for a missing key.
    """
    tables = read_toml(path)
    where = os.fspath(path)
    unknown = sorted(set(tables) - {"models", "personas"})
    if unknown:
        raise DataError(f"{where}: unknown table [{unknown[0]}]: use [[models]] and [personas.NAME]")
    personas = _personas(tables.get("personas", {}), where)
    listed = tables.get("models")
    if not (isinstance(listed, list) and listed and all(isinstance(table, dict) for table in listed)):
        raise DataError(f"{where} names no model: add a table [[models]] with name, api and model")
    models = tuple(_entry(table, personas, environment, where, Path(path).parent) for table in listed)
    names = [model.respondent_name(persona) for model in models for persona in model.personas]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"{where}: two models are called {twice!r}: give each its own name")
    return models


def choose(models: tuple[ModelEntry, ...], names: Collection[str]) -> tuple[ModelEntry, ...]:
    """Those of `models` that `names` lists; all if it is empty. Raises UsageError for an unknown name."""
    known = {model.name for model in models}
    unknown = sorted(set(names) - known)
    if unknown:
        raise UsageError(f"unknown model {unknown[0]!r}: choose from {', '.join(sorted(known))}")
    return tuple(model for model in models if not names or model.name in names)


def _personas(tables: Any, where: str) -> dict[str, Persona]:
    if not isinstance(tables, dict):
        raise DataError(f"{where}: write personas as tables such as [personas.rebel]")
    personas = {"": Persona()}
    for name, texts in tables.items():
        place = f"{where}: [personas.{name}]"
        if not _NAME.fullmatch(name):
            raise DataError(f"{where}: a persona needs a name of 1 to 200 printable characters")
        if not (isinstance(texts, dict) and texts and all(_is_text(text) for text in texts.values())):
            raise DataError(f'{place} needs texts such as eng = "..."')
        codes: dict[str, str] = {}
        for language, text in texts.items():
            code = language if language == ALL_LANGUAGES else _language(language, place)
            if code in codes:
                raise DataError(f"{place} has two texts in {code}: keep one of them")
            codes[code] = text.strip()
        personas[name] = Persona(name, codes)
    return personas


@dataclass(frozen=True)
class _Rule:
    """What a setting must be. fits: whether a value is; expected: the same in words."""

    fits: Callable[[Any], bool]
    expected: str


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _number(low: float, high: float, unit: str = "") -> _Rule:
    expected = f"a number from {low:g} to {high:,g}{unit}"
    return _Rule(lambda value: _is_number(value) and low <= value <= high, expected)


def _whole(low: int, high: int) -> _Rule:
    expected = f"a whole number from {low:,} to {high:,}"
    return _Rule(lambda value: type(value) is int and low <= value <= high, expected)


def _one_of(*words: str) -> _Rule:
    return _Rule(lambda value: value in words, f"one of {', '.join(words)}")


_TEXT = _Rule(_is_text, "a text in quotes")
_PRINTABLE = _Rule(
    lambda value: _is_text(value) and _NAME.fullmatch(value.strip()) is not None,
    "a text of 1 to 200 printable characters in quotes",
)
_TEXTS = _Rule(
    lambda value: isinstance(value, list) and all(isinstance(text, str) for text in value),
    "a list of texts in quotes",
)
_RULES: dict[str, _Rule] = {
    "name": _PRINTABLE,
    "api": _one_of(*REMOTE_APIS, *LOCAL_APIS),
    "model": _Rule(
        lambda value: _is_text(value) and value.isprintable(), "a text of printable characters in quotes"
    ),
    "url": _TEXT,
    "key_env": _TEXT,
    "key_file": _TEXT,
    "languages": _TEXTS,
    "personas": _TEXTS,
    "sampling": _Rule(lambda value: isinstance(value, dict), "a table such as { temperature = 0.8 }"),
    "seeded": _Rule(lambda value: isinstance(value, bool), "true or false"),
    "requests_per_minute": _number(0, 1e9, " (0 for no limit)"),
    "tokens_per_minute": _number(0, 1e12, " (0 for no limit)"),
    "concurrency": _whole(1, 10_000),
    "timeout_s": _number(0.001, 86_400),
    "attempts": _whole(1, 100),
    "backoff_s": _number(0.001, 3600),
    "price_input": _number(0, 1e9),
    "price_output": _number(0, 1e9),
}
_LOCAL_RULES: dict[str, dict[str, _Rule]] = {
    "gguf": {
        "context_tokens": _whole(64, 10_000_000),
        "threads": _whole(1, 10_000),
        "gpu_layers": _whole(-1, 10_000),
    },
    "transformers": {
        "batch_size": _whole(1, 100_000),
        "load_in": _one_of("8bit", "4bit"),
        "dtype": _TEXT,
        "device": _TEXT,
    },
    "vllm": {
        "gpu_memory_utilization": _number(0.01, 1),
        "tensor_parallel_size": _whole(1, 10_000),
        "dtype": _TEXT,
    },
}
_SAMPLING_RULES: dict[str, _Rule] = {
    "max_tokens": _whole(1, 10_000_000),
    "max_completion_tokens": _whole(1, 10_000_000),
    "temperature": _number(0, 100),
    "top_p": _number(0, 1),
    "top_k": _whole(-1, 10_000_000),
    "n": _Rule(lambda value: value == 1, "1 (use --samples for several answers)"),
    "stream": _Rule(lambda value: value is False, "false"),
}
_RESERVED = ("model", "messages", "seed", "system")


def _entry(
    table: dict[str, Any],
    personas: dict[str, Persona],
    environment: Mapping[str, str],
    where: str,
    folder: Path,
) -> ModelEntry:
    if not _PRINTABLE.fits(table.get("name")):
        raise DataError(f"{where}: each [[models]] needs a name: {_PRINTABLE.expected}")
    where = f"{where}: model {table['name']!r}"
    api = table.get("api", "openai")
    rules = {**_RULES, **_LOCAL_RULES.get(api if isinstance(api, str) else "", {})}
    _check(table, rules, where)
    local = api in LOCAL_APIS
    key = read_key(table.get("key_env"), table.get("key_file"), environment, where)
    wanted = table.get("personas", [""])
    missing = next((persona for persona in wanted if persona not in personas), None)
    if missing is not None:
        raise DataError(f"{where}: the file has no [personas.{missing}]: add it, or leave the name out")
    plain = (
        "seeded requests_per_minute tokens_per_minute timeout_s attempts backoff_s price_input price_output"
    )
    return ModelEntry(
        name=table["name"].strip(),
        api=api,
        model=_model_name(table, folder if local else None),
        url="" if local else _checked_url(table.get("url", REMOTE_APIS.get(api, "")), key, where),
        key=key,
        languages=tuple(_language(code, where) for code in table.get("languages", [])),
        personas=tuple(personas[persona] for persona in dict.fromkeys(wanted)),
        sampling=_sampling(table.get("sampling", {}), local, where),
        concurrency=table.get("concurrency", 4 if api == "gguf" else 16),
        options={name: table[name] for name in _LOCAL_RULES.get(api, {}) if name in table},
        **{name: table[name] for name in plain.split() if name in table},
    )


def _check(table: Mapping[str, Any], rules: Mapping[str, _Rule], where: str) -> None:
    """Raise DataError for the first setting of `table` that `rules` does not know or allow."""
    for name, value in table.items():
        if name not in rules:
            raise DataError(f"{where}: unknown setting {name!r}: known are {', '.join(rules)}")
        _check_value(name, value, rules[name], where)


def _check_value(name: str, value: Any, rule: _Rule, where: str) -> None:
    if not rule.fits(value):
        shown = repr(value)
        shown = shown if len(shown) <= 60 else shown[:60] + "..."
        raise DataError(f"{where}: {name} must be {rule.expected}, not {shown}")


def _sampling(given: dict[str, Any], local: bool, where: str) -> dict[str, Any]:
    """The sampling of an entry: what is given, and the paper's settings for the rest."""
    for name, value in given.items():
        if name in _RESERVED:
            raise DataError(f"{where}: sampling.{name} is set by univar: leave it out")
        rule = _SAMPLING_RULES.get(name, _Rule(_is_json, "a value that JSON can hold"))
        _check_value(f"sampling.{name}", value, rule, where)
    sampling = {**(PAPER_LOCAL_SAMPLING if local else PAPER_REMOTE_SAMPLING), **given}
    if "max_completion_tokens" in sampling:
        sampling.pop("max_tokens")
    return sampling


def _is_json(value: Any) -> bool:
    """Whether a TOML value has the same in JSON: dates, NaN and infinities do not."""
    if isinstance(value, list):
        return all(map(_is_json, value))
    if isinstance(value, dict):
        return all(map(_is_json, value.values()))
    return isinstance(value, str | bool) or _is_number(value)


def _model_name(table: Mapping[str, Any], folder: Path | None) -> str:
    """The entry's `model`, its name by default; a path below `folder` if there is such a file or folder."""
    model: str = table.get("model", table["name"])
    return str(folder / model) if folder is not None and (folder / model).exists() else model


def _language(code: str, where: str) -> str:
    try:
        return normalize_language(code)
    except DataError as error:
        raise DataError(f"{where}: {error}") from None


def _checked_url(url: str, key: Key | None, where: str) -> str:
    """`url` without a slash at the end. Raises DataError where a request to it could give the key away."""
    try:
        parts = urlsplit(url)
        host, port_is_valid = parts.hostname, parts.port != 0
        if host and ":" not in host:
            host.encode("idna")
    except ValueError:  # a port or a name that no host can have
        host, port_is_valid = None, False
    if not host or not port_is_valid or parts.scheme not in ("http", "https") or not _URL.fullmatch(url):
        raise DataError(
            f"{where}: url must be an address such as https://host/v1 or http://127.0.0.1:8080/v1"
        )
    if parts.username or parts.password or parts.query or parts.fragment:
        raise DataError(f"{where}: url must contain no user, password or query: name the key with key_env")
    if key is not None and parts.scheme == "http" and host not in _LOOPBACK:
        raise DataError(f"{where}: the key would be sent unencrypted: use https, or no key")
    return url.rstrip("/")


class Key:
    """An API key. Only `reveal` gives its text; str, repr and JSON never do."""

    __slots__ = ("_in_json", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        characters = (f"(?:{re.escape(char)}|\\\\u00{ord(char):02x})" for char in text)
        self._in_json = re.compile("".join(characters).encode(), re.IGNORECASE)

    def __repr__(self) -> str:
        return "Key(***)"

    def reveal(self) -> str:
        """The key itself, for a request's header."""
        return self._text

    def scrub(self, text: str) -> str:
        """`text` with MASK in place of the key, in case a server sent it back."""
        return text.replace(self._text, MASK)

    def scrub_json(self, raw: bytes) -> bytes:
        """`raw` with MASK in place of the key, also where JSON escapes some of its characters."""
        return self._in_json.sub(MASK.encode(), raw)


def read_key(env: str | None, file: str | None, environment: Mapping[str, str], owner: str) -> Key | None:
    """The key in the variable `env` or in `file`; None if neither is named.

    owner: whose key it is, for messages. Raises UsageError if the variable is not set, others can read the
    file, or its content cannot be a key.
    """
    if env is not None and file is not None:
        raise UsageError(f"{owner}: give key_env or key_file, not both")
    if env is not None:
        if not environment.get(env):
            raise UsageError(f"{owner}: the environment variable {env} is not set: set it to the key")
        return _key(environment[env], f"{owner}: the environment variable {env}")
    if file is None:
        return None
    try:
        path = Path(file).expanduser()
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode) or mode & 0o077:
            raise UsageError(f"{owner}: others can read {path}: run `chmod 600` on it")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{owner}: cannot read the key file {file} ({error.strerror})") from None
    except (ValueError, RuntimeError):  # not UTF-8, a NUL in the path, no such user
        raise UsageError(f"{owner}: the key file {file!r} must be a text file with only the key") from None
    return _key(text, f"{owner}: the key file {path}")


def _key(text: str, where: str) -> Key:
    text = text.strip()
    if len(text) < 4 or not (text.isascii() and text.isprintable()) or " " in text or os.sep * 2 in text:
        raise UsageError(f"{where} does not hold a key: expected one word of ASCII characters")
    return Key(text)
