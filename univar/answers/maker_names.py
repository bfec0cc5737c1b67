"""Answers that say who wrote them: they contain the model's name, its family's or its maker's."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa

# (what the model's name contains, names that mean nothing else, names that also mean other things)
_FAMILIES = (
    ("gpt|^o[134]|davinci", "Open ?AI(?! Gym)|ChatGPT", "GPT-?[345][\\w.]*"),
    ("claude", "Anthropic", "Claude"),
    ("gemini|gemma|palm|bard", "Google DeepMind|DeepMind|PaLM ?2|Gemma", "Google|Gemini|Bard|PaLM"),
    ("llama|vicuna|alpaca|wizard|tulu|guanaco|hermes", "LLaMA[\\w.-]*|Meta AI|Vicuna|LMSYS", "Meta|Alpaca"),
    ("qwen|qwq|tongyi", "Qwen[\\w.-]*|Tongyi Qianwen|Alibaba Cloud|通义千问|千问|阿里云", "Alibaba|阿里巴巴"),
    ("mistral|mixtral|ministral", "Mistral AI|Mixtral", "Mistral"),
    ("deepseek", "DeepSeek[\\w.-]*|深度求索", ""),
    ("grok", "xAI", "Grok"),
    ("command|cohere|^c4ai|aya", "Cohere", "Command|Aya"),
    ("^yi-|^yi$", "01\\.?AI|零一万物", "Yi"),
    ("glm", "ChatGLM[\\w.-]*|GLM-\\w+|Zhipu(?: AI)?|智谱", ""),
    ("ernie", "ERNIE Bot|文心一言|文心", "Baidu|百度"),
    ("phi|mai-|orca", "Microsoft Research", "Microsoft|Phi"),
    ("moonshot|kimi", "Moonshot AI|Kimi|月之暗面", ""),
    ("minimax", "MiniMax", ""),
    ("internlm", "InternLM|书生", ""),
    ("baichuan", "Baichuan|百川", ""),
    ("falcon", "Technology Innovation Institute", "Falcon"),
    ("openchat", "OpenChat", ""),
    ("assistant|oasst|openassistant|pythia", "Open Assistant|OpenAssistant|LAION", ""),
    ("smollm", "SmolLM[\\w.-]*", "Hugging Face"),
    ("nova|titan", "Amazon Nova|Amazon Titan", "Amazon|AWS"),
    ("granite", "IBM Granite", "IBM"),
    ("nemotron", "Nemotron", "NVIDIA"),
)
_ELSEWHERE = "OpenAI|ChatGPT|Anthropic|Claude|Google|DeepMind|Gemini|Bard|Meta|Qwen|DeepSeek"
"""Distilled models often claim to be one of these."""

MASK = "[model]"
"""Replaces a masked name."""

_BEFORE_CHARS = 80
_SELF = re.compile(
    r"(?:\bI am|\bI[’']m|\bmy name is|\bI was|\bcall me|\bas an? (?:\w+ ){0,2}(?:AI|model|assistant|"
    r"chatbot|artificial)|"
    r"(?:^|[.!?] )as $|我是|我叫|名为|作为|\bsoy|\bme llamo|\bje suis|\bich bin|\beu sou|私は|\bolen|\bsaya)"
    r"[^.!?。\n]*$",
    re.IGNORECASE,
)


def own_names(models: pa.Array, answers: pa.Array, questions: pa.Array) -> np.ndarray:
    """(n,) bool: the answer names its own model, family or maker, and the question does not.

    A name that means other things too (Google, Meta, Claude) counts only where the answer speaks of itself.
    """
    encoded = models.dictionary_encode()
    names = [_names_of(name) for name in encoded.dictionary.to_pylist()]
    rows = zip(encoded.indices.to_pylist(), answers.to_pylist(), questions.to_pylist(), strict=True)
    found = (_names_its_maker(names[code], answer, question) for code, answer, question in rows)
    return np.fromiter(found, dtype=bool, count=len(models))


def mask_names(answers: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """Answers with MASK in place of every name of an assistant or its maker, and which rows had one.

    answers: (n,) strings without nulls; returns (n,) large_string and (n,) bool. As in `own_names`, a name
    that means other things too counts only where the answer speaks of itself.
    """
    found = [_masked(answer) for answer in answers.to_pylist()]
    named = np.fromiter((count > 0 for _, count in found), dtype=bool, count=len(found))
    return pa.array([text for text, _ in found], pa.large_string()), named


def _masked(answer: str) -> tuple[str, int]:
    """The answer with its names masked, and how many there were."""
    every = _every_name()
    count = 0

    def replace(match: re.Match[str]) -> str:
        nonlocal count
        before = answer[max(0, match.start() - _BEFORE_CHARS) : match.start()]
        if match["sure"] is None and _SELF.search(before) is None:
            return match.group()
        count += 1
        return MASK

    return every.sub(replace, answer), count


@lru_cache(maxsize=1)
def _every_name() -> re.Pattern[str]:
    sure = "|".join(family[1] for family in _FAMILIES if family[1])
    unsure = "|".join(family[2] for family in _FAMILIES if family[2])
    return re.compile(rf"(?<![A-Za-z0-9_])(?:(?P<sure>{sure})|{unsure})(?![A-Za-z0-9_])", re.IGNORECASE)


@dataclass(frozen=True)
class _Names:
    """The model's own name, names that mean nothing else, and names that need a second look."""

    own: re.Pattern[str]
    sure: re.Pattern[str] | None
    unsure: re.Pattern[str]


def _names_its_maker(names: _Names, answer: str, question: str) -> bool:
    if names.own.search(answer):
        return True
    asked = question.casefold()
    if names.sure is not None and any(m.group().casefold() not in asked for m in names.sure.finditer(answer)):
        return True
    return any(
        match.group().casefold() not in asked
        and _SELF.search(answer[max(0, match.start() - _BEFORE_CHARS) : match.start()]) is not None
        for match in names.unsure.finditer(answer)
    )


@lru_cache(maxsize=4096)
def _names_of(model: str) -> _Names:
    name = model.rpartition("/")[2] or model
    families = [family for family in _FAMILIES if re.search(family[0], name, re.IGNORECASE)]
    sure = [family[1] for family in families if family[1]]
    unsure = [family[2] for family in families if family[2]]
    return _Names(
        re.compile(rf"(?<![\w'’]){re.escape(name)}(?!\w)", re.IGNORECASE),
        _words(sure) if sure else None,
        _words([*unsure, _ELSEWHERE]),
    )


def _words(names: list[str]) -> re.Pattern[str]:
    return re.compile(rf"(?<![A-Za-z0-9_])(?:{'|'.join(names)})(?![A-Za-z0-9_])", re.IGNORECASE)
