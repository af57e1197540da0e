"""Learning rates, step by step, against numbers worked out by hand."""

import math

import pytest
import torch
from torch.optim.lr_scheduler import LRScheduler

from project.optim import OneCycle, Plateau, WarmupLinear


def optimizer() -> torch.optim.SGD:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0, momentum=0.9)


def rates(schedule: LRScheduler, steps: int) -> list[float]:
    seen = []
    for _ in range(steps):
        seen.append(schedule.optimizer.param_groups[0]["lr"])
        schedule.optimizer.step()
        schedule.step()
    return seen


def test_warmup_linear() -> None:
    # W = 4 of T = 10: (t + 1) / 5 up to step 4, then (10 - t) / 6.
    expected = [0.2, 0.4, 0.6, 0.8, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6]
    assert rates(WarmupLinear(optimizer(), 10, warmup=0.4), 10) == pytest.approx([2 * share for share in expected])


def test_linear_without_warmup() -> None:
    assert rates(WarmupLinear(optimizer(), 4, warmup=0), 4) == pytest.approx([2, 1.5, 1, 0.5])


def test_one_cycle() -> None:
    # Rise over steps 0 to 1 and fall over steps 1 to 9, each half a cosine.
    seen = rates(OneCycle(optimizer(), 10, warmup=0.2, start=0.1, end=0.01), 10)
    fall = [0.02 + (2 - 0.02) * (1 + math.cos(math.pi * step / 8)) / 2 for step in range(9)]
    assert seen == pytest.approx([0.2, *fall])


def test_defaults() -> None:
    assert rates(WarmupLinear(optimizer(), 20), 4) == pytest.approx([2 / 3, 4 / 3, 2, 2 * 17 / 18])  # W = 2
    cycle = rates(OneCycle(optimizer(), 20), 20)  # up over steps 0 to 5
    assert (cycle.index(max(cycle)), cycle[5]) == (5, pytest.approx(2))
    assert (cycle[0], cycle[-1]) == (pytest.approx(0.08), pytest.approx(8e-6))
    watched = optimizer()
    plateau, seen = Plateau(watched, 20), []
    for loss in (3.0, 2.0, 2.0, 2.0, 2.0, 1.0):
        plateau.step(loss)
        seen.append(watched.param_groups[0]["lr"])
    assert seen == pytest.approx([2, 2, 2, 2, 0.2, 0.2])  # after more than two that are no lower


@pytest.mark.parametrize("steps", [1, 2, 5, 10])
def test_one_cycle_of_any_length(steps: int) -> None:
    assert all(0 < rate <= 2 for rate in rates(OneCycle(optimizer(), steps, warmup=0.2), steps))


def test_one_cycle_moves_no_momentum_that_is_not_there() -> None:
    weights = [torch.nn.Parameter(torch.zeros(1))]
    plain = torch.optim.SGD(weights, lr=2.0)
    seen = rates(OneCycle(plain, 10), 10)
    assert plain.param_groups[0]["momentum"] == 0
    assert rates(OneCycle(torch.optim.Adagrad(weights, lr=2.0), 10), 10) == seen
    assert rates(OneCycle(torch.optim.Adadelta(weights, lr=2.0), 10), 10) == seen


@pytest.mark.parametrize(
    ("given", "swing", "highest", "lowest"),
    [
        (0.9, {}, 0.95, 0.85),
        (0.5, {}, 0.55, 0.45),
        (0.98, {}, 0.99, 0.97),  # halfway to 1
        (0.02, {}, 0.04, 0),
        (0.0, {}, 0, 0),
        (0.5, {"momentum_swing": 0}, 0.5, 0.5),
        (0.5, {"momentum_swing": 0.2}, 0.7, 0.3),
    ],
)
@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.AdamW])
def test_one_cycle_moves_momentum_around_the_given_one(
    kind: type[torch.optim.SGD] | type[torch.optim.AdamW],
    given: float,
    swing: dict[str, float],
    highest: float,
    lowest: float,
) -> None:
    weights = [torch.nn.Parameter(torch.zeros(1))]
    option = {"momentum": given} if kind is torch.optim.SGD else {"betas": (given, 0.99)}
    made = kind(weights, lr=2.0, **option)
    schedule = OneCycle(made, 10, warmup=0.2, **swing)
    seen = []
    for _ in range(10):
        (group,) = made.param_groups
        seen.append(group["momentum"] if kind is torch.optim.SGD else group["betas"][0])
        assert kind is torch.optim.SGD or group["betas"][1] == 0.99
        made.step()
        schedule.step()
    middle, half = (highest + lowest) / 2, (highest - lowest) / 2
    rise = [middle - half * math.cos(math.pi * step / 8) for step in range(9)]
    assert seen == pytest.approx([highest, *rise])


def test_one_cycle_moves_the_momentum_of_each_group() -> None:
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "momentum": momentum} for momentum in (0.9, 0.6, 0)]
    made = torch.optim.SGD(groups, lr=2.0)
    OneCycle(made, 10)
    assert [group["momentum"] for group in made.param_groups] == [0.95, 0.65, 0]


@pytest.mark.parametrize("kind", [OneCycle, WarmupLinear])
def test_resumed_schedule(kind: type[OneCycle] | type[WarmupLinear]) -> None:
    whole = rates(kind(optimizer(), 10), 10)
    first = kind(optimizer(), 10)
    rates(first, 4)
    resumed = optimizer()
    second = kind(resumed, 10)
    resumed.load_state_dict(first.optimizer.state_dict())
    second.load_state_dict(first.state_dict())
    assert rates(second, 6) == pytest.approx(whole[4:])


def test_one_cycle_resumed_into_a_longer_run() -> None:
    first = OneCycle(optimizer(), 4)
    rates(first, 4)
    second = OneCycle(optimizer(), 8)
    second.load_state_dict(first.state_dict())
    assert rates(second, 4)[1:] == pytest.approx(rates(OneCycle(optimizer(), 8), 8)[5:])


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (OneCycle, {"warmup": 1}),
        (OneCycle, {"warmup": -0.1}),
        (OneCycle, {"start": 0}),
        (OneCycle, {"end": 0.5}),
        (OneCycle, {"momentum_swing": -0.1}),
        (WarmupLinear, {"warmup": 1}),
    ],
)
def test_options_out_of_range(kind: type, options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"must (be at least 0|have 0 <)"):
        kind(optimizer(), 10, **options)
