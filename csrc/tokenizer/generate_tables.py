"""Write unicode_tables.inc by asking the `tokenizers` library about every code point.

Its BertNormalizer and BertPreTokenizer stand on Unicode tables of several ages (those of its Rust crates),
none of them that of Python's `unicodedata`: the library itself is the only right source.

    python csrc/tokenizer/generate_tables.py
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from pathlib import Path

import tokenizers
from tokenizers import AddedToken, Tokenizer, models
from tokenizers.normalizers import NFD, BertNormalizer, Lowercase
from tokenizers.pre_tokenizers import BertPreTokenizer

REMOVED, CLEAN_SPACE, CHINESE, MARK, SPACE, PUNCTUATION, WORD = (1 << bit for bit in range(7))
CODE_POINTS = [cp for cp in range(0x110000) if not 0xD800 <= cp < 0xE000]
HANGUL = range(0xAC00, 0xAC00 + 11172)


def bert(**on: bool) -> BertNormalizer:
    """BertNormalizer with every step off except those named."""
    off = {"clean_text": False, "handle_chinese_chars": False, "strip_accents": False, "lowercase": False}
    return BertNormalizer(**{**off, **on})


def word_characters() -> set[int]:
    r"""Code points that Rust's regex calls \w: a `single_word` token is not found next to them."""
    probe = Tokenizer(models.WordLevel({"unk": 0, "x": 1}, unk_token="unk"))
    probe.add_tokens([AddedToken("x", single_word=True, normalized=False)])
    encodings = probe.encode_batch_fast([chr(cp) + "x" for cp in CODE_POINTS])
    return {cp for cp, encoding in zip(CODE_POINTS, encodings, strict=True) if 1 not in encoding.ids}


def property_flags() -> list[int]:
    """(0x110000,) bits of REMOVED .. WORD for each code point."""
    clean, chinese, strip = bert(clean_text=True), bert(handle_chinese_chars=True), bert(strip_accents=True)
    split = BertPreTokenizer()
    words = word_characters()
    flags = [0] * 0x110000
    for cp in CODE_POINTS:
        char = chr(cp)
        cleaned = clean.normalize_str(char)
        pieces = [piece for piece, _ in split.pre_tokenize_str(f"a{char}b")]
        flags[cp] = (
            REMOVED * (cleaned == "")
            | CLEAN_SPACE * (cleaned == " ")
            | CHINESE * (chinese.normalize_str(char) == f" {char} ")
            | MARK * (strip.normalize_str(char) == "")
            | SPACE * (pieces == ["a", "b"])
            | PUNCTUATION * (pieces == ["a", char, "b"])
            | WORD * (cp in words)
        )
    return flags


def mappings(normalizer: NFD | Lowercase) -> dict[int, str]:
    """What the normalizer makes of each code point that it changes."""
    changed = ((cp, normalizer.normalize_str(chr(cp))) for cp in CODE_POINTS)
    return {cp: text for cp, text in changed if text != chr(cp)}


def combining_classes(decompositions: dict[int, str]) -> dict[int, int]:
    """Canonical combining class where it isn't 0, read off the order in which NFD puts pairs."""
    nfd = NFD()

    def swaps(first: str, second: str) -> bool:  # 0 < class(second) < class(first)
        return first != second and nfd.normalize_str(first + second) == second + first

    low, high = "\u0334", "\u0345"  # classes 1 and 240, the ends of the scale since Unicode 1.1

    def is_known(char: str) -> bool:
        return char in (low, high) or swaps(char, low) or swaps(high, char)

    marks = [cp for cp in CODE_POINTS if cp not in decompositions and is_known(chr(cp))]
    examples: dict[int, str] = {}
    for cp in marks:
        if value := unicodedata.combining(chr(cp)):
            examples.setdefault(value, chr(cp))
    classes: dict[int, int] = {}
    for cp in marks:
        char = chr(cp)
        same = [
            value for value, other in examples.items() if not swaps(char, other) and not swaps(other, char)
        ]
        assert len(same) == 1, f"U+{cp:04X} has no class of its own: {same}"
        classes[cp] = same[0]
    return classes


def check_hangul(decompositions: dict[int, str]) -> None:
    """The 11,172 syllables follow the standard's arithmetic, so the table leaves them out."""
    for cp in HANGUL:
        lead, rest = divmod(cp - HANGUL.start, 588)
        vowel, tail = divmod(rest, 28)
        jamo = chr(0x1100 + lead) + chr(0x1161 + vowel) + (chr(0x11A7 + tail) if tail else "")
        assert decompositions.pop(cp) == jamo


def runs(values: Iterable[int]) -> list[tuple[int, int]]:
    """(first index, value) of every run of equal values."""
    found: list[tuple[int, int]] = []
    for index, value in enumerate(values):
        if not found or found[-1][1] != value:
            found.append((index, value))
    return found


def array(kind: str, name: str, rows: Iterable[str]) -> str:
    """A C++ array definition, lines filled to the width of the project."""
    lines, line = [], "   "
    for row in rows:
        if len(line) + len(row) + 2 > 110:
            lines.append(line)
            line = "   "
        line += f" {row},"
    return "\n".join([f"constexpr {kind} {name}[] = {{", *lines, line, "};"])


def mapping_rows(table: dict[int, str]) -> Iterable[str]:
    for cp, text in table.items():
        assert len(text) <= 4
        yield "{" + ", ".join(f"0x{value:X}" for value in (cp, *map(ord, text))) + "}"


def main() -> None:
    flags = property_flags()
    decompositions, lowercase = mappings(NFD()), mappings(Lowercase())
    classes = combining_classes(decompositions)
    check_hangul(decompositions)
    class_runs = runs(classes.get(cp, 0) for cp in range(0x110000))
    parts = [
        f"// Written by generate_tables.py from tokenizers {tokenizers.__version__}; not to be edited.",
        array("Run", "kPropertyRuns", (f"{{0x{first:X}, {value}}}" for first, value in runs(flags))),
        array("Run", "kCombiningRuns", (f"{{0x{first:X}, {value}}}" for first, value in class_runs)),
        array("Mapping", "kDecompositions", mapping_rows(decompositions)),
        array("Mapping", "kLowercase", mapping_rows(lowercase)),
    ]
    target = Path(__file__).with_name("unicode_tables.inc")
    target.write_text("\n".join(parts) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
