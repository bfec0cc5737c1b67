"""How the processes of a group make one `info_nce` over all their pairs: each has m of the N = world * m.

A process works through its own m rows of logits and all N columns. `Gathered` brings all positives here
first; `Ring` passes blocks of positives on from process to process, each with the sums of its columns (or
its gradient) so far, so that no process ever holds more than two blocks. Labels are gathered in both. Sums
are added up in the same order in every run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
import torch.distributed as dist
from torch import Tensor

from univar.errors import UsageError
from univar.kernels.info_nce.block import Block, Gradients, Tiles


class Alone:
    """One process: its rows are all there are."""

    rank, world = 0, 1

    def gather(self, own: Tensor) -> Tensor:
        """The rows of all processes, in the order of the processes. own: (m, ...) -> (N, ...)."""
        return own

    def sum(self, own: Tensor) -> Tensor:
        """The sum over all processes."""
        return own

    def log_sums(self, tiles: Tiles, block: Block) -> tuple[Tensor, Tensor]:
        """`tiles.log_sums` over all columns for the own rows (m,), over all rows for the own columns (m,)."""
        return tiles.log_sums(block)

    def gradients(self, tiles: Tiles, block: Block, lse_rows: Tensor, lse_cols: Tensor | None) -> Gradients:
        """`tiles.gradients` of the own rows and own columns, each (m, D); `dot` over the own rows."""
        return tiles.gradients(block, lse_rows, lse_cols)


class Gathered(Alone):
    """All positives come here; sums and gradients of columns are added up over the processes."""

    def __init__(self, group: dist.ProcessGroup) -> None:
        self._group = group
        self.rank, self.world = dist.get_rank(group), dist.get_world_size(group)

    def gather(self, own: Tensor) -> Tensor:
        parts = [torch.empty_like(own) for _ in range(self.world)]
        dist.all_gather(parts, own.contiguous(), group=self._group)
        return torch.cat(parts)

    def sum(self, own: Tensor) -> Tensor:
        total = own.clone()
        dist.all_reduce(total, group=self._group)
        return total

    def log_sums(self, tiles: Tiles, block: Block) -> tuple[Tensor, Tensor]:
        log_rows, log_cols = tiles.log_sums(self._against_all(block))
        parts = self.gather(log_cols[None])  # (world, N)
        return log_rows, parts.logsumexp(dim=0)[self._own(block)]

    def gradients(self, tiles: Tiles, block: Block, lse_rows: Tensor, lse_cols: Tensor | None) -> Gradients:
        all_cols = None if lse_cols is None else self.gather(lse_cols)
        made = tiles.gradients(self._against_all(block), lse_rows, all_cols)
        return replace(made, positive=self.sum(made.positive)[self._own(block)])

    def _against_all(self, block: Block) -> Block:
        labels = None if block.col_labels is None else self.gather(block.col_labels)
        own = self._own(block)
        return replace(block, positive=self.gather(block.positive), diagonal=own.start, col_labels=labels)

    def _own(self, block: Block) -> slice:
        rows = block.anchor.shape[0]
        return slice(self.rank * rows, (self.rank + 1) * rows)


class Ring(Gathered):
    """Blocks of positives travel; what belongs to a block's columns travels one step behind it."""

    def log_sums(self, tiles: Tiles, block: Block) -> tuple[Tensor, Tensor]:
        log_rows = torch.full_like(block.anchor[:, 0], -torch.inf, dtype=torch.float64)
        log_cols = torch.full_like(log_rows, -torch.inf)

        def work(visitor: Block, _: Tensor | None, so_far: Tensor) -> Tensor:
            rows, cols = tiles.log_sums(visitor)
            torch.logaddexp(log_rows, rows, out=log_rows)
            return torch.logaddexp(so_far, cols)

        return log_rows, self._around(block, None, log_cols, work)

    def gradients(self, tiles: Tiles, block: Block, lse_rows: Tensor, lse_cols: Tensor | None) -> Gradients:
        d_anchor = torch.zeros_like(block.anchor, dtype=block.accumulator)
        dot = torch.zeros((), dtype=torch.float64, device=d_anchor.device)

        def work(visitor: Block, cols: Tensor | None, so_far: Tensor) -> Tensor:
            made = tiles.gradients(visitor, lse_rows, cols)
            d_anchor.add_(made.anchor)
            dot.add_(made.dot)
            return so_far.add_(made.positive)

        d_positive = self._around(block, lse_cols, torch.zeros_like(d_anchor), work)
        return Gradients(d_anchor, d_positive, dot)

    def _around(
        self,
        block: Block,
        lse_cols: Tensor | None,
        carried: Tensor,
        work: Callable[[Block, Tensor | None, Tensor], Tensor],
    ) -> Tensor:
        """Let every block meet these rows; returns what the own block carries when it is home again.

        work: (block with the visitor's columns, its lse_cols, what it carries) -> what it carries on
        """
        for step in range(self.world):
            travelling = [block.positive, block.col_labels, lse_cols]
            arriving = self._pass_on(travelling) if step + 1 < self.world else None
            visitor = replace(block, diagonal=0 if step == 0 else None)
            carried = work(visitor, lse_cols, carried)
            if arriving is not None:
                positive, labels, lse_cols = arriving()
                assert positive is not None
                block = replace(block, positive=positive, col_labels=labels)
            (came,) = self._pass_on([carried])()
            assert came is not None
            carried = came
        return carried

    def _pass_on(self, tensors: list[Tensor | None]) -> Callable[[], list[Tensor | None]]:
        """Send to the next process what comes from the one before; call the result to wait for it."""
        following = dist.get_global_rank(self._group, (self.rank + 1) % self.world)
        previous = dist.get_global_rank(self._group, (self.rank - 1) % self.world)
        received = [None if x is None else torch.empty_like(x) for x in tensors]
        steps = []
        for mine, theirs in zip(tensors, received, strict=True):
            if mine is not None and theirs is not None:
                steps.append(dist.P2POp(dist.isend, mine.contiguous(), following, self._group))
                steps.append(dist.P2POp(dist.irecv, theirs, previous, self._group))
        requests = dist.batch_isend_irecv(steps)

        def wait() -> list[Tensor | None]:
            for request in requests:
                request.wait()
            return received

        return wait


def agree(team: Alone, anchor: Tensor, log_scale: Tensor, longest: Tensor) -> Tensor:
    """The longest rows (2,) of all processes, after a check that their pairs fit into one batch.

    longest: (2,) the length of the longest anchor and positive here. Raises UsageError on every process.
    """
    own = torch.cat([longest.double(), log_scale.detach().double()[None]])
    shape = torch.tensor(anchor.shape, dtype=torch.float64, device=anchor.device)
    facts = team.gather(torch.cat([own, shape])[None])  # (world, 5)
    if not bool((facts[:, 2:] == facts[:1, 2:]).all()):
        found = ", ".join(f"({int(m)}, {int(d)}) at log_scale {s:.6g}" for s, m, d in facts[:, 2:].tolist())
        raise UsageError(f"all processes need embeddings of one shape and the same log_scale, found {found}")
    return facts[:, :2].amax(dim=0)
