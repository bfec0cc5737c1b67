"""How the processes of a group compute one `info_nce` over all their pairs; each has m of the N = world * m.

A process works through its own m rows of logits and all N columns. `AllGather` brings all positives to every
process first. `RingExchange` passes blocks of positives from process to process, each with the sums of its
columns (or its gradient) so far, so that no process ever holds more than two blocks. Labels are gathered in
both. Sums are added up in the same order in every run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
import torch.distributed as dist
from torch import Tensor

from univar.errors import UsageError
from univar.kernels.info_nce.block import Block, Gradients, Tiles


class SingleProcess:
    """One process, which has all rows."""

    rank, world = 0, 1

    def gather(self, local: Tensor) -> Tensor:
        """The rows of all processes in the order of their ranks. local: (m, ...) -> (N, ...)."""
        return local

    def sum(self, local: Tensor) -> Tensor:
        """The sum over all processes."""
        return local

    def log_sums(self, tiles: Tiles, block: Block) -> tuple[Tensor, Tensor]:
        """`tiles.log_sums` of the local rows (m,) over all columns and of the local columns over all rows."""
        return tiles.log_sums(block)

    def gradients(self, tiles: Tiles, block: Block, lse_rows: Tensor, lse_cols: Tensor | None) -> Gradients:
        """`tiles.gradients` of the local rows and columns, each (m, D); `dot` over the local rows."""
        return tiles.gradients(block, lse_rows, lse_cols)


class AllGather(SingleProcess):
    """Every process gets all positives; sums and gradients of columns are added up over the processes."""

    def __init__(self, group: dist.ProcessGroup) -> None:
        self._group = group
        self.rank, self.world = dist.get_rank(group), dist.get_world_size(group)

    def gather(self, local: Tensor) -> Tensor:
        parts = [torch.empty_like(local) for _ in range(self.world)]
        dist.all_gather(parts, local.contiguous(), group=self._group)
        return torch.cat(parts)

    def sum(self, local: Tensor) -> Tensor:
        total = local.clone()
        dist.all_reduce(total, group=self._group)
        return total

    def log_sums(self, tiles: Tiles, block: Block) -> tuple[Tensor, Tensor]:
        log_rows, log_cols = tiles.log_sums(self._against_all(block))
        parts = self.gather(log_cols[None])  # (world, N)
        return log_rows, parts.logsumexp(dim=0)[self._columns(block)]

    def gradients(self, tiles: Tiles, block: Block, lse_rows: Tensor, lse_cols: Tensor | None) -> Gradients:
        all_cols = None if lse_cols is None else self.gather(lse_cols)
        found = tiles.gradients(self._against_all(block), lse_rows, all_cols)
        return replace(found, positive=self.sum(found.positive)[self._columns(block)])

    def _against_all(self, block: Block) -> Block:
        labels = None if block.col_labels is None else self.gather(block.col_labels)
        first = self._columns(block).start
        return replace(block, positive=self.gather(block.positive), diagonal=first, col_labels=labels)

    def _columns(self, block: Block) -> slice:
        """This process's columns among all."""
        rows = block.anchor.shape[0]
        return slice(self.rank * rows, (self.rank + 1) * rows)


class RingExchange(AllGather):
    """Blocks of positives travel; the sums or gradients of a block's columns travel one step behind it."""

    def log_sums(self, tiles: Tiles, block: Block) -> tuple[Tensor, Tensor]:
        log_rows = torch.full_like(block.anchor[:, 0], -torch.inf, dtype=torch.float64)
        log_cols = torch.full_like(log_rows, -torch.inf)

        def visit(visitor: Block, _: Tensor | None, so_far: Tensor) -> Tensor:
            rows, cols = tiles.log_sums(visitor)
            torch.logaddexp(log_rows, rows, out=log_rows)
            return torch.logaddexp(so_far, cols)

        return log_rows, self._visit_all(block, None, log_cols, visit)

    def gradients(self, tiles: Tiles, block: Block, lse_rows: Tensor, lse_cols: Tensor | None) -> Gradients:
        d_anchor = torch.zeros_like(block.anchor, dtype=block.accumulator)
        dot = torch.zeros((), dtype=torch.float64, device=d_anchor.device)

        def visit(visitor: Block, cols: Tensor | None, so_far: Tensor) -> Tensor:
            found = tiles.gradients(visitor, lse_rows, cols)
            d_anchor.add_(found.anchor)
            dot.add_(found.dot)
            return so_far.add_(found.positive)

        d_positive = self._visit_all(block, lse_cols, torch.zeros_like(d_anchor), visit)
        return Gradients(d_anchor, d_positive, dot)

    def _visit_all(
        self,
        block: Block,
        lse_cols: Tensor | None,
        carried: Tensor,
        visit: Callable[[Block, Tensor | None, Tensor], Tensor],
    ) -> Tensor:
        """Let the columns of every process visit these rows; returns what the local columns carried home.

        visit: (block with the visiting columns, their lse_cols, what they carry) -> what they carry on
        """
        for step in range(self.world):
            travelling = [block.positive, block.col_labels, lse_cols]
            arriving = self._send_to_next(travelling) if step + 1 < self.world else None
            visitor = replace(block, diagonal=0 if step == 0 else None)
            carried = visit(visitor, lse_cols, carried)
            if arriving is not None:
                positive, labels, lse_cols = arriving()
                assert positive is not None
                block = replace(block, positive=positive, col_labels=labels)
            (came,) = self._send_to_next([carried])()
            assert came is not None
            carried = came
        return carried

    def _send_to_next(self, tensors: list[Tensor | None]) -> Callable[[], list[Tensor | None]]:
        """Send to the next process, receive from the one before; call the result to get what it sent."""
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


def largest_norms(processes: SingleProcess, anchor: Tensor, log_scale: Tensor, norms: Tensor) -> Tensor:
    """The largest norm of an anchor and of a positive over all processes, (2,).

    norms: (2,) the same of this process's rows. Raises UsageError, on every process, where their embeddings
    differ in shape or their log_scale differs.
    """
    local = torch.cat([norms.double(), log_scale.detach().double()[None]])
    shape = torch.tensor(anchor.shape, dtype=torch.float64, device=anchor.device)
    facts = processes.gather(torch.cat([local, shape])[None])  # (world, 5)
    if not bool((facts[:, 2:] == facts[:1, 2:]).all()):
        found = ", ".join(f"({int(m)}, {int(d)}) at log_scale {s:.6g}" for s, m, d in facts[:, 2:].tolist())
        raise UsageError(
            f"all processes must have embeddings of the same shape and the same log_scale, found {found}"
        )
    return facts[:, :2].amax(dim=0)
