"""Colours that stay apart, also for colour-blind eyes, and the families that models belong to."""

from __future__ import annotations

import colorsys
import re

_PALETTE = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7b3294", "#8c6d31",
    "#d7191c", "#35978f", "#636363", "#b2df5a",
)  # fmt: skip
_GOLDEN = 0.61803398875
_LIGHTS = (0.38, 0.55, 0.68)


def palette(n: int) -> list[str]:
    """n colours: chosen ones first, then hues as far from their neighbours as they go."""
    more = range(n - len(_PALETTE))
    hues = [colorsys.hls_to_rgb((0.11 + i * _GOLDEN) % 1, _LIGHTS[i % 3], 0.6) for i in more]
    return [*_PALETTE[:n], *("#" + "".join(f"{round(255 * part):02x}" for part in hue) for hue in hues)]


def model_family(model: str) -> str:
    """The first word of a model's name without its vendor: `gpt` of `openai/gpt-4o`."""
    name = model.rsplit("/", 1)[-1].lower()
    word = re.match(r"[^\W\d_]+", name)
    return word.group() if word else name
