"""Which tokenizer files the native tokenizers can stand in for, and what they need to know of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from univar.errors import DataError

if TYPE_CHECKING:
    from univar.encoder.unigram_files import UnigramFiles

AddedToken = tuple[str, int, bool, bool, bool, bool]  # content, id, single_word, lstrip, rstrip, normalized
MAX_VOCAB = 1 << 24  # ids beyond this are a broken file


@dataclass(frozen=True)
class WordPieceFiles:
    """vocab: piece of each id, "" where there is none; settings: further arguments of the native class."""

    vocab: list[str]
    added_tokens: list[AddedToken]
    settings: dict[str, Any]


def read_native(folder: Path) -> WordPieceFiles | UnigramFiles | None:
    """What the folder's files say, or None where they are neither BERT's WordPiece nor XLM-R's Unigram.

    Raises DataError where there is neither tokenizer.json nor vocab.txt, or the file there can't be read.
    """
    if (folder / "tokenizer.json").is_file():
        return _from_json(folder / "tokenizer.json")
    if (folder / "vocab.txt").is_file():
        return _from_vocab(folder / "vocab.txt")
    raise DataError(f"{folder} has neither tokenizer.json nor vocab.txt: it holds no tokenizer.")


def _from_json(path: Path) -> WordPieceFiles | UnigramFiles | None:
    from univar.encoder.unigram_files import unigram_of

    file = _read_json(path)
    try:
        return _wordpiece_of(file) or unigram_of(file)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{path} is not a valid tokenizer file: {error!r}.") from error


def _wordpiece_of(file: dict[str, Any]) -> WordPieceFiles | None:
    model, normalizer = file["model"], file.get("normalizer") or {}
    parts = (model.get("type"), normalizer.get("type"), (file.get("pre_tokenizer") or {}).get("type"))
    if parts != ("WordPiece", "BertNormalizer", "BertPreTokenizer"):
        return None
    vocab = _vocab_list(model["vocab"])
    added = [
        added_token(entry, model["vocab"].get(entry["content"])) for entry in file.get("added_tokens") or []
    ]
    ids = {**model["vocab"], **{row[0]: row[1] for row in added}}
    template = cls_and_sep(file.get("post_processor") or {})
    if template is None or model["unk_token"] not in model["vocab"]:
        return None
    (cls, cls_id), (sep, sep_id) = template
    if (ids.get(cls), ids.get(sep)) != (cls_id, sep_id):
        return None
    settings = {
        "unk": model["unk_token"],
        "cls": cls,
        "sep": sep,
        "prefix": model["continuing_subword_prefix"],
        "max_input_chars_per_word": model["max_input_chars_per_word"],
        "clean_text": normalizer["clean_text"],
        "handle_chinese_chars": normalizer["handle_chinese_chars"],
        "strip_accents": normalizer["strip_accents"],
        "lowercase": normalizer["lowercase"],
    }
    return WordPieceFiles(vocab, added, settings)


def _vocab_list(ids: dict[str, int]) -> list[str]:
    size = 1 + max(ids.values())
    if min(ids.values()) < 0 or size > MAX_VOCAB:
        raise ValueError(f"ids must be 0 to {MAX_VOCAB - 1}")
    vocab = [""] * size
    for piece, piece_id in ids.items():
        vocab[piece_id] = piece
    return vocab


def added_token(entry: dict[str, Any], vocab_id: int | None) -> AddedToken:
    """The id of the vocabulary goes before the one that the entry names, as in the library."""
    token_id = entry["id"] if vocab_id is None else vocab_id
    flags = (entry[name] for name in ("single_word", "lstrip", "rstrip", "normalized"))
    return (entry["content"], token_id, *flags)


def cls_and_sep(processor: dict[str, Any]) -> list[tuple[str, int]] | None:
    """Name and id of the tokens before and behind a text, or None where the template is another one."""
    if processor.get("type") in ("BertProcessing", "RobertaProcessing"):
        return [tuple(processor[name]) for name in ("cls", "sep")]
    if processor.get("type") != "TemplateProcessing":
        return None
    single = processor["single"]
    if [next(iter(step)) for step in single] != ["SpecialToken", "Sequence", "SpecialToken"]:
        return None
    specials = [processor["special_tokens"][single[i]["SpecialToken"]["id"]] for i in (0, 2)]
    if any(len(special["ids"]) != 1 for special in specials):
        return None
    return [(special["tokens"][0], special["ids"][0]) for special in specials]


def _from_vocab(path: Path) -> WordPieceFiles:
    """An old BERT: one piece a line, the rest in tokenizer_config.json or as in bert-base-uncased."""
    config_path = path.with_name("tokenizer_config.json")
    config = _read_json(config_path) if config_path.is_file() else {}
    try:
        lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text: {error}.") from error
    vocab = [line.rstrip() for line in lines]
    ids = {piece: piece_id for piece_id, piece in enumerate(vocab)}
    names = {name: _token_name(config, name) for name in ("unk", "cls", "sep", "pad", "mask")}
    for name in ("unk", "cls", "sep"):
        if names[name] not in ids:
            raise DataError(f"{path} has no {names[name]!r}: name the {name}_token in {config_path.name}.")
    added = [(name, ids[name], False, False, False, False) for name in names.values() if name in ids]
    settings = {
        **{name: names[name] for name in ("unk", "cls", "sep")},
        "lowercase": config.get("do_lower_case", True),
        "strip_accents": config.get("strip_accents"),
        "handle_chinese_chars": config.get("tokenize_chinese_chars", True),
    }
    return WordPieceFiles(vocab, added, settings)


def _token_name(config: dict[str, Any], name: str) -> str:
    entry = config.get(f"{name}_token") or f"[{name.upper()}]"
    return entry["content"] if isinstance(entry, dict) else entry


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path} is not JSON: {error}.") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} is not a JSON object.")
    return content
