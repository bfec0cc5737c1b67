"""Packed texts in batches: all tokens one after the other; `cu_seqlens` says where each text starts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from univar._native import pack
from univar.encoder.tokenizer import take_texts

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class Layout:
    """Where the texts of one packed batch are.

    cu_seqlens: (n + 1,) int32, text i is cu_seqlens[i]:cu_seqlens[i + 1]

    A token matrix has `rows` rows, a few more than there are tokens: oneDNN compiles anew for each number of
    rows that it meets, which takes as long as a layer.
    """

    cu_seqlens: np.ndarray

    @property
    def tokens(self) -> int:
        """Tokens T of all texts."""
        return int(self.cu_seqlens[-1])

    @property
    def rows(self) -> int:
        """T rounded up, to one of at most 32 numbers between two powers of two."""
        step = max(16, (1 << (self.tokens - 1).bit_length()) // 64)
        return -(-self.tokens // step) * step

    @property
    def lengths(self) -> np.ndarray:
        """(n,) int32 tokens of each text."""
        return np.diff(self.cu_seqlens)

    @cached_property
    def max_length(self) -> int:
        """Tokens of the longest text."""
        return int(self.lengths.max(initial=0))

    @cached_property
    def positions(self) -> Tensor:
        """(rows,) int64 place of each token in its text, 0 in the rows after the last token."""
        import torch

        places = np.zeros(self.rows, np.int64)
        starts = np.repeat(self.cu_seqlens[:-1], self.lengths)
        np.subtract(np.arange(self.tokens), starts, out=places[: self.tokens])
        return torch.from_numpy(places)

    def positions_on(self, device: torch.device) -> Tensor:
        """`positions` on a device, copied there once."""
        return self._copied("positions", device)

    def cu_seqlens_on(self, device: torch.device) -> Tensor:
        """`cu_seqlens` (n + 1,) int32 on a device, copied there once."""
        return self._copied("cu_seqlens", device)

    def _copied(self, name: str, device: torch.device) -> Tensor:
        import torch

        key = name, device
        if key not in self._copies:
            there = torch.as_tensor(getattr(self, name)).to(device, non_blocking=True)
            self._copies[key] = there
        return self._copies[key]

    @cached_property
    def _copies(self) -> dict[tuple[str, torch.device], Tensor]:
        return {}

    @cached_property
    def groups(self) -> list[tuple[int, int, int]]:
        """(first token, texts, tokens of each) of every run of equally long texts."""
        lengths = self.lengths
        firsts = np.flatnonzero(np.diff(lengths, prepend=-1))
        counts = np.diff(firsts, append=len(lengths))
        return [
            (int(self.cu_seqlens[i]), int(n), int(lengths[i])) for i, n in zip(firsts, counts, strict=True)
        ]


def micro_batches(
    ids: np.ndarray, cu_seqlens: np.ndarray, max_tokens: int
) -> Iterator[tuple[np.ndarray, np.ndarray, Layout]]:
    """Cut packed texts into batches of at most `max_tokens` tokens, texts of similar length together.

    ids: (T,) int32; cu_seqlens: (n + 1,) int64. A text longer than `max_tokens` is a batch by itself.
    Yields, longest texts first, the texts' numbers (b,) int64, their ids one after the other (layout.rows,)
    int32, 0 after the last token, and their layout.
    """
    lengths = np.diff(cu_seqlens)
    order, cuts = pack(lengths, max_tokens)
    for first, last in zip(cuts[-2::-1], cuts[:0:-1], strict=True):
        rows = order[first:last]
        batch_ids, batch_cu_seqlens = take_texts(ids, cu_seqlens, rows)
        layout = Layout(batch_cu_seqlens.astype(np.int32))
        yield rows, np.pad(batch_ids, (0, layout.rows - layout.tokens)), layout
