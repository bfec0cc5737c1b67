"""Rows of a corpus that are the same bit by bit, searched once and given back each.

Scores of equal rows tie, and no bound on rounding parts a tie: without folding, a query near a text that
stands in the corpus a thousand times would score a thousand groups again.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

ROWS_AT_ONCE = 1 << 16
_BITS = {2: torch.int16, 4: torch.int32, 8: torch.int64}


@dataclass(frozen=True)
class Folded:
    """The distinct rows of a block, and which rows each of them stands for.

    rows:    (U, D), in the order in which they first come
    members: (N,) int64, rows of the block, those of one distinct row side by side in rising order
    starts, counts: (U,) int64, where in `members` those of a distinct row begin, and how many they are
    """

    rows: Tensor
    members: Tensor
    starts: Tensor
    counts: Tensor

    def expand(self, scores: Tensor, distinct: Tensor) -> tuple[Tensor, Tensor]:
        """Scores and rows of the block (q, c) from those of distinct rows, which hold the best k of them.

        scores: (q, k) float32, -inf where there is none; distinct: (q, k) int64. At most k rows are needed
        of each distinct row; -inf fills what it does not have.
        """
        k = distinct.shape[1]
        found = distinct.clamp_min(0)
        place = torch.arange(min(k, int(self.counts.max())), device=distinct.device)
        exists = place < self.counts[found][:, :, None]
        rows = self.members[torch.where(exists, self.starts[found][:, :, None] + place, 0)]
        return torch.where(exists, scores[:, :, None], -torch.inf).flatten(1), rows.flatten(1)


def fold(block: Tensor) -> Folded | None:
    """The distinct rows of a block (N, D); None where no row comes twice. Zeros of both signs differ."""
    block = block.contiguous()
    hashes, order = _hashes(block).sort(stable=True)
    is_new = torch.ones(len(block), dtype=torch.bool, device=block.device)
    is_new[1:] = hashes[1:] != hashes[:-1]
    if bool(is_new.all()):
        return None
    _part_chance_meetings(block, order, is_new)
    if bool(is_new.all()):
        return None
    starts = is_new.nonzero()[:, 0]
    ends = torch.cat([starts[1:], starts.new_tensor([len(block)])])
    by_first_row = order[starts].argsort()
    starts, counts = starts[by_first_row], (ends - starts)[by_first_row]
    return Folded(block[order[starts]], order, starts, counts)


def _hashes(block: Tensor) -> Tensor:
    """(N,) int64: the bits of a row times fixed odd numbers, modulo 2**64."""
    generator = torch.Generator().manual_seed(1)
    factors = torch.randint(-(2**62), 2**62, (block.shape[1],), generator=generator) * 2 + 1
    factors = factors.to(block.device)
    bits = block.view(_BITS[block.element_size()])
    parts = [(part.long() * factors).sum(dim=1) for part in bits.split(ROWS_AT_ONCE)]
    return torch.cat(parts)


def _part_chance_meetings(block: Tensor, order: Tensor, is_new: Tensor) -> None:
    """Mark as new each row whose hash is that of the row before it, but whose bits are not."""
    bits = block.view(_BITS[block.element_size()])
    for places in (~is_new).nonzero()[:, 0].split(ROWS_AT_ONCE):
        differs = (bits[order[places]] != bits[order[places - 1]]).any(dim=1)
        is_new[places[differs]] = True
