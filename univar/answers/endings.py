"""Answers that stop in the middle: cut off by a token limit, as far as the text shows it.

Lengths are in letters of an alphabet, as in `univar.answers.faults`.
"""

from __future__ import annotations

import re
import unicodedata

CUT_LETTERS = 200
"""A shorter answer without end punctuation may just be a title or a list."""

LINE_LETTERS = 40
"""A shorter last line without end punctuation may be a signature or a heading, unless it plainly goes on."""

_PLAIN_LETTERS = 12
_SIBLINGS = 4

_STOPS = ".!?…。！？।॥؟۔։።፧។៕။།᠃;；~〜～♪"
_CLOSERS = ")]}>\"'»”’」』）】》〉〗〕］｝＞*`|_™®©"
_ENDS = tuple(_STOPS + _CLOSERS)
_DENSE = re.compile(r"[\u1100-\u11ff\u2e80-\u30ff\u3130-\u318f\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]")
_NO_STOPS = re.compile(r"[\u0e00-\u0eff]")
"""Thai and Lao are written without full stops."""

_HALF = re.compile(r"\ufffd$|[(\[{<«“‘「『（【《]$|[A-Za-z]-$")
_EMPTY_ITEM = re.compile(r"\n\s*(?:\d{1,3}[.)]|[-*•+])$")
_LINK = re.compile(r"(?:https?://|www\.)\S+$|(?:#\w+\s*){2,}$|:\w+:$")
_FINAL_FORM = re.compile(r"(?:[다요죠까]|[ㅋㅎㅠㅜ]+|です|ます|ました|ません|ください|でしょう)$")
_END_MARK = re.compile(
    r"(?:^|[\W_])(?:the end|end|fin|ende|fim|loppu|slut|完|终|終|全文完|おわり|終わり|끝)[\W_]*$",
    re.IGNORECASE,
)
_SIGNATURE = re.compile(r"^[—–―-]{1,2}\s*\w")
_ITEM = re.compile(r"(?:[-*•+]|\d{1,3}[.)])\s")
_COMMA = re.compile(r"[,，、،]$")
_CLAUSE = re.compile(r"，[^，]{2,}$")
_OPEN_WORDS = (
    "a an the of to and or in with for by from that which is are as at on than our your my his her "
    "their its every each such into about between through without because this these de del la el los "
    "las y o en con por para que un una le les et ou du des und oder der die das den mit von zu ja tai "
    "että sekä и или в на с"
)
"""Words that a sentence does not end with."""

_GOES_ON = re.compile(
    rf"\s(?:{'|'.join(_OPEN_WORDS.split())})$|(?:[-*•]|\d[.)])\s(?:In|The|A|To|For|As|On|If|By|With)$"
)


def has_no_end(answer: str) -> bool:
    """Whether `answer` stops in the middle of a sentence, a word or a list."""
    text = answer.rstrip()
    line = text.rpartition("\n")[2].strip()
    if n_letters(text) < CUT_LETTERS:
        return False
    if _END_MARK.search(line[-20:]):
        return False
    if _HALF.search(text) or _EMPTY_ITEM.search(text):
        return True
    if text.endswith(_ENDS) or _is_symbol(text[-1]) or _LINK.search(line) or _FINAL_FORM.search(text):
        return False
    if _SIGNATURE.search(line) or _NO_STOPS.search(line[-20:]):
        return False
    if _is_like_the_lines_before(text, line):
        return False
    return n_letters(line) >= LINE_LETTERS or _plainly_goes_on(line)


def n_letters(text: str) -> int:
    """Length of a text in letters of an alphabet: a Han, Kana or Hangul character counts as three."""
    return len(text) + 2 * len(_DENSE.findall(text))


def _is_symbol(letter: str) -> bool:
    """Whether a letter is an emoji, or a mark that belongs to one."""
    return unicodedata.category(letter) in ("So", "Sk") or letter in "\ufe0f\u200d\u200b"


def _plainly_goes_on(line: str) -> bool:
    if n_letters(line) < _PLAIN_LETTERS:
        return _GOES_ON.search(line) is not None
    return _dangles(line) or _CLAUSE.search(line) is not None


def _dangles(line: str) -> bool:
    """Whether a line ends in what needs more after it: a comma, a colon, an article, an open bracket."""
    words = line.split()
    listed = _COMMA.search(line) is not None and (len(words) > 3 or len(_DENSE.findall(line)) > 6)
    is_open = any(
        line.count(left) > line.count(right) for left, right in ("()", "[]", "{}", "（）", "「」", "“”")
    )
    return listed or is_open or line.endswith((":", "：")) or _GOES_ON.search(line) is not None


def _is_like_the_lines_before(text: str, line: str) -> bool:
    """Whether the lines before end without a stop too, as in a list, a table, a poem or a letter's end."""
    lines = text.split("\n")[-1 - 2 * _SIBLINGS : -1]
    before = [other.strip() for other in lines if other.strip()][-_SIBLINGS:]
    if not before or _dangles(line):
        return False
    if _COMMA.search(before[-1]) and max(map(n_letters, (before[-1], line))) < 2 * LINE_LETTERS:
        return True  # a greeting, and who sends it
    if _ITEM.match(line):
        before = [other for other in before if _ITEM.match(other)]
    bare = [
        other for other in before if not other.endswith((*_STOPS, ":", "：")) and not _is_symbol(other[-1])
    ]
    enough = len(bare) >= (1 if _ITEM.match(line) else 2)
    return enough and 2 * len(bare) > len(before) and 2 * len(line) >= min(map(len, bare))
