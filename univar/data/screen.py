"""What answers give away beside values: that they refuse, and the names of models and their makers."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

MASK = "[model]"
"""What stands in place of a masked name."""

_OPENING_CHARS = 200
"""Refusals are recognised by how they begin."""

_NAMES = (
    r"(?i)(?:\b(?:chat[- ]?gpt|gpt[- ]?[345](?:\.\d)?(?:o|[- ]?turbo)?|open ?ai|claude(?:[- ]?(?:instant|opus|"
    r"sonnet|haiku))?|anthropic|llama[- ]?[234]?|meta ai|gemini|google (?:ai|bard|deepmind)|deepmind|palm[- ]?2|"
    r"gemma|mistral(?: ai)?|mixtral|command[- ]?r\+?|cohere|qwen(?:[- ]?\d(?:\.\d)?)?|tongyi qianwen|"
    r"alibaba cloud|deepseek(?:[- ]?(?:r1|v3))?|grok(?:[- ]?\d)?|xai|chatglm(?:[- ]?\d)?|zhipu(?: ai)?|"
    r"baichuan|internlm|moonshot ai|kimi|vicuna|alpaca|guanaco|koala|falcon|dolly|zephyr|tulu|wizardlm|"
    r"open ?assistant|openchat|solar|yi[- ]34b|phi[- ][1234]|rinna|stablelm|elyza|bloomz?)\b"
    r"|通义千问|文心一言|智谱|深度求索|百川|月之暗面)"
)
_REFUSALS = (
    r"(?i)(?:i(?:['’]m| am) (?:really |very |so |truly )?(?:sorry|unable|not able)|i (?:can(?:no|['’])t|cannot|"
    r"won['’]t|will not|must decline|apologi[sz]e)|as an? (?:ai|artificial|large language)|i(?:['’]m| am) just an? "
    r"(?:ai|language)|(?:sorry|unfortunately),? (?:but )?i |lo siento|no puedo |como (?:modelo|una? (?:ia|"
    r"inteligencia))|en voi |olen pahoillani|valitettavasti|anteeksi|抱歉|对不起|我(?:不能|无法)|作为(?:一个|一名)?"
    r"(?:人工智能|ai|语言模型)|申し訳|すみません|お答えできません|できかねます)"
)


def mask_names(answers: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """Answers with MASK in place of every name of an assistant or its maker, and which rows had one.

    answers: (n,) strings without nulls; returns (n,) large_string and (n,) bool
    """
    text = answers.cast(pa.large_string())
    return pc.replace_substring_regex(text, _NAMES, MASK), names_models(text)


def names_models(answers: pa.Array) -> np.ndarray:
    """(n,) bool: the answer names an assistant or its maker, its own or another."""
    return _found(answers, _NAMES)


def refuses(answers: pa.Array) -> np.ndarray:
    """(n,) bool: the answer begins as refusals do, in English, Spanish, Finnish, Chinese or Japanese.

    A rule of thumb to count with, not a judgement.
    """
    return _found(pc.utf8_slice_codeunits(answers.cast(pa.large_string()), 0, _OPENING_CHARS), _REFUSALS)


def _found(texts: pa.Array, pattern: str) -> np.ndarray:
    return pc.match_substring_regex(texts, pattern).to_numpy(zero_copy_only=False).astype(bool)
