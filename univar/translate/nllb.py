"""NLLB-200 and similar models, through CTranslate2 or transformers, depending on the files of the folder."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from univar.errors import DataError, ProviderError, UsageError
from univar.schema import language_family, normalize_language
from univar.translate.engines import Translator, unknown_pair
from univar.translate.outcome import NO_END, TOO_LONG, Outcome, Untranslated

BATCH_TOKENS = 2048
MAX_TOKENS = 256
"""Tokens of one sentence, as in training. `sentences.MAX_CHARS` keeps nearly all sentences below."""

_CODE = re.compile(r"[a-z]{3}_[A-Z][a-z]{3}")
_PREFERRED = ("Latn", "Hans", "Arab", "Cyrl", "Deva", "Jpan", "Hang")


def load_nllb(model: str) -> Translator:
    """The model of a folder or hub id. Raises UsageError for a missing package, ProviderError if it fails."""
    try:
        from transformers import AutoTokenizer
    except ImportError:
        raise UsageError(
            "nllb needs the package transformers: pip install 'univar-embed[translate]'"
        ) from None
    try:
        tokenizer = AutoTokenizer.from_pretrained(model, trust_remote_code=False)
        if (Path(model) / "model.bin").exists():
            return _CTranslate2Nllb(model, tokenizer)
        return _TransformersNllb(model, tokenizer)
    except (OSError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ProviderError(f"the translation model {model!r} cannot be loaded ({reason})") from None


class _Nllb:
    """Language codes, and batches of sentences of similar length."""

    sentencewise = True

    def __init__(self, model: str, tokenizer: Any) -> None:
        self.name = f"nllb:{Path(model).name}"
        self._tokenizer = tokenizer
        self._codes = language_tokens(token for token in tokenizer.get_vocab() if _CODE.fullmatch(token))

    def check_pair(self, origin: str, target: str) -> None:
        """Raise UsageError for a language without a token in the model."""
        codes = [self._codes.get(language_family(language)[0]) for language in (origin, target)]
        if None in codes or codes[0] == codes[1]:
            languages = ", ".join(sorted(self._codes))
            raise unknown_pair(self.name, origin, target, {"each of these": [languages]})

    def translate(self, texts: Sequence[str], origin: str, target: str) -> list[Outcome]:
        """The translation of each sentence; one that does not end within `_longest` tokens is none."""
        self.check_pair(origin, target)
        origin, target = language_family(origin)[0], language_family(target)[0]
        self._tokenizer.src_lang = self._codes[origin]
        ids = self._tokenizer(list(texts), truncation=True, max_length=MAX_TOKENS + 1)["input_ids"]
        translations: list[Outcome] = [None] * len(texts)
        read = [row for row, tokens in enumerate(ids) if len(tokens) <= MAX_TOKENS]
        for row in set(range(len(ids))).difference(read):
            translations[row] = Untranslated(TOO_LONG)
        for batch in _batches([len(ids[row]) for row in read]):
            rows = [read[place] for place in batch]
            done = self._translate([ids[row] for row in rows], self._codes[target])
            for row, tokens in zip(rows, done, strict=True):
                own = tokens[: _longest([ids[row]])]  # whatever the batch contains
                text = self._tokenizer.decode(own, skip_special_tokens=True).strip()
                ended = self._tokenizer.eos_token_id in own
                translations[row] = text if ended else Untranslated(NO_END, text)
        return translations

    def _translate(self, ids: list[list[int]], target: str) -> list[list[int]]:
        """The tokens of each translation, with the end token where it has one."""
        raise NotImplementedError


class _TransformersNllb(_Nllb):
    def __init__(self, model: str, tokenizer: Any) -> None:
        import torch
        from transformers import AutoModelForSeq2SeqLM

        super().__init__(model, tokenizer)
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        network = AutoModelForSeq2SeqLM.from_pretrained(model, trust_remote_code=False, use_safetensors=True)
        self._network = network.to(self._device).eval()

    def _translate(self, ids: list[list[int]], target: str) -> list[list[int]]:
        import torch

        batch = self._tokenizer.pad({"input_ids": ids}, return_tensors="pt").to(self._device)
        with torch.inference_mode():
            done = self._network.generate(
                input_ids=batch["input_ids"],
                attention_mask=batch["attention_mask"],
                forced_bos_token_id=self._tokenizer.convert_tokens_to_ids(target),
                max_new_tokens=_longest(ids) + 1,  # one for the language
                num_beams=1,
                do_sample=False,
            )
        return done[:, 2:].tolist()  # without start and language


class _CTranslate2Nllb(_Nllb):
    def __init__(self, model: str, tokenizer: Any) -> None:
        try:
            import ctranslate2
        except ImportError:
            raise UsageError("this folder needs CTranslate2: pip install 'univar-embed[translate]'") from None
        super().__init__(model, tokenizer)
        device = "cuda" if ctranslate2.get_cuda_device_count() else "cpu"
        self._network = ctranslate2.Translator(model, device=device)

    def _translate(self, ids: list[list[int]], target: str) -> list[list[int]]:
        done = self._network.translate_batch(
            [self._tokenizer.convert_ids_to_tokens(row) for row in ids],
            target_prefix=[[target]] * len(ids),
            beam_size=1,
            max_decoding_length=_longest(ids) + 1,
            return_end_token=True,
        )
        return [self._tokenizer.convert_tokens_to_ids(one.hypotheses[0][1:]) for one in done]


def language_tokens(tokens: Iterable[str]) -> dict[str, str]:
    """The label of each language to its token, e.g. `arb` to `arb_Arab` and `zho_Hant` to `zho_Hant`.

    A language whose tokens are all of other scripts than the usual one, and a macrolanguage of which there is
    but one member, have that token too.
    """
    codes: dict[str, str] = {}
    others: dict[str, list[str]] = {}
    for token in sorted(tokens, key=_preference):
        try:
            label = normalize_language(token)
        except DataError:
            continue  # a retired code
        codes.setdefault(label, token)
        for wider in language_family(label)[1:]:
            others.setdefault(wider, []).append(token)
    alone = {label: found[0] for label, found in others.items() if len({t[:3] for t in found}) == 1}
    return {**alone, **codes}


def _preference(code: str) -> tuple[int, str]:
    """Sorts the more usual script of a language first."""
    script = code.partition("_")[2]
    return (_PREFERRED.index(script) if script in _PREFERRED else len(_PREFERRED), code)


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Rows in batches by length, each of at most BATCH_TOKENS with padding."""
    batch: list[int] = []
    for row in sorted(range(len(lengths)), key=lambda row: lengths[row]):
        if batch and lengths[row] * (len(batch) + 1) > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def _longest(ids: Sequence[Sequence[int]]) -> int:
    """The most tokens of a translation: about three times its original, as in the paper."""
    return min(3 * max(map(len, ids)) + 8, 2 * MAX_TOKENS)
