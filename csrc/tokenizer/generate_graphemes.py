"""Write grapheme_tables.inc by asking the `tokenizers` library where it breaks text into graphemes.

Its Precompiled normalizer replaces graphemes of up to five bytes whole, longer ones character by character.
With a map that makes a `Z` of whatever it is shown, the number of `Z`s tells whether two characters are one
grapheme: what lies together in five bytes counts once, what lies together in more counts once a character.

    python csrc/tokenizer/generate_graphemes.py
"""

from __future__ import annotations

import struct
from pathlib import Path

import tokenizers
from generate_tables import CODE_POINTS, HANGUL, array, runs
from tokenizers.normalizers import Precompiled

# In the order of the C++ enum GraphemeClass.
(OTHER, CONTROL, CR, LF, EXTEND, CONJUNCT_EXTEND, LINKER, ZWJ, SPACING, PREPEND, L, V, T, LV, LVT, PICTURE,
 CONSONANT) = range(17)  # fmt: skip
MARK = "\u0301"  # two bytes, never apart from a character before it
LEAD, VOWEL, TAIL = "\u1100", "\u1161", "\u11a8"  # Hangul jamo
KA, VIRAMA = "\u0915", "\u094d"  # a consonant and the sign that ties it to the next one
JOINER = "\u200d"
COPYRIGHT = "\u00a9"  # a pictograph of two bytes


def everything_becomes_z() -> Precompiled:
    """A map whose trie has every byte but NUL as a key: units as in Darts, 256 ^ byte and 512 ^ byte."""
    units = [0] * 1024
    units[0] = 256 << 10
    for byte in range(1, 256):
        units[256 + byte] = (256 ^ 512) << 10 | 1 << 8 | byte
        units[512 + byte] = 1 << 31
    trie = struct.pack("<1024I", *units)
    return Precompiled(struct.pack("<I", len(trie)) + trie + b"Z\0")


def utf8_bytes(text: str) -> int:
    return len(text.encode())


class Prober:
    """Whether the library joins a character to its neighbours, by counting."""

    def __init__(self) -> None:
        self._map = everything_becomes_z()

    def count(self, text: str) -> int:
        return len(self._map.normalize_str(text))

    def breaks_before(self, before: str, after: str) -> bool:
        """before and after: one grapheme each, the two together at least six bytes."""
        together = utf8_bytes(before + after)
        alone = sum(1 if utf8_bytes(part) < 6 else len(part) for part in (before, after))
        assert together >= 6
        assert alone != len(before + after), "can't be told apart"
        found = self.count(before + after)
        assert found in (alone, len(before + after))
        return found == alone

    def extends(self, char: str) -> bool:
        return self.count("a" + char) == 1

    def is_prepend(self, char: str) -> bool:
        return self.count(char + "a") == 1

    def is_control(self, char: str) -> bool:
        """No mark joins it. Marks in a row are one grapheme by themselves."""
        marks = MARK if utf8_bytes(char) < 4 else MARK * 2
        return self.count(char + marks) == 2

    def follows(self, before: str, char: str) -> bool:
        """Joined to `before`, shown by a mark that comes after."""
        return self.count(before + char + MARK) == 3

    def hangul(self, char: str) -> int:
        to_lead, to_vowel, to_tail = (self.follows(jamo, char) for jamo in (LEAD, VOWEL, TAIL))
        before_vowel, before_tail = (self.count(char + jamo + MARK) == 3 for jamo in (VOWEL, TAIL))
        kinds = {
            (True, False, False, True, False): L,
            (True, True, False, True, True): V,
            (False, True, True, False, True): T,
            (True, False, False, True, True): LV,
            (True, False, False, False, True): LVT,
        }
        return kinds.get((to_lead, to_vowel, to_tail, before_vowel, before_tail), OTHER)

    def is_picture(self, char: str) -> bool:
        return self.breaks_before(COPYRIGHT + JOINER, char) is False

    def keeps_picture(self, char: str) -> bool:
        """May stand between a pictograph and a joiner."""
        return self.count(COPYRIGHT + char + JOINER + COPYRIGHT + MARK) == 3 + 2

    def is_consonant(self, char: str) -> bool:
        alone = 1 if utf8_bytes(char + VIRAMA) < 6 else 2
        return self.count(char + VIRAMA + KA + MARK) != alone + 1

    def is_linker(self, char: str) -> bool:
        return self.count(KA + char + KA + MARK) == 1 + 1 + 2

    def keeps_conjunct(self, char: str) -> bool:
        return self.count(KA + VIRAMA + char + KA + MARK) == 3 + 2


def extending_class(probe: Prober, char: str) -> int:
    if char == JOINER:
        return ZWJ
    if not probe.keeps_picture(char):
        assert not probe.keeps_conjunct(char)
        return SPACING
    if probe.is_linker(char):
        return LINKER
    return CONJUNCT_EXTEND if probe.keeps_conjunct(char) else EXTEND


def class_of(probe: Prober, char: str) -> int:
    if char == "\r":
        return CR
    if char == "\n":
        return LF
    if char == "\0" or probe.is_control(char):  # a NUL is never replaced
        return CONTROL
    if probe.extends(char):
        return extending_class(probe, char)
    if probe.is_prepend(char):
        return PREPEND
    if char >= LEAD and (kind := probe.hangul(char)) != OTHER:
        return kind
    if utf8_bytes(char) > 1 and probe.is_picture(char):
        return PICTURE
    if utf8_bytes(char) > 1 and probe.is_consonant(char):
        return CONSONANT
    return OTHER


def main() -> None:
    probe = Prober()
    classes = [OTHER] * 0x110000
    for cp in CODE_POINTS:
        classes[cp] = class_of(probe, chr(cp))
    for cp in HANGUL:  # known by arithmetic, left out of the table
        assert classes[cp] == (LV if (cp - HANGUL.start) % 28 == 0 else LVT)
        classes[cp] = OTHER
    rows = (f"{{0x{first:X}, {value}}}" for first, value in runs(classes))
    parts = [
        f"// Written by generate_graphemes.py from tokenizers {tokenizers.__version__}; not to be edited.",
        array("Run", "kGraphemeRuns", rows),
    ]
    target = Path(__file__).with_name("grapheme_tables.inc")
    target.write_text("\n".join(parts) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
