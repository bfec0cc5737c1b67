"""The models to ask, as a models.toml names them.

[personas.rebel]                      # a system prompt, in each language or for all (key "all")
eng = "You love freedom and new things. Answer in the first person."

[[models]]
name = "small"                        # the model's name in the answers; with a persona `small:rebel`
api = "openai"                        # openai, anthropic, cohere; in this process gguf, transformers, vllm
url = "http://127.0.0.1:8080/v1"
model = "smollm2"                     # what the endpoint or the disk calls it
personas = ["", "rebel"]              # "" is no system prompt
sampling = { temperature = 0.8, max_tokens = 128 }
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from univar.elicit.keys import Key, read_key
from univar.errors import DataError, UsageError
from univar.files import read_toml
from univar.schema import normalize_language

REMOTE_APIS = {
    "openai": "https://api.openai.com/v1",
    "anthropic": "https://api.anthropic.com/v1",
    "cohere": "https://api.cohere.com/v2",
}
"""APIs that are asked over HTTP, and where if models.toml has no url."""

LOCAL_APIS = ("gguf", "transformers", "vllm")
"""Models that run in this process."""

PAPER_REMOTE_SAMPLING = {"max_tokens": 128}
PAPER_LOCAL_SAMPLING = {"max_tokens": 128, "temperature": 1.0, "top_k": 50, "top_p": 0.95}
"""How UniVaR's authors sampled: endpoints decide all but the length themselves."""

ALL_LANGUAGES = "all"
_NAME = re.compile(r"[^\x00-\x1f\x7f-\x9f]{1,200}")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Persona:
    """A system prompt. name: "" for none; texts: language (or "all") to system prompt."""

    name: str = ""
    texts: Mapping[str, str] = field(default_factory=dict)

    def system(self, language: str) -> str:
        """The system prompt in `language`, "" for none. Raises UsageError where a named persona has none."""
        text = self.texts.get(language) or self.texts.get(ALL_LANGUAGES) or ""
        if self.name and not text:
            raise UsageError(
                f"the persona {self.name!r} has no text in {language}: add `{language} = ...` or "
                f"`{ALL_LANGUAGES} = ...` below [personas.{self.name}]"
            )
        return text


@dataclass(frozen=True, eq=False)
class Model:
    """One [[models]] table.

    languages: ISO 639-3, empty for all; requests_per_minute, tokens_per_minute: 0 for no limit; timeout_s:
    for one request as a whole; attempts: how often a request is tried; backoff_s: the first wait between
    them, which doubles; prices: money per million tokens;
    options: what only its api knows.
    """

    name: str
    api: str
    model: str
    url: str = ""
    key: Key | None = None
    languages: tuple[str, ...] = ()
    personas: tuple[Persona, ...] = (Persona(),)
    sampling: Mapping[str, Any] = field(default_factory=dict)
    seeded: bool = True
    requests_per_minute: float = 0
    tokens_per_minute: float = 0
    concurrency: int = 16
    timeout_s: float = 120
    attempts: int = 6
    backoff_s: float = 1.0
    price_input: float = 0
    price_output: float = 0
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def local(self) -> bool:
        """Whether it runs in this process."""
        return self.api in LOCAL_APIS

    @property
    def max_tokens(self) -> int:
        """The most tokens of one answer."""
        return int(self.sampling.get("max_completion_tokens", self.sampling.get("max_tokens", 0)))

    def source(self, persona: Persona) -> str:
        """The model's name in the answers."""
        return f"{self.name}:{persona.name}" if persona.name else self.name

    def settings(self, persona: Persona) -> dict[str, Any]:
        """What makes the answers what they are: an answer file mixes no two of these under one name."""
        return {
            "api": self.api,
            "model": self.model,
            "sampling": dict(self.sampling),
            "system": dict(persona.texts),
            **({"options": dict(self.options)} if self.options else {}),
        }

    def cost(self, prompt_tokens: float, completion_tokens: float) -> float:
        """What so many tokens cost, in the currency of the prices."""
        return (prompt_tokens * self.price_input + completion_tokens * self.price_output) / 1e6


def read_models(path: str | os.PathLike[str], environment: Mapping[str, str]) -> tuple[Model, ...]:
    """The models of a models.toml. environment: where `key_env` is looked up.

    Raises DataError for a file that is no such thing, UsageError for keys that are missing.
    """
    tables = read_toml(path)
    where = os.fspath(path)
    unknown = sorted(set(tables) - {"models", "personas"})
    if unknown:
        raise DataError(f"{where}: unknown table [{unknown[0]}]: there are [[models]] and [personas.NAME]")
    personas = _personas(tables.get("personas", {}), where)
    listed = tables.get("models")
    if not (isinstance(listed, list) and listed and all(isinstance(table, dict) for table in listed)):
        raise DataError(f"{where} names no model: add a table [[models]] with name, api and model")
    models = tuple(_model(table, personas, environment, where, Path(path).parent) for table in listed)
    names = [model.source(persona) for model in models for persona in model.personas]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"{where}: two models are called {twice!r}: give each a name of its own")
    return models


def choose(models: tuple[Model, ...], names: Collection[str]) -> tuple[Model, ...]:
    """Those of `models` called by `names`; all for no names. Raises UsageError for a name that none has."""
    known = {model.name for model in models}
    unknown = sorted(set(names) - known)
    if unknown:
        raise UsageError(f"there is no model {unknown[0]!r}; there are {', '.join(sorted(known))}")
    return tuple(model for model in models if not names or model.name in names)


def _personas(tables: Any, where: str) -> dict[str, Persona]:
    if not isinstance(tables, dict):
        raise DataError(f"{where}: personas are tables such as [personas.rebel]")
    personas = {"": Persona()}
    for name, texts in tables.items():
        if not (isinstance(texts, dict) and texts and all(isinstance(text, str) for text in texts.values())):
            raise DataError(f'{where}: [personas.{name}] needs texts such as eng = "..."')
        codes = {
            language if language == ALL_LANGUAGES else normalize_language(language): text.strip()
            for language, text in texts.items()
        }
        personas[name] = Persona(name, codes)
    return personas


class _Table:
    """One [[models]] table: values are taken out with their types checked; what is left is unknown."""

    def __init__(self, table: dict[str, Any], where: str) -> None:
        self._left = dict(table)
        self.where = where

    def take(self, name: str, kind: type, default: Any) -> Any:
        value = self._left.pop(name, default)
        if kind is float and type(value) is int:
            value = float(value)
        if value is not default and (type(value) is not kind):
            raise DataError(f"{self.where}: {name} must be {_KINDS[kind]}, not {value!r}")
        return value

    def positive(self, name: str, kind: type, default: float) -> Any:
        value = self.take(name, kind, default)
        if value <= 0:
            raise DataError(f"{self.where}: {name} must be above 0, not {value}")
        return value

    def texts(self, name: str, default: list[str]) -> list[str]:
        value = self.take(name, list, default)
        if not all(isinstance(text, str) for text in value):
            raise DataError(f"{self.where}: {name} must be a list of texts in quotes")
        return value

    def finish(self, known: Mapping[str, type]) -> dict[str, Any]:
        options = {name: self.take(name, kind, None) for name, kind in known.items() if name in self._left}
        if self._left:
            there = ", ".join((*_SETTINGS, *known))
            raise DataError(f"{self.where}: unknown setting {sorted(self._left)[0]!r}: there are {there}")
        return options


_SETTINGS = (
    "name api model url key_env key_file languages personas sampling seeded requests_per_minute "
    "tokens_per_minute concurrency timeout_s attempts backoff_s price_input price_output"
).split()
_KINDS: dict[type, str] = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}
_KINDS |= {list: "a list", dict: "a table"}
_OPTIONS: dict[str, dict[str, type]] = {
    "gguf": {"context_tokens": int, "threads": int, "gpu_layers": int},
    "transformers": {"batch_size": int, "load_in": str, "dtype": str, "device": str},
    "vllm": {"gpu_memory_utilization": float, "tensor_parallel_size": int, "dtype": str},
}


def _model(
    raw: dict[str, Any],
    personas: dict[str, Persona],
    environment: Mapping[str, str],
    where: str,
    folder: Path,
) -> Model:
    name = raw.get("name")
    if not (isinstance(name, str) and _NAME.fullmatch(name.strip()) and name.strip()):
        raise DataError(f"{where}: each of [[models]] needs a name, a text of at most 200 characters")
    where = f"{where}: model {name!r}"
    table = _Table(raw, where)
    table.take("name", str, "")
    api = table.take("api", str, "openai")
    if api not in REMOTE_APIS and api not in LOCAL_APIS:
        raise DataError(f"{where}: unknown api {api!r}: choose of {', '.join((*REMOTE_APIS, *LOCAL_APIS))}")
    local = api in LOCAL_APIS
    key = read_key(table.take("key_env", str, None), table.take("key_file", str, None), environment, where)
    url = "" if local else _checked_url(table.take("url", str, REMOTE_APIS[api]), key, where)
    wanted = table.texts("personas", [""])
    missing = next((persona for persona in wanted if persona not in personas), None)
    if missing is not None:
        raise DataError(f"{where}: there is no [personas.{missing}] in the file")
    defaults = PAPER_LOCAL_SAMPLING if local else PAPER_REMOTE_SAMPLING
    sampling = {**defaults, **table.take("sampling", dict, {})}
    if "max_completion_tokens" in sampling:
        sampling.pop("max_tokens")
    known = table.take("model", str, name)
    if local and (folder / known).exists():
        known = str(folder / known)
    return Model(
        name=name.strip(),
        api=api,
        model=known,
        url=url,
        key=key,
        languages=tuple(normalize_language(code) for code in table.texts("languages", [])),
        personas=tuple(personas[persona] for persona in dict.fromkeys(wanted)),
        sampling=sampling,
        seeded=table.take("seeded", bool, True),
        requests_per_minute=table.take("requests_per_minute", float, 0),
        tokens_per_minute=table.take("tokens_per_minute", float, 0),
        concurrency=table.positive("concurrency", int, 4 if api == "gguf" else 16),
        timeout_s=table.positive("timeout_s", float, 120),
        attempts=table.positive("attempts", int, 6),
        backoff_s=table.positive("backoff_s", float, 1.0),
        price_input=table.take("price_input", float, 0),
        price_output=table.take("price_output", float, 0),
        options=table.finish(_OPTIONS.get(api, {})),
    )


def _checked_url(url: str, key: Key | None, where: str) -> str:
    """`url` without a slash at the end, if it can be asked without giving the key to strangers."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https"):
        raise DataError(f"{where}: url must start with http:// or https:// and name a host")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise DataError(f"{where}: url must hold no user, password or query: name the key with key_env")
    if key is not None and parts.scheme == "http" and host not in _LOOPBACK:
        raise DataError(f"{where}: a key would cross the network in clear text: use https, or no key")
    return url.rstrip("/")
