"""The tokenizer of XLM-R and e5: which tokenizer.json the native Unigram can replace, and its settings."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np

from univar.encoder.tokenizer import MAX_VOCAB, AddedToken, NativeTokenizer, added_token, cls_and_sep

METASPACE = "\u2581"
BLANKS = {"Regex": " {2,}"}


@dataclass(frozen=True)
class UnigramFiles:
    """What the native Unigram needs.

    vocab: piece of each id; scores: (V,) float64, its log probability; settings: further arguments of the
    native class
    """

    vocab: list[str]
    scores: np.ndarray
    added_tokens: list[AddedToken]
    settings: dict[str, Any]


class UnigramTokenizer(NativeTokenizer):
    """In C++: ids equal those of Hugging Face's library."""

    def __init__(self, files: UnigramFiles, max_length: int, threads: int = 1):
        from univar._native import Unigram

        native = Unigram(files.vocab, files.scores, added_tokens=files.added_tokens, **files.settings)
        super().__init__(native, files, max_length, threads)


def unigram_of(file: dict[str, Any]) -> UnigramFiles | None:
    """What a tokenizer.json says, or None where it is not XLM-R's kind of Unigram.

    Raises KeyError, TypeError, ValueError or AttributeError where it can't be understood.
    """
    model = file["model"]
    if model.get("type") != "Unigram" or model.get("byte_fallback") or model.get("unk_id") is None:
        return None
    pre_tokenizer = _words(file.get("pre_tokenizer") or {})
    if pre_tokenizer is None:
        return None
    splits = pre_tokenizer["split_at_whitespace"]  # at blanks, but not at U+2581
    normalizer = _normalizer(file.get("normalizer"), (" ",) if splits else (" ", METASPACE))
    if normalizer is None:
        return None
    vocab = [piece for piece, _ in model["vocab"]]
    scores = np.array([score for _, score in model["vocab"]], np.float64)
    if not 0 < len(vocab) <= MAX_VOCAB or not np.isfinite(scores).all():
        raise ValueError(f"the vocabulary must have 1 to {MAX_VOCAB} pieces with finite scores")
    ids = {piece: piece_id for piece_id, piece in enumerate(vocab)}
    added = [added_token(entry, ids.get(entry["content"])) for entry in file.get("added_tokens") or []]
    template = cls_and_sep(file.get("post_processor") or {})
    is_normalized = any(row[5] for row in added)
    if template is None or is_normalized or "" in vocab:
        return None
    settings = {
        "unk": model["unk_id"],
        "cls": template[0][1],
        "sep": template[1][1],
        **normalizer,
        **pre_tokenizer,
    }
    return UnigramFiles(vocab, scores, added, settings)


def _words(pre_tokenizer: dict[str, Any]) -> dict[str, bool] | None:
    """Settings for Metaspace, with or without WhitespaceSplit before it; None for anything else."""
    steps = pre_tokenizer["pretokenizers"] if pre_tokenizer.get("type") == "Sequence" else [pre_tokenizer]
    kinds = [step.get("type") for step in steps]
    if kinds not in (["Metaspace"], ["WhitespaceSplit", "Metaspace"]):
        return None
    metaspace = steps[-1]
    is_usual = (
        metaspace["replacement"] == METASPACE
        and metaspace.get("prepend_scheme", "always") == "always"
        and metaspace.get("add_prefix_space") is not False
        and metaspace.get("split") is not False
    )
    return {"split_at_whitespace": len(steps) == 2} if is_usual else None


def _normalizer(normalizer: dict[str, Any] | None, blanks: tuple[str, ...]) -> dict[str, Any] | None:
    """Settings for Precompiled, Strip, then runs of blanks replaced by one; None for anything else.

    blanks: what a run of blanks may become
    """
    steps: list[dict[str, Any]] = [normalizer] if normalizer else []
    if normalizer and normalizer["type"] == "Sequence":
        steps = list(normalizer["normalizers"])
    settings: dict[str, Any] = {}
    if steps and steps[0]["type"] == "Precompiled":
        settings["charsmap"] = base64.b64decode(steps.pop(0)["precompiled_charsmap"], validate=True)
    if steps and steps[0]["type"] == "Strip":
        strip = steps.pop(0)
        settings.update(strip_left=strip["strip_left"], strip_right=strip["strip_right"])
    if steps and steps[0]["type"] == "Replace" and steps[0]["pattern"] == BLANKS:
        if steps.pop(0)["content"] not in blanks:
            return None
        settings["collapse_spaces"] = True
    return None if steps else settings
