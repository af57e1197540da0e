"""Learning-rate schedules that are updated after every step, and one that watches the validation loss.

Each is made as schedule(optimizer, total_steps). The optimizer's learning rate is the highest that a schedule reaches.
Lengths are fractions of the run.
"""

from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, OneCycleLR, ReduceLROnPlateau


class OneCycle(OneCycleLR):
    """Raises the learning rate and lowers it to nearly zero, in two half cosines (Smith, arXiv 1708.07120).

    While the learning rate rises, momentum (Adam's first beta) falls from above the optimizer's value to below it. Then
    it rises again.
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
        """Set the learning rates of the first step.

        Args:
            optimizer: Its learning rates are the peak.
            total_steps: Number of steps of the run, from the trainer.
            warmup: Fraction of the run in which the learning rate rises; at least 0, below 1.
            start: First learning rate as a fraction of the peak; above 0, at most 1.
            end: Last learning rate as a fraction of the peak; above 0, at most `start`.
            momentum_swing: Largest distance of the momentum from the optimizer's value; at least 0. 0.05 moves 0.9 from
                0.95 to 0.85 and back, 0 keeps it. It is reduced if the momentum would pass half the way to 1, or 0.
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
        """Continue at the saved step, on the curve of this run's length, since a resumed run may have more epochs."""
        own = {name: self.__dict__[name] for name in ("total_steps", "_schedule_phases")}
        super().load_state_dict({**state_dict, **own})


class WarmupLinear(LambdaLR):
    """Raises the learning rate in a straight line, then lowers it in a straight line towards 0.

    Step t of T, with W = warmup * T, uses min((t + 1) / (W + 1), (T - t) / (T - W)) of the optimizer's learning rate.
    """

    def __init__(self, optimizer: Optimizer, total_steps: int, warmup: float = 0.1) -> None:
        """Set the learning rates of the first step.

        Args:
            optimizer: Its learning rates are the peak.
            total_steps: Number of steps of the run, from the trainer.
            warmup: Fraction of the run in which the learning rate rises; at least 0, below 1.
        """
        _check_warmup(warmup)
        rising = warmup * total_steps
        falling = total_steps - rising
        super().__init__(optimizer, lambda step: min((step + 1) / (rising + 1), (total_steps - step) / falling))


class Plateau(ReduceLROnPlateau):
    """Lowers the learning rate when the validation loss has not fallen for some epochs."""

    def __init__(self, optimizer: Optimizer, total_steps: int, factor: float = 0.1, patience: int = 2) -> None:
        """Begin at the optimizer's learning rate.

        Args:
            optimizer: Its learning rates are those of the first epoch.
            total_steps: Number of steps of the run, from the trainer; not used.
            factor: Factor by which the learning rate is multiplied; above 0, below 1.
            patience: Number of validated epochs in a row without a lower loss that are allowed; at least 0.
        """
        if not 0 < factor < 1 or patience < 0:
            raise ValueError(
                f"Plateau's factor {factor} must be above 0 and below 1, its patience {patience} at least 0"
            )
        super().__init__(optimizer, factor=factor, patience=patience)


def _momentum(group: dict[str, Any]) -> float:
    """Return the momentum of an optimizer's parameter group; 0 if it has none."""
    return float(group["betas"][0] if "betas" in group else group.get("momentum", 0))


def _check_warmup(warmup: float) -> None:
    if not 0 <= warmup < 1:
        raise ValueError(f"the schedule's warmup {warmup} must be at least 0 and below 1")
