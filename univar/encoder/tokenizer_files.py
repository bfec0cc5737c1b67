"""What the files of a tokenizer say together: one tokenizer.json, as transformers 5 would make it.

A folder describes its tokenizer up to four times, and the descriptions may contradict each other.
transformers takes the vocabulary from tokenizer.json (or vocab.txt), then obeys tokenizer_config.json: a
class such as BertTokenizer is built anew from the vocabulary and the settings, whatever tokenizer.json says
about lower case, accents or special tokens. Here the same is done on the JSON alone, without transformers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from univar.encoder.added_tokens import AddedTokens, special_tokens
from univar.encoder.config import tokenizer_settings, transformer_settings
from univar.encoder.tokenizer import TokenizerFiles
from univar.errors import DataError
from univar.files import read_json, read_text

Json = dict[str, Any]

AS_WRITTEN = ("PreTrainedTokenizer", "PreTrainedTokenizerFast", "TokenizersBackend", "PythonBackend")
"""Tokenizer classes that take tokenizer.json as it is."""

CLASS_OF_MODEL = {
    "bert": "BertTokenizer",
    "nomic_bert": "BertTokenizer",
    "roberta": "RobertaTokenizer",
    "xlm-roberta": "XLMRobertaTokenizer",
    "camembert": "CamembertTokenizer",
    "mpnet": "MPNetTokenizer",
}
"""model_type -> the class where neither tokenizer_config.json nor config.json names one."""

_SAME_CLASS = {"DistilBertTokenizer": "BertTokenizer", "ElectraTokenizer": "BertTokenizer"}
_BERT_NAMES = {"unk": "[UNK]", "sep": "[SEP]", "pad": "[PAD]", "cls": "[CLS]", "mask": "[MASK]"}
_ROBERTA_NAMES = {
    "bos": "<s>",
    "eos": "</s>",
    "unk": "<unk>",
    "sep": "</s>",
    "pad": "<pad>",
    "cls": "<s>",
    "mask": "<mask>",
}


@dataclass(frozen=True)
class _Recipe:
    """How a class is built: model type, names of its special tokens, and the parts of its tokenizer.json."""

    model: str
    names: dict[str, str]
    parts: Callable[[Json, Json], Json]
    around: tuple[str, str]
    plain_names: bool = True


def read_tokenizer_files(folder: Path) -> TokenizerFiles:
    """The tokenizer of an encoder's folder; DataError where it is missing, broken or not supported."""
    said = tokenizer_settings(folder)
    _refuse_japanese(said, folder)
    model = read_json(folder / "config.json") if (folder / "config.json").exists() else {}
    stated = said.get("tokenizer_class") or model.get("tokenizer_class")
    path = _vocabulary_file(folder)
    try:
        files = _merged(folder, path, said, stated, str(model.get("model_type", "")))
        return _lowered(files, bool(transformer_settings(folder).get("do_lower_case")))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else error
        raise DataError(f"{path} is not a valid tokenizer file: {reason}") from error


def _merged(folder: Path, path: Path, said: Json, stated: object, model_type: str) -> TokenizerFiles:
    file = _read_vocabulary(path)
    usual = "PreTrainedTokenizerFast" if path.name == "tokenizer.json" else "BertTokenizer"
    kind = str(stated or CLASS_OF_MODEL.get(model_type, usual))
    kind = kind if kind in AS_WRITTEN else kind.removesuffix("Fast")
    kind = _SAME_CLASS.get(kind, kind)
    recipe = RECIPES.get(kind)
    has_json = path.name == "tokenizer.json"
    if recipe is not None and file["model"].get("type") != recipe.model and stated is None and has_json:
        recipe, kind = None, "PreTrainedTokenizerFast"  # nothing says that it is the model's usual one
    if recipe is None and kind not in AS_WRITTEN:
        from univar.encoder.tokenizer_library import files_of_transformers

        return files_of_transformers(folder, path, kind)
    if recipe is None and not has_json:
        raise DataError(f"{folder} has no tokenizer.json, which a tokenizer of class {kind} needs")
    if kind == "CamembertTokenizer" and not said.get("additional_special_tokens"):
        said.setdefault("extra_special_tokens", ["<s>NOTUSED", "</s>NOTUSED", "<unk>NOTUSED"])
    tokens = AddedTokens(folder, said, file, has_json, recipe is None)
    if recipe is None:
        content = {**file, "added_tokens": tokens.added(special_tokens(said, tokens.known, {}))}
        _refuse_segments(content, said, path)
    else:
        content = _rebuilt(recipe, file, said, tokens, path)
    truncation = file.get("truncation") or {}
    side = said.get("truncation_side", str(truncation.get("direction", "right")).lower())
    if side not in ("left", "right"):
        raise DataError(f"{folder}/tokenizer_config.json: truncation_side is {side!r}, not left or right")
    return TokenizerFiles(path, content, side == "left", bool(said.get("split_special_tokens")))


def _rebuilt(recipe: _Recipe, file: Json, said: Json, tokens: AddedTokens, path: Path) -> Json:
    if file["model"].get("type") != recipe.model:
        raise DataError(
            f"{path} holds a {file['model'].get('type')} tokenizer, but the folder's tokenizer class has a "
            f"{recipe.model} one: set tokenizer_class to PreTrainedTokenizerFast in tokenizer_config.json"
        )
    named = special_tokens(said, tokens.known, recipe.names, as_words=not recipe.plain_names)
    content = recipe.parts(file, {**said, **{name: str(token["content"]) for name, token in named.items()}})
    tokens.vocab = content.pop("ids")
    content["added_tokens"] = tokens.added(named)
    first, last = (str(named[name]["content"]) for name in recipe.around)
    steps = [_special(first), {"Sequence": {"id": "A", "type_id": 0}}, _special(last)]
    content["post_processor"] = {
        "type": "TemplateProcessing",
        "single": steps,
        "pair": [*steps, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {
            name: {"id": name, "ids": [tokens.id_of(name)], "tokens": [name]} for name in {first, last}
        },
    }
    return {"version": "1.0", "truncation": None, "padding": None, "decoder": None, **content}


def _special(name: str) -> Json:
    return {"SpecialToken": {"id": name, "type_id": 0}}


def _wordpiece(file: Json, said: Json) -> Json:
    vocab = file["model"]["vocab"]
    if said["unk_token"] not in vocab:
        raise ValueError(f"it has no {said['unk_token']!r}, its token for unknown words: name the unk_token")
    return {
        "ids": vocab,
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": _flag(said, "tokenize_chinese_chars", True),
            "strip_accents": _flag(said, "strip_accents", None),
            "lowercase": _flag(said, "do_lower_case", True),
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "model": {
            "type": "WordPiece",
            "unk_token": said["unk_token"],
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": vocab,
        },
    }


def _byte_pairs(file: Json, said: Json) -> Json:
    model = file["model"]
    return {
        "ids": model["vocab"],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "ByteLevel",
            "add_prefix_space": _flag(said, "add_prefix_space", False),
            "trim_offsets": True,
            "use_regex": True,
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "byte_fallback": False,
            "vocab": model["vocab"],
            "merges": model.get("merges") or [],
        },
    }


def _unigram(file: Json, said: Json, unk_id: int | None = 3) -> Json:
    vocab = file["model"]["vocab"]
    ids = {piece: number for number, (piece, _) in enumerate(vocab)}
    if unk_id is None:
        unk_id = ids.get(said["unk_token"], 0)
    scheme = "always" if _flag(said, "add_prefix_space", True) else "never"
    return {
        "ids": ids,
        "normalizer": _charsmap(file.get("normalizer")),
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "WhitespaceSplit"},
                {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": scheme, "split": True},
            ],
        },
        "model": {"type": "Unigram", "unk_id": unk_id, "vocab": vocab, "byte_fallback": False},
    }


def _charsmap(normalizer: Json | None) -> Json | None:
    steps = [normalizer] if normalizer else []
    if normalizer and normalizer.get("type") == "Sequence":
        steps = normalizer["normalizers"]
    return next((step for step in steps if step.get("type") == "Precompiled"), None)


def _camembert(file: Json, said: Json) -> Json:
    return _unigram(file, said, None)


RECIPES = {
    "BertTokenizer": _Recipe("WordPiece", _BERT_NAMES, _wordpiece, ("cls_token", "sep_token")),
    "MPNetTokenizer": _Recipe(
        "WordPiece", {**_ROBERTA_NAMES, "unk": "[UNK]"}, _wordpiece, ("cls_token", "sep_token"), False
    ),
    "RobertaTokenizer": _Recipe("BPE", _ROBERTA_NAMES, _byte_pairs, ("cls_token", "sep_token")),
    "XLMRobertaTokenizer": _Recipe("Unigram", _ROBERTA_NAMES, _unigram, ("bos_token", "eos_token")),
    "CamembertTokenizer": _Recipe("Unigram", _ROBERTA_NAMES, _camembert, ("bos_token", "eos_token")),
}
"""Tokenizer class -> how transformers builds it from a vocabulary and the settings."""


def _flag(said: Json, name: str, default: bool | None) -> bool | None:
    value = said.get(name, default)
    if value is not None and not isinstance(value, bool):
        raise ValueError(f"{name} is {value!r}, not true or false")
    return default if value is None else value


def _refuse_japanese(said: Json, folder: Path) -> None:
    words, pieces = said.get("word_tokenizer_type"), said.get("subword_tokenizer_type")
    if words is None and pieces is None and "BertJapanese" not in str(said.get("tokenizer_class")):
        return
    raise DataError(
        f"{folder}: its vocabulary is made for Japanese words found by {words or 'basic'} and cut by "
        f"{pieces or 'wordpiece'}, which univar does not run: choose an encoder with a tokenizer.json that "
        f"reads plain text, such as e5-multilingual"
    )


def _refuse_segments(content: Json, said: Json, path: Path) -> None:
    """A template may put a text's tokens into another segment; univar reads all in segment 0."""
    single = (content.get("post_processor") or {}).get("single") or []
    segments = {next(iter(step.values())).get("type_id", 0) for step in single}
    if segments - {0} and "token_type_ids" in said.get("model_input_names", ["token_type_ids"]):
        raise DataError(f"{path}: its template has tokens of type {max(segments)}; supported: type 0")


def _vocabulary_file(folder: Path) -> Path:
    for name in ("tokenizer.json", "vocab.json", "vocab.txt"):
        if (folder / name).exists():
            return folder / name
    others = [name for name in ("sentencepiece.bpe.model", "spiece.model") if (folder / name).exists()]
    if others:
        raise DataError(
            f"{folder} has its tokenizer only as {others[0]}, which univar does not read: load it once with "
            f"transformers and save_pretrained, which writes tokenizer.json"
        )
    raise DataError(f"{folder} has neither tokenizer.json nor vocab.txt, so it has no tokenizer")


def _read_vocabulary(path: Path) -> Json:
    if path.name == "tokenizer.json":
        file: Json = read_json(path)
        if not isinstance(file.get("model"), dict):
            raise ValueError("it has no model")
        return file
    if path.name == "vocab.txt":
        vocab = {line.rstrip(): number for number, line in enumerate(_lines(path))}
        return {"model": {"type": "WordPiece", "vocab": vocab}}
    merges = path.with_name("merges.txt")
    pairs = [line.split() for line in _lines(merges) if line.strip() and not line.startswith("#")]
    return {"model": {"type": "BPE", "vocab": read_json(path), "merges": pairs}}


def _lines(path: Path) -> list[str]:
    return read_text(path).removesuffix("\n").split("\n")


def _lowered(files: TokenizerFiles, lower: bool) -> TokenizerFiles:
    """sentence_bert_config.json's do_lower_case: every text in lower case before all else."""
    normalizer = files.content.get("normalizer")
    steps = [normalizer] if normalizer else []
    if normalizer and normalizer.get("type") == "Sequence":
        steps = list(normalizer["normalizers"])
    if not lower or any(step.get("type") == "Lowercase" for step in steps):
        return files
    if [step.get("type") for step in steps] == ["BertNormalizer"]:
        accents = steps[0]["strip_accents"]
        accents = steps[0]["lowercase"] if accents is None else accents
        joined: Json = {**steps[0], "lowercase": True, "strip_accents": accents}
    else:
        joined = {"type": "Sequence", "normalizers": [{"type": "Lowercase"}, *steps]}
    return TokenizerFiles(
        files.path, {**files.content, "normalizer": joined}, files.keeps_end, files.splits_special
    )
