"""Separates an answer from the model's reasoning and from tokens of its chat template.

Chat servers and logs leave both in the text. Recognised are reasoning tags (`<think>` and its relatives:
closed, unclosed, or with only the closing tag, since some templates put the opening one into the prompt),
harmony channels, Granite's headings, and tokens such as `<|im_end|>`. A text that only mentions such a tag,
in quotes or in the middle of a sentence, stays as it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class SplitAnswer:
    """The parts of a model's text.

    answer: what it tells the user, stripped; "" if there is only reasoning.
    reasoning: its thinking, stripped; several stretches are joined by blank lines.
    complete: False if the text ends inside the reasoning.
    rest: what follows the end of the model's turn, such as a user's turn that it made up.
    """

    answer: str
    reasoning: str = ""
    complete: bool = True
    rest: str = ""


_TAG_NAMES = (
    r"(?:\w{1,20}:)?think(?:ing)?|thoughts?|reason(?:ing)?|reflection|scratchpad|antthinking|"
    r"(?:inner|internal)_?(?:monologue|thoughts?)"
)
_OPENING = re.compile(
    rf"<(?:{_TAG_NAMES})(?: [^<>\n]{{0,80}})?>|&lt;(?:{_TAG_NAMES})&gt;|\[THINK\]|◁think▷|"
    r"<\|begin_of_thought\|>|<\|?channel>\s?thought\b",
    re.IGNORECASE,
)
_CLOSING = re.compile(
    rf"</(?:{_TAG_NAMES})>|&lt;/(?:{_TAG_NAMES})&gt;|\[/THINK\]|◁/think▷|<\|end_of_thought\|>|<channel\|>",
    re.IGNORECASE,
)
_WRAPPER = re.compile(
    r"<(answer|response|output|solution|final_answer)>\s*(.*?)\s*(?:</\1>)?", re.IGNORECASE | re.DOTALL
)
_BEGINNING_OF_SOLUTION = re.compile(r"<\|(?:begin|end)_of_solution\|>")
_GRANITE = re.compile(r"\s*Here(?:'s|’s| is) my thought process:", re.IGNORECASE)
_GRANITE_ANSWER = re.compile(r"Here(?:'s|’s| is) my response:", re.IGNORECASE)

_CHANNEL = re.compile(
    r"(?:<\|start\|>\s*[\w.=:-]*\s*)?<\|channel\|>\s*(\w+)[^<\n]{0,200}(?:<\|constrain\|>\s*\w*\s*)?<\|message\|>"
)
_BARE_CHANNEL = re.compile(r"\s*analysis(?=[A-Z\"'“(])|assistant(analysis|commentary|final)(?=\S)")
"""The same from servers that remove special tokens: `analysisWe ... assistantfinalI ...`."""

_ANY_TOKEN = re.compile(
    r"<\|[A-Za-z][\w ▁.-]{0,40}\|>|<｜[^｜<>\n]{1,40}｜>|</?(?:start|end)_of_(?:turn|utterance)>|"
    r"<(?:eos|bos|pad|unk)>|</?s>|\[/?INST\]|<</?SYS>>"
)
_END_OF_TURN = re.compile(
    r"<\|(?:im_end|eot_id|eom_id|end|endoftext|end_of_text|end_of_turn|endofturn|end_of_role|return|call|"
    r"END_OF_TURN_TOKEN|END_RESPONSE|eos|im_start|start_header_id|user|system|start|START_OF_TURN_TOKEN)\|>|"
    r"<｜(?:end▁of▁sentence|end of sentence|User)｜>|<end_of_turn>|<start_of_turn>|<end_of_utterance>|"
    r"<eos>|</s>|\[INST\]",
    re.IGNORECASE,
)
_ROLE = re.compile(r"(?:assistant|model|chatbot)\s*(?=\n|<)[ \t]*\n?", re.IGNORECASE)
_SPACE = re.compile(r"\s*")
_QUOTES = "\"'`“”‘’«»„"
_NEARBY = 2000  # characters around a tag that are looked at: texts may be long and full of tags


def split_reasoning(text: str) -> SplitAnswer:
    """The answer in `text`, and what surrounds it."""
    if not _may_have_markers(text):
        return SplitAnswer(text.strip())
    if _CHANNEL.search(text):
        answer, thoughts, complete = _channels(text, _CHANNEL)
    elif _BARE_CHANNEL.match(text):
        answer, thoughts, complete = _channels(text, _BARE_CHANNEL)
    elif _GRANITE.match(text):
        answer, thoughts, complete = _granite(text)
    else:
        answer, thoughts, complete = _tags(text)
    answer, rest = _without_tokens(answer)
    if thoughts:
        answer = _unwrapped(answer)
    cleaned = (_ANY_TOKEN.sub(" ", thought).strip() for thought in thoughts)
    return SplitAnswer(answer, "\n\n".join(filter(None, cleaned)), complete, rest)


def _may_have_markers(text: str) -> bool:
    """A cheap test that lets nearly all texts without markers pass."""
    if "<" in text or "[" in text or "◁" in text or "&lt;" in text:
        return True
    return text.lstrip()[:9].startswith(("analysis", "Here", "assistant"))


def _channels(text: str, marker: re.Pattern[str]) -> tuple[str, list[str], bool]:
    """(answer, reasoning, whether a final channel was reached) of harmony's channels."""
    answers: list[str] = []
    thoughts: list[str] = []
    marks = list(marker.finditer(text))
    if before := text[: marks[0].start()].strip():
        thoughts.append(before)
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    for mark, end in zip(marks, ends, strict=True):
        own = answers if (mark.group(1) or "").lower() == "final" else thoughts
        own.append(text[mark.end() : end])
    return "".join(answers), thoughts, bool(answers)


def _granite(text: str) -> tuple[str, list[str], bool]:
    heading = _GRANITE.match(text)
    assert heading is not None
    answer = _GRANITE_ANSWER.search(text, heading.end())
    if answer is None:
        return "", [text[heading.end() :]], False
    return text[answer.end() :], [text[heading.end() : answer.start()]], True


def _tags(text: str) -> tuple[str, list[str], bool]:
    """(answer, reasoning, whether the last reasoning was closed) of a text with reasoning tags."""
    answer, thoughts = "", []
    place = 0
    opening, closing = _next(_OPENING, text, 0), _next(_CLOSING, text, 0)
    while True:
        if opening is not None and opening.start() < place:
            opening = _next(_OPENING, text, place)
        if closing is not None and closing.start() < place:
            closing = _next(_CLOSING, text, place)
        if closing is not None and (opening is None or closing.start() < opening.start()):
            thoughts.append(answer + text[place : closing.start()])  # its opening tag was in the prompt
            answer, place = "", closing.end()
        elif opening is None:
            return answer + text[place:], thoughts, True
        else:
            end = _CLOSING.search(text, opening.end())
            if end is None and not _starts_line(text, opening.start()):
                return answer + text[place:], thoughts, True
            answer += text[place : opening.start()]
            if end is None:
                return answer, [*thoughts, text[opening.end() :]], False
            thoughts.append(text[opening.end() : end.start()])
            place = end.end()


def _next(tag: re.Pattern[str], text: str, place: int) -> re.Match[str] | None:
    """The next tag from `place` on that is no mention. A mentioned pair is skipped as a whole."""
    while (found := tag.search(text, place)) is not None:
        if not _is_mention(text, found, place):
            return found
        place = found.end()
    return None


def _is_mention(text: str, tag: re.Match[str], place: int) -> bool:
    """Whether a sentence speaks of this tag: it is in quotes, or stands within a line between words."""
    before, after = text[max(0, tag.start() - _NEARBY) : tag.start()], text[tag.end() : tag.end() + 1]
    if before and after and before[-1] in _QUOTES and after in _QUOTES:
        return True
    if tag.re is _CLOSING and _follows_mention(text, tag, place):
        return True
    if not before.endswith((" ", "(")) or not after:
        return False
    word = before.rstrip(" (")[-1:]
    return word != "" and (word.isalnum() or word in ",;:/") and after in " ,.;:!?)/…"


def _follows_mention(text: str, closing: re.Match[str], place: int) -> bool:
    """Whether the last opening tag on the line before a closing one, from `place` on, is a mention."""
    start = max(place, closing.start() - _NEARBY, text.rfind("\n", 0, closing.start()) + 1)
    openings = list(_OPENING.finditer(text, start, closing.start()))
    return bool(openings) and _is_mention(text, openings[-1], place)


def _starts_line(text: str, place: int) -> bool:
    before = _ANY_TOKEN.sub("", text[max(0, place - _NEARBY, text.rfind("\n", 0, place) + 1) : place])
    return not before.strip() or before.strip().lower() in ("assistant", "model")


def _without_tokens(text: str) -> tuple[str, str]:
    """`text` up to the end of the turn without template tokens, and what comes after that."""
    start, text = 0, text.strip()
    while True:  # tokens and the role that open the turn
        opening = _ANY_TOKEN.match(text, start) or _ROLE.match(text, start)
        if opening is None or _is_markup(text, opening):
            break
        start = _SPACE.match(text, opening.end()).end()  # type: ignore[union-attr]
    end = next((token for token in _END_OF_TURN.finditer(text, start) if not _is_markup(text, token)), None)
    if end is None:
        return text[start:].strip(), ""
    return text[start : end.start()].strip(), _ANY_TOKEN.sub(" ", text[end.end() :]).strip()


def _is_markup(text: str, token: re.Match[str]) -> bool:
    """Whether a token belongs to the text: it is quoted, or it is the <s>...</s> of HTML."""
    before, after = (
        text[max(0, token.start() - _NEARBY) : token.start()],
        text[token.end() : token.end() + _NEARBY],
    )
    if before and after and before[-1] in _QUOTES and after[0] in _QUOTES:
        return True
    if token.group() == "<s>":
        return "</s>" in after.rstrip().removesuffix("</s>")
    if token.group() != "</s>" or "<s>" not in before:
        return False
    return not before.lstrip().startswith("<s>") or _ANY_TOKEN.sub("", after).strip() == after.strip() != ""


def _unwrapped(answer: str) -> str:
    """The inside of `<answer>...</answer>`, which models write that were trained to think in tags."""
    answer = _BEGINNING_OF_SOLUTION.sub("", answer).strip()
    wrapped = _WRAPPER.fullmatch(answer)
    return answer if wrapped is None else wrapped.group(2)
