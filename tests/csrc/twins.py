"""The native WordPiece and Hugging Face's from the same words, and texts that try to tell them apart."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

import numpy as np
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors

from univar._native import Unigram, WordPiece
from univar.encoder.tokenizer import text_buffers

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
UNLIMITED = 1 << 40
AT_ONCE = 4096

# Inclusive ranges of code points, each drawn from as often as any other.
BLOCKS = [
    (0x20, 0x7E), (0x20, 0x7E), (0x61, 0x7A), (0x61, 0x7A), (0x41, 0x5A), (0x30, 0x39), (0x20, 0x20),
    (0x00, 0x1F), (0x7F, 0x9F),  # control characters, NUL among them
    (0xA0, 0xFF), (0x100, 0x24F), (0x1C4, 0x1CC), (0x130, 0x131),  # titlecase digraphs, dotted I
    (0x300, 0x36F), (0x300, 0x36F), (0x334, 0x345), (0x1AB0, 0x1ACE), (0x1DC0, 0x1DFF), (0x20D0, 0x20F0),
    (0x370, 0x3FF), (0x3A3, 0x3A3), (0x3C2, 0x3C3), (0x1F00, 0x1FFF),  # Greek, sigma, polytonic
    (0x400, 0x52F), (0x530, 0x58F), (0x10A0, 0x10FF), (0x1C90, 0x1CBF),
    (0x591, 0x5F4), (0x600, 0x6FF), (0x8D3, 0x8FF), (0xFB1D, 0xFB4F), (0xFE70, 0xFEFC),  # right to left
    (0x900, 0x97F), (0x980, 0x9FF), (0xB80, 0xBFF), (0xD00, 0xD7F), (0xE00, 0xE7F), (0xF00, 0xFFF),
    (0x1000, 0x109F),
    (0x1100, 0x11FF), (0x3130, 0x318F), (0xAC00, 0xD7A3), (0xAC00, 0xD7A3),  # Hangul
    (0x2000, 0x206F), (0x2000, 0x200F), (0x202A, 0x202F), (0x3000, 0x303F), (0x85, 0x85), (0x1680, 0x1680),
    (0x2100, 0x214F), (0x2190, 0x22FF), (0x2300, 0x23FF), (0x2600, 0x27BF),
    (0x302A, 0x302F), (0x3040, 0x309F), (0x30A0, 0x30FF), (0xFF00, 0xFFEF),
    (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x2F00, 0x2FDF),
    (0x20000, 0x2A6DF), (0x2A700, 0x2EBE0), (0x2F800, 0x2FA1F), (0x30000, 0x323AF),  # CJK ext B to H
    (0x1F300, 0x1FAFF), (0x1F1E6, 0x1F1FF), (0x1F3FB, 0x1F3FF), (0x200D, 0x200D), (0xFE00, 0xFE0F),  # emoji
    (0xE000, 0xF8FF), (0xFFF0, 0xFFFF), (0xFFFD, 0xFFFD), (0xFEFF, 0xFEFF), (0xE0000, 0xE01EF),
    (0x10FFFD, 0x10FFFF),
    (0x378, 0x379), (0x2FE0, 0x2FEF), (0x1D100, 0x1D1FF), (0x1D400, 0x1D7FF), (0x16F00, 0x16FFF),
    (0x1E900, 0x1E95F),
    (0x10400, 0x1044F), (0x11000, 0x114FF),
]  # fmt: skip
PHRASES = [
    "the", "values", "internationalization", "Straße", "İstanbul", "ΣΊΣΥΦΟΣ", "naïve", "don't", "[SEP]",
    "[MASK]", "[CLS] ", "[UNK", " [PAD]", "sep]", "👩‍👩‍👧‍👦", "日本語の文章です。", "중국어", "العربية",
    "हिन्दी", "\r\n", "\u0344", "≠", "ǅ",
    "e\u0301\u0323", "\u302f\u302e\u0323", "\U0001d16d\U0001d165", "\u1e9b\u0323", "x" * 99,
    "y" * 100, "z" * 101, "é" * 100,
]  # fmt: skip


def fuzzed(n: int, seed: int, longest: int = 24) -> list[str]:
    """n strings of 1 to `longest` draws, each a character of one of the BLOCKS or one of the PHRASES."""
    rng = random.Random(seed)

    def draw(blocks: Sequence[tuple[int, int]]) -> str:
        if rng.random() < 0.03:
            return rng.choice(PHRASES)
        return chr(rng.randint(*rng.choice(blocks)))

    def text() -> str:
        blocks = rng.sample(BLOCKS, rng.choice([1, 2, 3, 6])) if rng.random() < 0.7 else BLOCKS
        return "".join(draw(blocks) for _ in range(rng.randint(1, longest)))

    return [text() for _ in range(n)]


def telling_vocab(texts: Iterable[str]) -> list[str]:
    """A vocabulary with ids for every character that can come of the texts: nothing hides in [UNK]."""
    raw = set("".join(texts))
    decomposed = set(normalizers.NFD().normalize_str("".join(sorted(raw))))
    lowered = {low for char in raw | decomposed for low in normalizers.Lowercase().normalize_str(char)}
    characters = sorted(raw | decomposed | lowered)
    return [*SPECIALS, *characters, *(f"##{char}" for char in characters)]


def twins(
    vocab: list[str], added: Sequence[AddedToken] = (), isa: str = "auto", **options: bool | None
) -> tuple[Tokenizer, WordPiece]:
    """The library's tokenizer and the native one. added: beside SPECIALS; options: of BertNormalizer.

    Raises ValueError where this processor lacks `isa`.
    """
    ids = {piece: number for number, piece in enumerate(vocab)}
    library = Tokenizer(models.WordPiece(ids, unk_token="[UNK]", max_input_chars_per_word=100))
    library.normalizer = normalizers.BertNormalizer(**options)
    library.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    library.post_processor = processors.BertProcessing(("[SEP]", ids["[SEP]"]), ("[CLS]", ids["[CLS]"]))
    library.add_special_tokens(SPECIALS)
    library.add_tokens(list(added))
    rows = [
        (token.content, token_id, token.single_word, token.lstrip, token.rstrip, token.normalized)
        for token_id, token in library.get_added_tokens_decoder().items()
    ]
    return library, WordPiece(vocab, added_tokens=rows, isa=isa, **options)


def native_ids(native: WordPiece, texts: Sequence[str], threads: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Ids (T,) and cu_seqlens (n + 1,) without truncation."""
    ids, cu_seqlens, truncated = native.encode(*text_buffers(texts), max_length=UNLIMITED, threads=threads)
    assert not truncated.any()
    return ids, cu_seqlens


def assert_cut_as_the_library_does(
    library: Tokenizer, native: WordPiece | Unigram, texts: Sequence[str], most: int
) -> None:
    """Texts of more than `most` tokens lose those before the last one, and are said to be cut."""
    ids, cu_seqlens, truncated = native.encode(*text_buffers(texts), max_length=most, threads=1)
    whole = [encoding.ids for encoding in library.encode_batch_fast(list(texts))]
    assert truncated.tolist() == [len(row) > most for row in whole]
    cut = [row if len(row) <= most else [*row[: most - 1], row[-1]] for row in whole]
    assert ids.tolist() == [token for row in cut for token in row]
    assert np.diff(cu_seqlens).tolist() == [len(row) for row in cut]


def assert_same_ids(library: Tokenizer, native: WordPiece, texts: Sequence[str]) -> None:
    """Fails with the first text whose ids differ."""
    ids, cu_seqlens = native_ids(native, texts)
    for first in range(0, len(texts), AT_ONCE):  # the library's encodings are large
        encodings = library.encode_batch_fast(list(texts[first : first + AT_ONCE]))
        for row, encoding in enumerate(encodings, first):
            got = ids[cu_seqlens[row] : cu_seqlens[row + 1]].tolist()
            assert got == encoding.ids, f"text {row}: {texts[row]!r}"
