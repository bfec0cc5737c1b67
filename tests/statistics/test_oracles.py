"""Our statistics beside the field's libraries (extra `[oracle]`, which `make test-all` installs)."""

from __future__ import annotations

import numpy as np
import pytest

from univar.statistics.distances import paired_energy, unpaired
from univar.statistics.intervals import mean
from univar.statistics.mantel import mantel, principal_coordinates, residuals
from univar.statistics.permutation import sign_flip

pytestmark = pytest.mark.slow  # dcor compiles for a minute when it is first imported
REASON = "needs the extra [oracle]: pip install 'univar-embed[oracle]'"


def two_sides(questions: int = 20, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Answers (n, 5) of two sources that share what a question brings, and differ by a shift."""
    rng = np.random.default_rng(seed)
    topics = rng.standard_normal((questions, 5))
    noise = 0.5 * rng.standard_normal((2, questions, 5))
    return topics + noise[0], topics + noise[1] + 0.5


def test_energy_is_dcors_less_its_diagonal() -> None:
    """dcor counts all n^2 pairs of rows; without the n pairs of one question it is the paired estimate."""
    dcor = pytest.importorskip("dcor", reason=REASON)
    x, y = two_sides()
    n = len(x)
    own = 2 * np.linalg.norm(x - y, axis=1).sum()
    expected = (n * n * dcor.energy_distance(x, y) - own) / (n * (n - 1))
    assert paired_energy(x, y).estimate == pytest.approx(expected, rel=1e-9)


@pytest.mark.filterwarnings("ignore:The energy distance is not guaranteed")
def test_the_unpaired_distance_is_half_dcors_energy_of_squared_distances() -> None:
    dcor = pytest.importorskip("dcor", reason=REASON)
    x, y = two_sides()[0][:12], two_sides(seed=1)[1]
    expected = dcor.energy_distance(x, y, exponent=2, estimation_stat="u_statistic") / 2
    assert unpaired(x, y).estimate == pytest.approx(expected, rel=1e-9)


def test_mantel_is_scikit_bios() -> None:
    distance = pytest.importorskip("skbio.stats.distance", reason=REASON)
    x, y = two_sides(8)
    first, second = (np.linalg.norm(side[:, None] - side, axis=2) for side in (x, y))
    r, p = mantel(first, second)
    theirs = distance.mantel(first, second, permutations=9999, alternative="greater", seed=0)
    assert r == pytest.approx(theirs[0], rel=1e-9)
    assert p == pytest.approx(theirs[1], abs=4 * np.sqrt(p * (1 - p) / 9999) + 1e-4)  # theirs are random


def test_classical_scaling_is_scikit_bios() -> None:
    skbio = pytest.importorskip("skbio", reason=REASON)
    ordination = pytest.importorskip("skbio.stats.ordination", reason=REASON)
    points = two_sides(9)[0]
    distances = np.linalg.norm(points[:, None] - points, axis=2)
    theirs = np.asarray(ordination.pcoa(skbio.DistanceMatrix(distances)).samples)[:, :2]
    np.testing.assert_allclose(np.abs(principal_coordinates(distances)), np.abs(theirs), atol=1e-8)


def test_intervals_of_a_mean_are_students() -> None:
    weights = pytest.importorskip("statsmodels.stats.weightstats", reason=REASON)
    values = np.random.default_rng(2).standard_normal(17)
    found = mean(values, np.arange(17))
    assert (found.low, found.high) == pytest.approx(weights.DescrStatsW(values).tconfint_mean())


def test_partial_residuals_are_those_of_least_squares() -> None:
    linear = pytest.importorskip("statsmodels.api", reason=REASON)
    rng = np.random.default_rng(3)
    y, controls = rng.standard_normal(28), rng.standard_normal((28, 3))
    theirs = linear.OLS(y, linear.add_constant(controls)).fit().resid
    np.testing.assert_allclose(residuals(y, controls), theirs / np.linalg.norm(theirs), atol=1e-10)


def test_signs_are_scipys() -> None:
    """All 2^8 signs of the paired differences, with D2's form as the statistic."""
    from scipy.stats import permutation_test

    x, y = two_sides(8, seed=4)
    d = (x - y) - 0.3

    def form(places: np.ndarray, axis: int = -1) -> np.ndarray:
        """places: (..., 8) of +1 and -1, whose signs the library turns."""
        sums = places @ d
        return (sums**2).sum(axis=-1) - (d**2).sum()

    exact = permutation_test((np.ones(8),), form, permutation_type="samples", alternative="greater")
    assert sign_flip(d, np.zeros_like(d)) == pytest.approx(exact.pvalue)
