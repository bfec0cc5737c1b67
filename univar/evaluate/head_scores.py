"""What source heads are worth on questions that they did not see: part of the report of `univar evaluate`."""

from __future__ import annotations

from dataclasses import dataclass

from univar.evaluate.metrics import Estimate


@dataclass(frozen=True)
class BagScores:
    """Bags of `size` answers of one known source to different propositions.

    summed: share whose source has the greatest sum of log posteriors; mean_vector: by the head at the mean of
    the bag's vectors; nll: of the summed verdict with the bag's factor
    """

    size: int
    bags: int
    summed: float
    mean_vector: float
    nll: float


@dataclass(frozen=True)
class UnknownScores:
    """Whether a bag's source is known, when a third of the sources is left out of the discriminant.

    auroc: of the bag's strangeness, over `draws` thirds; the interval is over sources
    """

    size: int
    draws: int
    auroc: Estimate


@dataclass(frozen=True)
class HeadScores:
    """One head: "uncentred" for questions that the index lacks, "centred" for those that it holds.

    nll, accuracy: of single answers, intervals over propositions; brier, ece: Brier score and classwise
                   expected calibration error in 15 bins of equal size
    coverage:      nominal level to the share of sets that hold the true source, calibrated on one half of the
                   held-out propositions and counted on the other, 50 times; None below 40 propositions
    false_alarms:  share of bags of 10 of known sources with p <= .05 of "none of these"; None without bags
    """

    head: str
    kind: str
    rows: int
    nll: Estimate
    accuracy: Estimate
    brier: float
    ece: float
    coverage: dict[float, float] | None
    bags: list[BagScores]
    unknown: list[UnknownScores]
    false_alarms: float | None
