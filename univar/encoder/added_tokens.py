"""Tokens beside the vocabulary: which ones a tokenizer's files add, with which flags and ids.

They stand in tokenizer.json, in tokenizer_config.json (added_tokens_decoder), or in the older
added_tokens.json and special_tokens_map.json. The order in which transformers adds them gives their ids.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from univar.files import read_json

Json = dict[str, Any]

SPECIAL_NAMES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
_FLAGS = ("single_word", "lstrip", "rstrip")


def token_entry(value: object, special: bool = True) -> Json:
    """A token as tokenizer.json writes it, made of its text or of a dict; flags as in the library."""
    given: Json = {"content": value, "special": special} if isinstance(value, str) else dict(_object(value))
    is_special = bool(given.get("special", False))
    if not isinstance(given.get("content"), str):
        raise ValueError(f"a token has the text {given.get('content')!r}")
    return {
        "content": given["content"],
        **{name: bool(given.get(name, False)) for name in _FLAGS},
        "normalized": bool(given.get("normalized", not is_special)),
        "special": is_special,
    }


def _object(value: object) -> Json:
    if not isinstance(value, dict):
        raise ValueError(f"{value!r} is no token")
    return value


class AddedTokens:
    """Collects the added tokens of a folder; `known` are those that have flags of their own, by text.

    is_written: tokenizer.json's own added tokens stay (a class that takes the file as it is)
    """

    def __init__(self, folder: Path, said: Json, file: Json, has_json: bool, is_written: bool):
        self.vocab: dict[str, int] = _ids(file["model"].get("vocab") or {})
        self.known: dict[str, Json] = {}
        self._said = said
        self._added: dict[str, Json] = {}
        self._by_index: dict[int, Json] = {}
        written = [token_entry(entry) for entry in file.get("added_tokens") or []] if has_json else []
        numbers = [int(entry["id"]) for entry in file.get("added_tokens") or []] if has_json else []
        if "added_tokens_decoder" in said:
            for index, entry in _object(said["added_tokens_decoder"]).items():
                self._by_index[int(index)] = token_entry(entry)
        else:
            self._read_old(folder, said)
            self._by_index |= dict(zip(numbers, written, strict=True))
        self.known = {entry["content"]: entry for entry in self._by_index.values()}
        if is_written:
            self._add(written)

    def added(self, named: dict[str, Json]) -> list[Json]:
        """All added tokens with their ids: the folder's, then `named` ones, then the further special ones."""
        names = {entry["content"] for entry in named.values()}
        listed = [entry for _, entry in sorted(self._by_index.items())]
        self._add({**entry, "special": entry["special"] or entry["content"] in names} for entry in listed)
        further = self._said.get("extra_special_tokens") or self._said.get("additional_special_tokens") or []
        more = list(further.values()) if isinstance(further, dict) else list(further)
        models_own = [
            value
            for name, value in self._said.items()
            if name.endswith("_token") and name not in SPECIAL_NAMES and isinstance(value, str)
        ]
        self._add({**token, "special": True} for token in named.values())
        self._add(token_entry(value) for value in (*models_own, *more))
        return list(self._added.values())

    def id_of(self, name: str) -> int:
        """The id of a token of the vocabulary or an added one."""
        return int(self.vocab[name] if name in self.vocab else self._added[name]["id"])

    def _add(self, entries: Iterable[Json]) -> None:
        for entry in entries:
            content = entry["content"]
            if not content or content in self._added:
                continue
            self._added[content] = {"id": self._next_id(content), **entry}

    def _next_id(self, content: str) -> int:
        if content in self.vocab:
            return int(self.vocab[content])
        highest = max((entry["id"] for entry in self._added.values()), default=-1)
        return max(len(self.vocab), highest + 1)

    def _read_old(self, folder: Path, said: Json) -> None:
        path = folder / "special_tokens_map.json"
        for name, value in (read_json(path) if path.exists() else {}).items():
            said[name] = {**value, "special": True} if isinstance(value, dict) else value
        path = folder / "added_tokens.json"
        if not path.exists():
            return
        further = said.get("extra_special_tokens") or said.get("additional_special_tokens") or []
        values = [*(said.get(name) for name in SPECIAL_NAMES), *further]
        special = {value["content"] if isinstance(value, dict) else value for value in values if value}
        for content, index in read_json(path).items():
            self._by_index[int(index)] = token_entry({"content": content, "special": content in special})


def _ids(vocab: Any) -> dict[str, int]:
    if isinstance(vocab, list):
        return {piece: number for number, (piece, _) in enumerate(vocab)}
    return dict(_object(vocab))


def special_tokens(
    said: Json, known: dict[str, Json], defaults: dict[str, str], as_words: bool = False
) -> dict[str, Json]:
    """The named special tokens of a tokenizer in their order: "cls_token" -> its entry.

    said: the settings; known: tokens with flags of their own, by text; defaults: "cls" -> the class's own
    as_words: MPNet's class adds its tokens as ordinary words, found in the normalised text too
    """
    tokens: dict[str, Json] = {}
    for name in SPECIAL_NAMES:
        value = said.get(name, defaults.get(name.removesuffix("_token")))
        if value is None:
            continue
        entry = token_entry(value)
        if name in said and entry["content"] in known:
            entry = known[entry["content"]]
        elif as_words and isinstance(value, str):
            entry = token_entry({"content": value, "lstrip": name == "mask_token"})
        tokens[name] = entry
    return tokens
