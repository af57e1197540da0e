"""Lightning's training loops, with a hook where a run can stop and go on as if it had not stopped.

Lightning's own checkpoint hooks come before a step's metrics are written, before the validation that follows it and
before a plateau schedule's step, so what is saved there lacks them (training_epoch_loop.py and fit_loop.py of 2.6.6).
"""

from typing import Any

from lightning.pytorch import Callback, Trainer

# Lightning has no public name for its loops.
from lightning.pytorch.loops.fit_loop import _FitLoop
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop

from project.training.agreement import Agreements


class BoundaryCallback(Callback):
    """A callback that is called between two steps, when nothing of the last one is left to do."""

    def on_boundary(self, trainer: Trainer, epoch_ended: bool, together: bool) -> None:
        """After an optimizer step, its metrics and the validation that follows it; at an epoch's end after that.

        Args:
            together: Whether this is a step at which every process of the run asks the others.
        """


class FitLoop(_FitLoop):
    """Lightning's loop over epochs."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.agreements = Agreements()

    def on_advance_end(self) -> None:
        super().on_advance_end()
        _call_boundary_hooks(self.trainer, epoch_ended=True)


class EpochLoop(_TrainingEpochLoop):
    """Lightning's loop over an epoch's batches, which goes on exactly where a boundary was."""

    def reset(self) -> None:
        if not self.trainer.fit_loop.restarted_mid_epoch:  # with max_steps Lightning would repeat an epoch's end
            self.restarting = False
        super().reset()
        # From here on nothing differs from a run that was not stopped. Where it does, Lightning skips a validation, and
        # a plateau schedule's step at the end of the epoch.
        self.restarting = False
        self.trainer.fit_loop._restarting = False

    def on_advance_end(self, data_fetcher: Any) -> None:
        with self.trainer.fit_loop.agreements.paused():
            super().on_advance_end(data_fetcher)  # validates
        if not self._should_accumulate() and not self.done:
            _call_boundary_hooks(self.trainer, epoch_ended=False)

    def _broadcast_sigterm_tensor(self) -> None:
        """Nothing: processes agree on when to stop at a boundary."""


def _call_boundary_hooks(trainer: Trainer, epoch_ended: bool) -> None:
    agreements: Agreements = trainer.fit_loop.agreements  # type: ignore[attr-defined]
    if together := epoch_ended or agreements.is_due(trainer):
        agreements.plan_next(trainer)
    with agreements.paused():
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, BoundaryCallback):
                callback.on_boundary(trainer, epoch_ended, together)
