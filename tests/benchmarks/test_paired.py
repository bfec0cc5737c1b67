"""Contenders take turns, ratios are taken within a round, and a trainer can be stepped from outside."""

from __future__ import annotations

import pytest

from benchmarks import paired
from benchmarks.stepwise import Stepwise


def test_each_round_has_every_contender_once_and_begins_with_another():
    called = []

    def measure_of(name):
        def measure():
            called.append(name)
            return paired.Cost(1.0, 2.0)

        return measure

    rounds = list(paired.take_turns({name: measure_of(name) for name in "abc"}, 4))
    assert "".join(called) == "abc" + "bca" + "cab" + "abc"
    assert [list(one) for one in rounds] == [["a", "b", "c"]] * 4


def test_ratios_are_taken_within_a_round_though_the_machine_drifts():
    rounds = [{"slow": paired.Cost(3 * s, 2 * s), "fast": paired.Cost(s, s)} for s in (1.0, 10.0, 0.1)]
    assert paired.ratios(rounds, "slow", "fast") == pytest.approx([2, 2, 2])
    assert paired.spread(paired.ratios(rounds, "slow", "fast", "cpu_s")) == {"median": 3, "min": 3, "max": 3}
    assert paired.best(rounds, ["slow", "fast"]) == "fast"
    assert paired.median(rounds, "fast") == 1.0


def test_a_call_costs_what_the_clocks_say():
    cost = paired.cost_of(lambda: sum(range(200_000)))
    assert cost.cpu_s > 0
    assert cost.wall_s > 0
    assert cost.facts() == {"cpu_s": round(cost.cpu_s, 4), "wall_s": round(cost.wall_s, 4)}


def test_a_trainer_makes_one_step_for_each_call_and_none_after_the_end():
    steps = []

    def train(on_step):
        for number in range(5):
            steps.append(number)
            on_step(number / 10)

    with Stepwise(train) as trainer:
        assert steps == []
        assert [trainer.step(), trainer.step()] == [0.0, 0.1]
    assert len(steps) == 2


def test_what_a_trainer_raises_is_raised_by_its_step():
    def train(on_step):
        on_step(0.5)
        raise ValueError("no more data")

    with Stepwise(train) as trainer:
        assert trainer.step() == 0.5
        with pytest.raises(ValueError, match="no more data"):
            trainer.step()


def test_a_trainer_without_further_steps_says_so():
    with Stepwise(lambda on_step: on_step(0.5)) as trainer:
        trainer.step()
        with pytest.raises(RuntimeError, match="has ended"):
            trainer.step()
