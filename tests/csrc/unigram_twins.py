"""The native Unigram and Hugging Face's from the same settings, and charsmaps made by hand."""

from __future__ import annotations

import base64
import json
import random
import struct
from collections.abc import Iterable, Sequence

from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

from tests.csrc.twins import fuzzed
from univar._native import Unigram
from univar.encoder.unigram import unigram_of

SPECIALS = ["<s>", "<pad>", "</s>", "<unk>"]
METASPACE = "\u2581"

# What stands together, or nearly, in one grapheme of up to five bytes.
CLUSTERS = [
    "\r\n", "\r", "\n", "e\u0301", "e\u0301\u0323", "a\u200d", "\u00a9\u200d\u00a9", "\u00ae\u200d\u2764",
    "\u2764\u200d\u2122\u0301", "\u2122\u0301", "\u2122\u200d\u2122\u0301",
    "\u00a9\u0301\u200d\u2122\u0301", "\u0600a", "\u0600 ", "\u0600\u0301", "\u06dd\uac00",
    "\u06dd\uac00\u11a8", "\u070f\r", "\U000110bd\u0301a", "\uac00\u0301", "\u1100\u1161",
    "\u1100\u1161\u0301", "\uac00\u11a8\u0301", "\u11a8\u0301", "\u1161\u0301", "\u0915\u094d\u0915\u0301",
    "\u0915\u094d\u0958\u0301", "\u0915\u0301\u094d\u200d\u0958\u0301", "\u0958\u0301",
    "\u0915\u200c\u094d\u0958\u0301", "\u0915\u093f\u0301", "\u0e33", "\u0e01\u0e33",
    "\U0001f1e6\U0001f1e6\U0001f1e6\u0301", "a\U0001e8d0", "\U0001d165\u0301", "\ue0001\u0301\u0301",
    "\u00bd\u0301", "\u2460\u0301", "\ufb01\u0301", "\u2165\u0301", "\u00a0\u0301", "\u3000\u0301",
    " \u0301", METASPACE, f"{METASPACE}\u0301", f" {METASPACE}", f"{METASPACE} ", "  ", "   ", "\t",
    "\u0085", "\u2003", "\u200b", "\ufeff", "\x00", "a\x00", "\uff1cs\uff1e", "\uff1cunk\uff1e", "<unk>",
    "\ufdfa", "<s>", "</s> ",
]  # fmt: skip


def charsmap(mapping: dict[str, str]) -> bytes:
    """A precompiled_charsmap of these keys. Every node of the trie has a block of 256 units of its own."""
    texts = bytearray()
    children: list[dict[int, int]] = [{}]
    values: dict[int, int] = {}
    for key, text in mapping.items():
        node = 0
        for byte in key.encode():
            if byte not in children[node]:
                children[node][byte] = len(children)
                children.append({})
            node = children[node][byte]
        values[node] = len(texts)
        texts += text.encode() + b"\0"
    units = [0] * (256 * (1 + len(children)))
    units[0] = 256 << 10
    for node, row in enumerate(children):
        block = 256 * (node + 1)
        for byte, child in row.items():
            place = block ^ byte
            units[place] = (place ^ 256 * (child + 1)) << 10 | (child in values) << 8 | byte
        if node in values:
            units[block] = 1 << 31 | values[node]
    trie = struct.pack(f"<{len(units)}I", *units)
    return struct.pack("<I", len(trie)) + trie + bytes(texts)


def unigram_library(
    vocab: Sequence[tuple[str, float]],
    *,
    blob: bytes = b"",
    strip: tuple[bool, bool] | None = None,
    blanks: str | None = " ",
    split_at_whitespace: bool = False,
    added: Iterable[AddedToken] = (),
) -> Tokenizer:
    """The library's tokenizer. strip: left, right; blanks: what several blanks become; None: no such step."""
    library = Tokenizer(models.Unigram(list(vocab), unk_id=SPECIALS.index("<unk>"), byte_fallback=False))
    steps: list[normalizers.Normalizer] = []
    if blob:
        steps.append(normalizers.Precompiled(blob))
    if strip:
        steps.append(normalizers.Strip(*strip))
    if blanks is not None:
        steps.append(normalizers.Replace(Regex(" {2,}"), blanks))
    if steps:
        library.normalizer = normalizers.Sequence(steps)
    library.pre_tokenizer = pre_tokenizers.Metaspace()
    if split_at_whitespace:
        library.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]
        )
    library.post_processor = processors.TemplateProcessing(
        "<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    library.add_special_tokens(SPECIALS)
    library.add_tokens(list(added))
    return library


def native_of(library: Tokenizer, isa: str = "auto") -> Unigram:
    """The native tokenizer from what the library would save; ValueError where this processor lacks `isa`."""
    files = unigram_of(json.loads(library.to_str()))
    assert files is not None
    return Unigram(files.vocab, files.scores, added_tokens=files.added_tokens, isa=isa, **files.settings)


def charsmap_of(library: Tokenizer) -> bytes:
    """The blob of a library's tokenizer whose normalizer is a sequence that begins with it."""
    steps = json.loads(library.to_str())["normalizer"]["normalizers"]
    return base64.b64decode(steps[0]["precompiled_charsmap"])


def telling_pieces(texts: Iterable[str], seed: int, scores: Sequence[float] = ()) -> list[tuple[str, float]]:
    """Pieces for some of the words and most of the characters of the texts: some stay unknown.

    scores: drawn from, so that several ways to cut a word are equally good; none: all different.
    """
    rng = random.Random(seed)
    pieces: dict[str, None] = {}
    for text in texts:
        for word in text.replace(" ", METASPACE).split(METASPACE):
            for _ in range(3):
                first = rng.randint(0, len(word))
                pieces[METASPACE * (first == 0) + word[first : first + rng.randint(1, 6)]] = None
    pieces.pop("", None)
    known = [piece for piece in pieces if len(piece) > 1 or rng.random() < 0.7]
    return [(piece, 0.0) for piece in SPECIALS] + [
        (piece, rng.choice(scores) if scores else -rng.uniform(1, 20)) for piece in known
    ]


def fuzzed_for_unigram(n: int, seed: int) -> list[str]:
    """As fuzzed(), with CLUSTERS strewn in."""
    rng = random.Random(seed)
    texts = []
    for text in fuzzed(n, seed):
        characters = list(text)
        for _ in range(rng.choice([0, 1, 1, 3])):
            characters.insert(rng.randint(0, len(characters)), rng.choice(CLUSTERS))
        texts.append("".join(characters))
    return texts
