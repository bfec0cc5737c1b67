"""`info_nce` by every implementation against the plain one in float64: values, gradients, edges, refusals."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from tests.kernels.cases import INPUTS, NAMES, Pairs, converged_pairs, error, loss_and_gradients, random_pairs
from univar import info_nce
from univar.errors import UsageError
from univar.kernels.info_nce import SAME_SOURCE, tiles_torch
from univar.kernels.info_nce.block import Block
from univar.kernels.launch import Config

triton = pytest.importorskip("triton", reason="kernels need the package triton")
from univar.kernels import launch  # noqa: E402
from univar.kernels.info_nce import tiles_triton  # noqa: E402

SIZES = [(1, 1), (7, 63), (130, 48), (257, 384), (256, 768)]
SLACK = {torch.float32: 4e-6, torch.bfloat16: 4e-3, torch.float16: 1e-3}
SCALES = [1.0, 20.0, 50.0, 80.0, 100.0]
PRODUCT = list(itertools.product(INPUTS, SIZES, SLACK, SCALES, SAME_SOURCE, (True, False)))
SMALL = [case for case in PRODUCT if case[1][0] <= 130]
COVERING = [case for number, case in enumerate(SMALL) if number % 13 == 0] + [
    ("random", (257, 384), torch.bfloat16, 20.0, "drop", True),
    ("converged", (256, 768), torch.float16, 100.0, "multipos", True),
    ("random", (257, 384), torch.float32, 80.0, "negatives", False),
]
CASE = ("inputs", "size", "dtype", "scale", "same_source", "symmetric")


@pytest.mark.parametrize("impl", ["chunked", "triton"])
@pytest.mark.parametrize(CASE, COVERING)
def test_error_is_no_larger_than_plain_torchs(
    impl, inputs, size, dtype, scale, same_source, symmetric, device
):
    assert_no_worse_than_plain(
        INPUTS[inputs](*size, device), dtype, scale, impl, same_source=same_source, symmetric=symmetric
    )


@pytest.mark.slow
@pytest.mark.parametrize("impl", ["chunked", "triton"])
@pytest.mark.parametrize(CASE, PRODUCT)
def test_error_is_no_larger_than_plain_torchs_in_all_cases(
    impl, inputs, size, dtype, scale, same_source, symmetric, device
):
    assert_no_worse_than_plain(
        INPUTS[inputs](*size, device), dtype, scale, impl, same_source=same_source, symmetric=symmetric
    )


def assert_no_worse_than_plain(pairs: Pairs, dtype: torch.dtype, scale: float, impl: str, **options) -> None:
    """Each result at most 1.5 times as wrong as plain torch's in the same dtype, and a little more."""
    rounded = pairs.to(dtype)
    exact = loss_and_gradients(rounded.to(torch.float64), scale, "dense", **options)
    plain = loss_and_gradients(rounded, scale, "dense", **options)
    got = loss_and_gradients(rounded, scale, impl, **options)
    for name, e, p, g in zip(NAMES, exact, plain, got, strict=True):
        assert error(g, e) <= 1.5 * error(p, e) + SLACK[dtype], name


@pytest.mark.parametrize("impl", ["chunked", "triton"])
@pytest.mark.parametrize(
    ("dtype", "scale", "bound"),
    [
        (torch.float32, 20.0, 1.6e-6),
        (torch.float32, 80.0, 1e-5),
        (torch.bfloat16, 20.0, 3.6e-3),
        (torch.bfloat16, 80.0, 3.6e-3),
    ],
)
def test_gradients_of_converged_pairs_keep_their_digits(impl, dtype, scale, bound, device):
    pairs = converged_pairs(130, 256, device).to(dtype)
    exact = loss_and_gradients(pairs.to(torch.float64), scale, "chunked")  # "dense" has no digits left
    got = loss_and_gradients(pairs, scale, impl)
    for name, e, g in zip(NAMES, exact, got, strict=True):
        assert float((g - e).norm() / e.norm()) < bound, name


TILES = {"torch": tiles_torch, "triton": tiles_triton}
RECTANGLE = ("tiles", "dtype", "scale", "diagonal", "with_labels")


@pytest.mark.parametrize("tiles", TILES)
@pytest.mark.parametrize("diagonal", [None, 5])
@pytest.mark.parametrize("with_labels", [False, True])
@pytest.mark.parametrize("scale", [20.0, 100.0])
def test_tiles_of_a_rectangle(tiles, diagonal, with_labels, scale, device):
    assert_rectangle(tiles, torch.float32, scale, diagonal, with_labels, device)


@pytest.mark.slow
@pytest.mark.parametrize(RECTANGLE, list(itertools.product(TILES, SLACK, SCALES, (None, 5), (False, True))))
def test_tiles_of_a_rectangle_in_all_cases(tiles, dtype, scale, diagonal, with_labels, device):
    assert_rectangle(tiles, dtype, scale, diagonal, with_labels, device)


def assert_rectangle(name, dtype, scale, diagonal, with_labels, device) -> None:
    """Tiles of 97 rows and 130 columns of 48 dims: no worse than plain torch in their dtype."""
    tiles, (m, n) = TILES[name], (97, 130)
    rows, cols = random_pairs(m, 48, device, labels=9), random_pairs(n, 48, device, labels=9)
    anchor, positive = (
        x.to(dtype).to(tiles.operand_dtype(x.to(dtype))) for x in (rows.anchor, cols.positive)
    )
    counted = torch.ones(m, n, dtype=torch.bool, device=device)
    if diagonal is not None:
        cols.labels[diagonal : diagonal + m] = rows.labels  # a pair has one label
        counted.diagonal(diagonal).fill_(False)
    if with_labels:
        counted &= rows.labels[:, None] != cols.labels[None, :]
    labels = (rows.labels.int(), cols.labels.int()) if with_labels else (None, None)
    block = Block(anchor, positive, scale, 1.01 * scale, n, diagonal, *labels)
    exact = plain_rectangle(anchor.double(), positive.double(), scale, counted)
    plain = plain_rectangle(anchor, positive, scale, counted)
    log_sums = tiles.log_sums(block)  # with what rounding did to the logits, as the gradients will have it
    made = tiles.gradients(block, *log_sums)
    got = [*log_sums, made.anchor, made.positive, made.dot]
    for number, (e, p, g) in enumerate(zip(exact, plain, got, strict=True)):
        assert error(g.double(), e) <= 1.5 * error(p.double(), e) + SLACK[anchor.dtype], number


def plain_rectangle(anchor: Tensor, positive: Tensor, scale: float, counted: Tensor) -> list[Tensor]:
    """[lse of rows, of columns, d anchor, d positive, dot] of the elements that count."""
    logits = (anchor @ positive.T).to(torch.promote_types(anchor.dtype, torch.float32)) * scale
    kept = logits.masked_fill(~counted, -torch.inf)
    lse_rows, lse_cols = kept.logsumexp(1), kept.logsumexp(0)
    weights = (kept - lse_rows[:, None]).exp() + (kept - lse_cols[None, :]).exp()
    rounded = weights.to(anchor.dtype)
    return [lse_rows, lse_cols, rounded @ positive, rounded.T @ anchor, (weights * logits).sum()]


def test_stripes_of_the_workspace_do_not_change_the_result(monkeypatch, device):
    pairs = random_pairs(150, 40, device).to(torch.float32)
    whole = loss_and_gradients(pairs, 20.0, "triton")
    small = {2: Config(32, 64, 16, 4, 2), 4: Config(32, 64, 16, 4, 2)}
    monkeypatch.setattr(tiles_triton, "FORWARD", {True: small, False: small})
    monkeypatch.setattr(tiles_triton, "BACKWARD", {True: small, False: small})
    monkeypatch.setattr(tiles_triton, "WORKSPACE_BYTES", 1)
    striped = loss_and_gradients(pairs, 20.0, "triton")
    for name, w, s in zip(NAMES, whole, striped, strict=True):
        assert error(s, w) < 1e-5, name


@pytest.mark.parametrize("same_source", ["negatives", "drop"])
def test_gpus_without_tensor_memory_accelerator_read_by_pointers(monkeypatch, same_source, device):
    pairs = random_pairs(140, 50, device).to(torch.bfloat16)
    expected = loss_and_gradients(pairs, 20.0, "triton", same_source=same_source)
    monkeypatch.setattr(tiles_triton, "has_tma", lambda device: False)
    monkeypatch.setattr(launch, "has_tma", lambda device: False)
    got = loss_and_gradients(pairs, 20.0, "triton", same_source=same_source)
    for name, e, g in zip(NAMES, expected, got, strict=True):
        assert error(g, e) < 1e-3, name


@pytest.mark.parametrize("impl", ["dense", "chunked"])
@pytest.mark.parametrize("same_source", SAME_SOURCE)
@pytest.mark.parametrize("symmetric", [True, False])
def test_gradcheck(impl, same_source, symmetric):
    pairs = random_pairs(9, 5, torch.device("cpu"), labels=4)
    log_scale = torch.tensor(1.3, dtype=torch.float64, requires_grad=True)

    def loss(anchor, positive, log_scale):
        options = {"same_source": same_source, "symmetric": symmetric, "impl": impl}
        return info_nce(anchor, positive, log_scale=log_scale, labels=pairs.labels, **options)

    inputs = (pairs.anchor.requires_grad_(), pairs.positive.requires_grad_(), log_scale)
    assert torch.autograd.gradcheck(loss, inputs)


@pytest.mark.parametrize("impl", ["dense", "chunked", "triton"])
def test_rows_that_are_not_contiguous_and_begin_anywhere(impl, device):
    pairs = random_pairs(40, 21, device).to(torch.bfloat16)
    plain = loss_and_gradients(pairs, 20.0, impl)
    spread = Pairs(
        *(torch.stack([x, x], dim=2)[:, :, 0] for x in (pairs.anchor, pairs.positive)), pairs.labels
    )
    assert not spread.anchor.is_contiguous()
    shifted = pairs.anchor.new_empty(40 * 21 + 1)[1:].view(40, 21).copy_(pairs.anchor)
    for other in (spread, Pairs(shifted, pairs.positive, pairs.labels)):
        for name, p, o in zip(NAMES, plain, loss_and_gradients(other, 20.0, impl), strict=True):
            assert error(o, p) < 1e-6, name


@pytest.mark.parametrize("impl", ["dense", "chunked", "triton"])
def test_a_batch_of_one_pair_has_no_loss(impl, device):
    for result in loss_and_gradients(random_pairs(1, 8, device).to(torch.float32), 20.0, impl):
        assert result.abs().max() == 0


@pytest.mark.parametrize("same_source", ["drop", "multipos"])
@pytest.mark.parametrize("impl", ["chunked", "triton"])
def test_a_batch_of_one_source(impl, same_source, device):
    pairs = random_pairs(20, 8, device, labels=1).to(torch.float32)
    exact = loss_and_gradients(pairs.to(torch.float64), 5.0, "dense", same_source=same_source)
    got = loss_and_gradients(pairs, 5.0, impl, same_source=same_source)
    for name, e, g in zip(NAMES, exact, got, strict=True):
        assert error(g, e) < 1e-5, name


def test_autocast_has_no_effect(device):
    pairs = random_pairs(30, 16, device).to(torch.float32)
    expected = loss_and_gradients(pairs, 20.0, "chunked")
    with torch.autocast(device.type, dtype=torch.bfloat16):
        got = loss_and_gradients(pairs, 20.0, "chunked")
    for e, g in zip(expected, got, strict=True):
        assert torch.equal(e, g)


def test_autocast_around_the_dense_loss_has_no_effect(device):
    """The backward pass belongs outside of autocast, as torch asks for."""
    pairs, found = random_pairs(30, 16, device).to(torch.float32), []
    for enabled in (False, True):
        sides = [side.detach().clone().requires_grad_() for side in (pairs.anchor, pairs.positive)]
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled):
            loss = info_nce(*sides, log_scale=3.0, impl="dense")
        found.append((loss, *torch.autograd.grad(loss, sides)))
    for plain, under_autocast in zip(*found, strict=True):
        assert torch.equal(plain, under_autocast)


def test_a_number_as_log_scale():
    pairs = random_pairs(12, 6, torch.device("cpu"))
    one = info_nce(pairs.anchor, pairs.positive, log_scale=2.0)
    other = info_nce(pairs.anchor, pairs.positive, log_scale=torch.tensor(2.0, dtype=torch.float64))
    torch.testing.assert_close(one, other)


def test_auto_takes_tiles_for_a_large_batch(monkeypatch):
    pairs = random_pairs(600, 8, torch.device("cpu")).to(torch.float32)
    monkeypatch.setattr("univar.kernels.reference.info_nce", None)
    assert info_nce(pairs.anchor, pairs.positive, log_scale=2.0).isfinite()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"anchor": torch.ones(3, 4)}, r"\(3, 4\) and \(5, 4\)"),
        ({"anchor": torch.ones(0, 4), "positive": torch.ones(0, 4)}, "at least 1"),
        ({"anchor": torch.ones(5), "positive": torch.ones(5)}, r"must be \(B, D\)"),
        ({"anchor": torch.ones(5, 4, dtype=torch.float64)}, "one floating point dtype"),
        (
            {"anchor": torch.ones(5, 4, dtype=torch.int64), "positive": torch.ones(5, 4, dtype=torch.int64)},
            "int64",
        ),
        ({"log_scale": torch.ones(2)}, "one number"),
        ({"same_source": "drop"}, "needs labels"),
        ({"same_source": "drop", "labels": torch.ones(4, dtype=torch.int64)}, "5 integers"),
        ({"same_source": "drop", "labels": torch.ones(5)}, "5 integers"),
        ({"same_source": "ignore"}, "unknown same_source"),
        ({"impl": "cuda"}, "unknown impl"),
        ({"exchange": "mail"}, "unknown exchange"),
        ({"positive": torch.ones(5, 4, device="meta")}, "positive on meta"),
        ({"log_scale": torch.ones((), device="meta")}, "log_scale on meta"),
        ({"labels": torch.ones(5, device="meta"), "same_source": "drop"}, "labels on meta"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(change, message):
    arguments = {"anchor": torch.ones(5, 4), "positive": torch.ones(5, 4), "log_scale": 1.0, **change}
    with pytest.raises(UsageError, match=message):
        info_nce(arguments.pop("anchor"), arguments.pop("positive"), **arguments)


def test_triton_refuses_float64(device):
    pairs = random_pairs(5, 4, device)
    with pytest.raises(UsageError, match="float64"):
        info_nce(pairs.anchor, pairs.positive, log_scale=1.0, impl="triton")


def test_triton_without_a_gpu_is_refused(monkeypatch):
    monkeypatch.setattr("univar.kernels.info_nce.can_launch", lambda device: False)
    with pytest.raises(UsageError, match="CUDA device"):
        info_nce(torch.ones(5, 4), torch.ones(5, 4), log_scale=1.0, impl="triton")


@pytest.mark.gpu
def test_two_runs_give_the_same_bits(device):
    pairs = random_pairs(6000, 384, device).to(torch.bfloat16)
    one, other = (loss_and_gradients(pairs, 20.0, "triton") for _ in range(2))
    for a, b in zip(one, other, strict=True):
        assert torch.equal(a, b)


@pytest.mark.gpu
def test_workspace_stays_within_its_cap(device):
    pairs = random_pairs(32_768, 384, device).to(torch.bfloat16)
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    loss_and_gradients(pairs, 20.0, "triton")
    embeddings = 4 * 32_768 * 384 * 4
    assert torch.cuda.max_memory_allocated() - before < tiles_triton.WORKSPACE_BYTES + 2 * embeddings
