"""Every kernel in a few lines of plain PyTorch: the truth for tests, and the path where no GPU is."""

from __future__ import annotations

import torch
from torch import Tensor


def pool(hidden: Tensor, cu_seqlens: Tensor, pooling: str = "mean") -> Tensor:
    """One vector per packed sequence, (N, D) float32.

    hidden:     (T, D) floating point, token states of all sequences one after the other
    cu_seqlens: (N + 1,) int32 or int64, sequence i is cu_seqlens[i]:cu_seqlens[i + 1], none empty
    pooling:    "mean" over the sequence's tokens, or "cls" for its first token
    """
    if pooling == "cls":
        return hidden.index_select(0, cu_seqlens[:-1].long()).float()
    return torch.segment_reduce(hidden.float(), "mean", lengths=cu_seqlens.diff().long(), axis=0)


def pool_normalize(hidden: Tensor, cu_seqlens: Tensor, pooling: str = "mean", eps: float = 1e-12) -> Tensor:
    """`pool`, every row divided by its length (zero rows stay zero)."""
    return torch.nn.functional.normalize(pool(hidden, cu_seqlens, pooling), dim=1, eps=eps)


def residual_layer_norm(x: Tensor, residual: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """layer_norm(x + residual) * weight + bias, in x's dtype. x, residual: (T, D); weight, bias: (D,)."""
    total = x.float() + residual.float()
    return torch.nn.functional.layer_norm(total, weight.shape, weight.float(), bias.float(), eps).to(x.dtype)


def rotate(qkv: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Queries and keys of qkv (T, 3, heads, head_dim) turned: pairs (i, i + head_dim / 2), as a new tensor.

    cos, sin: (T, head_dim / 2)
    """
    left, right = qkv[:, :2].float().chunk(2, dim=-1)
    cos, sin = (x.reshape(len(qkv), 1, 1, -1) for x in (cos, sin))
    turned = torch.cat([left * cos - right * sin, right * cos + left * sin], dim=-1)
    return torch.cat([turned.to(qkv.dtype), qkv[:, 2:]], dim=1)


def swiglu(hidden: Tensor) -> Tensor:
    """hidden (T, 2 F), the value and then the gate -> value * silu(gate), (T, F), computed in float32."""
    value, gate = hidden.float().chunk(2, dim=1)
    return (value * torch.nn.functional.silu(gate)).to(hidden.dtype)


def knn_vote(scores: Tensor, labels: Tensor, n_labels: int) -> Tensor:
    """Share of the k neighbours that each label gets (uniform votes, as the paper's k-NN).

    scores:  (Q, k) float32, -inf where there was no neighbour
    labels:  (Q, k) int64, label of each neighbour, in [0, n_labels)
    returns: (Q, n_labels) float32, every row sums to 1 (to 0 where there was no neighbour)
    """
    found = torch.isfinite(scores).float()
    votes = torch.zeros(scores.shape[0], n_labels, dtype=torch.float32, device=scores.device)
    votes.scatter_add_(1, labels.clamp_min(0), found)
    return votes / found.sum(dim=1, keepdim=True).clamp_min(1)


def knn(queries: Tensor, corpus: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k corpus rows with the largest inner product with each query, ties by the lower row.

    queries: (Q, D), corpus: (N, D)
    returns: scores (Q, min(k, N)) float32, products summed in float64, high to low; indices int64
    """
    scores = (queries.double() @ corpus.double().T).float()
    best = scores.sort(dim=1, descending=True, stable=True)
    return best.values[:, :k], best.indices[:, :k]


def info_nce(
    anchor: Tensor,
    positive: Tensor,
    log_scale: Tensor,
    labels: Tensor | None = None,
    same_source: str = "negatives",
    symmetric: bool = True,
) -> Tensor:
    """The mean contrastive loss of B pairs, each with the other pairs' positives as negatives; () float32.

    Logits are exp(log_scale) * anchor @ positive.T; row i's target is column i. The arguments are those of
    `univar.kernels.info_nce.info_nce`; the B x B matrix is written, several times.
    """
    logits = (anchor @ positive.T).to(torch.promote_types(anchor.dtype, torch.float32)) * log_scale.exp()
    diagonal = torch.eye(len(logits), dtype=torch.bool, device=logits.device)
    same = diagonal if labels is None else labels[:, None] == labels[None, :]
    if same_source == "drop":
        logits = logits.masked_fill(same & ~diagonal, -torch.inf)
    positives = same if same_source == "multipos" else diagonal
    loss = _cross_entropy(logits, positives)
    return (loss + _cross_entropy(logits.T, positives)) / 2 if symmetric else loss


def _cross_entropy(logits: Tensor, positives: Tensor) -> Tensor:
    """Mean over the rows of minus the mean log probability of a row's positives; both (B, B)."""
    log_probabilities = logits.log_softmax(dim=1).masked_fill(~positives, 0)
    return -(log_probabilities.sum(dim=1) / positives.sum(dim=1)).mean()
