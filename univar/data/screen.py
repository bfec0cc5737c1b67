"""The names of models and their makers in answers, found and masked."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

MASK = "[model]"
"""What stands in place of a masked name."""

_NAMES = (
    r"(?i)(?:\b(?:chat[- ]?gpt|gpt[- ]?[345](?:\.\d)?(?:o|[- ]?turbo)?|open ?ai|claude(?:[- ]?(?:instant|opus|"
    r"sonnet|haiku))?|anthropic|llama[- ]?[234]?|meta ai|gemini|google (?:ai|bard|deepmind)|deepmind|palm[- ]?2|"
    r"gemma|mistral(?: ai)?|mixtral|command[- ]?r\+?|cohere|qwen(?:[- ]?\d(?:\.\d)?)?|tongyi qianwen|"
    r"alibaba cloud|deepseek(?:[- ]?(?:r1|v3))?|grok(?:[- ]?\d)?|xai|chatglm(?:[- ]?\d)?|zhipu(?: ai)?|"
    r"baichuan|internlm|moonshot ai|kimi|vicuna|alpaca|guanaco|koala|falcon|dolly|zephyr|tulu|wizardlm|"
    r"open ?assistant|openchat|solar|yi[- ]34b|phi[- ][1234]|rinna|stablelm|elyza|bloomz?)\b"
    r"|通义千问|文心一言|智谱|深度求索|百川|月之暗面)"
)


def mask_names(answers: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """Answers with MASK in place of every name of an assistant or its maker, and which rows had one.

    answers: (n,) strings without nulls; returns (n,) large_string and (n,) bool
    """
    text = answers.cast(pa.large_string())
    return pc.replace_substring_regex(text, _NAMES, MASK), names_models(text)


def names_models(answers: pa.Array) -> np.ndarray:
    """(n,) bool: the answer names an assistant or its maker, its own or another."""
    return pc.match_substring_regex(answers, _NAMES).to_numpy(zero_copy_only=False).astype(bool)
