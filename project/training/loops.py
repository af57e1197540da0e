"""Lightning's training loops, with a hook at each point where a run can stop and be resumed exactly.

Lightning calls its own checkpoint hooks before it writes a step's metrics, before the validation that follows the step,
and before a plateau schedule's step. A checkpoint saved there lacks these (training_epoch_loop.py and fit_loop.py of
Lightning 2.6.6).
"""

from collections import OrderedDict
from typing import Any

from lightning.pytorch import Callback, Trainer

# Lightning has no public name for its loops.
from lightning.pytorch.loops.fit_loop import _FitLoop
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop

from project.training.agreement import Agreements


class BoundaryCallback(Callback):
    """A callback that is called between two steps, when the last one is completely done."""

    def on_boundary(self, trainer: Trainer, epoch_ended: bool, agreement_due: bool) -> None:
        """Called after an optimizer step, its metrics and the validation that follows it, and after an epoch's end.

        Args:
            epoch_ended: Whether no step of this epoch follows. All processes of the run know it.
            agreement_due: Whether all processes exchange their values at this step. A single process always does.
        """


STEP_HOOKS = (
    "on_train_batch_start",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
    "on_before_zero_grad",
    "on_train_batch_end",
)


def leave_out_empty_hooks(callback: Callback) -> None:
    """Set the step hooks that a callback does not have to None: Lightning would call each of them at each step."""
    for name in STEP_HOOKS:
        if getattr(type(callback), name) is getattr(Callback, name):
            vars(callback).setdefault(name, None)


class FitLoop(_FitLoop):
    """Lightning's loop over epochs."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.agreements = Agreements()

    @property
    def is_within_epoch(self) -> bool:
        """Whether an epoch has begun and is not finished."""
        progress: Any = self.epoch_progress.current
        return bool(progress.started > progress.processed)

    @property
    def skip(self) -> bool:
        """Whether there is nothing to do. A run that is resumed at its end within an epoch reports that epoch."""
        return super().skip and not self.is_within_epoch

    def on_run_start(self) -> None:
        for callback in self.trainer.callbacks:  # type: ignore[attr-defined]
            leave_out_empty_hooks(callback)
        super().on_run_start()

    def on_advance_end(self) -> None:
        if not self.epoch_loop.ended_early:
            self._report_epoch()
            _call_boundary_hooks(self.trainer, epoch_ended=True)

    def on_run_end(self) -> None:
        if self.is_within_epoch:
            self._report_unfinished_epoch()
        super().on_run_end()

    def _report_unfinished_epoch(self) -> None:
        """Log the epoch's figures so far and call its last hooks, but leave the epoch to be finished.

        The last checkpoint is older than that, and the figures are logged at the number of steps of that checkpoint. So
        a resumed run replaces them.
        """
        unfinished = self.epoch_progress.state_dict()
        self.epoch_loop._batches_that_stepped += 1  # Lightning logs at one less
        self._report_epoch()
        self.epoch_loop._batches_that_stepped -= 1
        self.epoch_progress.load_state_dict(unfinished)

    def _report_epoch(self) -> None:
        """Log the epoch's figures and call its last hooks, which may read the training metrics."""
        model: Any = self.trainer.lightning_module
        model.train_metrics.complete()
        super().on_advance_end()


class EpochLoop(_TrainingEpochLoop):
    """Lightning's loop over an epoch's batches, which a resumed run enters exactly where it was left."""

    def reset(self) -> None:
        if not self.trainer.fit_loop.restarted_mid_epoch:  # with max_steps Lightning would repeat an epoch's end
            self.restarting = False
        super().reset()
        # From here on the run is like one that was never stopped. Otherwise Lightning would skip a validation, and a
        # plateau schedule's step at the end of the epoch.
        self.restarting = False
        self.trainer.fit_loop._restarting = False

    def on_advance_end(self, data_fetcher: Any) -> None:
        with self.trainer.fit_loop.agreements.paused():
            super().on_advance_end(data_fetcher)  # validates
        if self.ended_early or not (self._should_accumulate() or self.done):
            _call_boundary_hooks(self.trainer, epoch_ended=self.done)

    @property
    def ended_early(self) -> bool:
        """Whether the run ends after an optimizer step in the middle of an epoch."""
        return self.done and not (self._num_ready_batches_reached() or self._should_accumulate())

    def _build_kwargs(self, kwargs: OrderedDict[str, Any], batch: Any, batch_idx: int) -> OrderedDict[str, Any]:
        """The arguments of Classifier.training_step. Lightning would look them up in its signature at each step."""
        return OrderedDict(batch=batch, batch_idx=batch_idx)

    def _broadcast_sigterm_tensor(self) -> None:
        """Do nothing: the processes agree in on_boundary on when to stop."""


def _call_boundary_hooks(trainer: Trainer, epoch_ended: bool) -> None:
    agreements: Agreements = trainer.fit_loop.agreements  # type: ignore[attr-defined]
    if agreement_due := agreements.is_due(trainer):
        agreements.plan_next(trainer)
    with agreements.paused():
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, BoundaryCallback):
                callback.on_boundary(trainer, epoch_ended, agreement_due)
