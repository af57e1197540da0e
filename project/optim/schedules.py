"""Learning-rate schedules that step every batch, with lengths given as fractions of the run, and one that watches.

Each is made as schedule(optimizer, total_steps) and scales the optimizer's own rate, which is the highest it reaches.
"""

from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, OneCycleLR, ReduceLROnPlateau


class OneCycle(OneCycleLR):
    """Up from a fraction of the rate and down to nearly nothing, in two half cosines (Smith, arXiv 1708.07120).

    While the rate rises, momentum, or Adam's first beta, falls from above the optimizer's own to below it; then back.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        total_steps: int,
        warmup: float = 0.3,
        start: float = 0.04,
        end: float = 4e-6,
        momentum_swing: float = 0.05,
    ) -> None:
        """Set the rates of the first step.

        Args:
            optimizer: Its rates are the peak.
            total_steps: Steps of the run, from the trainer.
            warmup: Fraction of the run in which the rate rises; at least 0, below 1.
            start: First rate as a fraction of the peak; above 0, at most 1.
            end: Last rate as a fraction of the peak; above 0, at most `start`.
            momentum_swing: How far momentum goes above and below the optimizer's own: 0.05 moves 0.9 from 0.95 to 0.85
                and back; at least 0. 0 keeps it. Less where it would come more than halfway to 1, or below 0.
        """
        _check_warmup(warmup)
        if not 0 < end <= start <= 1:
            raise ValueError(f"OneCycle's start {start} and end {end} must have 0 < end <= start <= 1")
        if momentum_swing < 0:
            raise ValueError(f"OneCycle's momentum_swing {momentum_swing} must be at least 0")
        momenta = [_momentum(group) for group in optimizer.param_groups]
        swings = [min(momentum_swing, momentum, (1 - momentum) / 2) for momentum in momenta]
        peaks = [group["lr"] for group in optimizer.param_groups]
        rise = 0.0 if warmup * total_steps == 1 else warmup  # torch divides by the rise's steps less one
        super().__init__(
            optimizer,
            peaks,
            total_steps,
            pct_start=rise,
            div_factor=1 / start,
            final_div_factor=start / end,
            cycle_momentum=any(swings),
            # Rounded, since 0.9 + 0.05 is 0.9500000000000001.
            base_momentum=[round(momentum - swing, 9) for momentum, swing in zip(momenta, swings, strict=True)],
            max_momentum=[round(momentum + swing, 9) for momentum, swing in zip(momenta, swings, strict=True)],
        )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on at the saved step, on the curve of this run's length: a resumed run may be given more epochs."""
        own = {name: self.__dict__[name] for name in ("total_steps", "_schedule_phases")}
        super().load_state_dict({**state_dict, **own})


class WarmupLinear(LambdaLR):
    """A straight line up to the rate, then a straight line down towards 0.

    Step t of T, with W = warmup * T, uses min((t + 1) / (W + 1), (T - t) / (T - W)) of the rate.
    """

    def __init__(self, optimizer: Optimizer, total_steps: int, warmup: float = 0.1) -> None:
        """Set the rates of the first step.

        Args:
            optimizer: Its rates are the peak.
            total_steps: Steps of the run, from the trainer.
            warmup: Fraction of the run in which the rate rises; at least 0, below 1.
        """
        _check_warmup(warmup)
        rising = warmup * total_steps
        falling = total_steps - rising
        super().__init__(optimizer, lambda step: min((step + 1) / (rising + 1), (total_steps - step) / falling))


class Plateau(ReduceLROnPlateau):
    """Lowers the rate where the validation loss has not fallen for some epochs."""

    def __init__(self, optimizer: Optimizer, total_steps: int, factor: float = 0.1, patience: int = 2) -> None:
        """Begin at the optimizer's own rate.

        Args:
            optimizer: Its rates are those of the first epoch.
            total_steps: Of the run, from the trainer; not used.
            factor: Of the rate that a lowering leaves; above 0, below 1.
            patience: Epochs in a row, of those with a validation, whose loss may be no lower; at least 0.
        """
        if not 0 < factor < 1 or patience < 0:
            raise ValueError(
                f"Plateau's factor {factor} must be above 0 and below 1, its patience {patience} at least 0"
            )
        super().__init__(optimizer, factor=factor, patience=patience)


def _momentum(group: dict[str, Any]) -> float:
    """Of an optimizer's group, 0 where it has none."""
    return float(group["betas"][0] if "betas" in group else group.get("momentum", 0))


def _check_warmup(warmup: float) -> None:
    if not 0 <= warmup < 1:
        raise ValueError(f"the schedule's warmup {warmup} must be at least 0 and below 1")
