"""A resumed run uses the options of its command, not those in its checkpoint."""

from collections.abc import Mapping
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch.optim import Optimizer

from project.system.errors import UserError

KEY = "given_options"


class GivenOptions(Callback):
    """Saves in each checkpoint the options of optimizer, schedule and early stopping.

    After a checkpoint is restored, the options that differ from the saved ones are set again.
    """

    def __init__(self) -> None:
        self._current: dict[str, Any] = {}
        self._saved: dict[str, Any] = {}

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remember the options. Lightning has made the optimizer, and has not restored its state yet.

        Raises UserError if the saved state is that of other groups of parameters.
        """
        (optimizer,) = trainer.optimizers
        schedules = [config.scheduler for config in trainer.lr_scheduler_configs]
        groups = [
            {name: value for name, value in group.items() if name != "params"} for group in optimizer.param_groups
        ]
        self._current |= {
            "kinds": _kinds(optimizer, *schedules),
            "groups": groups,
            "schedules": [_options(schedule.state_dict()) for schedule in schedules],
        }
        if self._saved and (saved := len(self._saved["groups"])) != len(groups):
            raise UserError(
                f"--trainer.callbacks: the checkpoint's optimizer has {saved} groups of parameters, this run's "
                f"{len(groups)}; give Finetuning as that run had it, or start a new run"
            )

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Remember the patience. Lightning restores callbacks after this, and before the start of the fit."""
        self._current["patience"] = [callback.patience for callback in trainer.early_stopping_callbacks]

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint[KEY] = self._current

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self._saved = checkpoint.get(KEY, {})

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self._saved or self._current == self._saved:
            return
        for group, current, saved in zip(trainer.optimizers[0].param_groups, *self._pair("groups"), strict=True):
            rate = group["lr"] * (current["lr"] / saved["lr"])  # the schedule's part of the learning rate stays
            group |= {**_changed(current, saved), "lr": rate}
        schedules = [config.scheduler for config in trainer.lr_scheduler_configs]
        for schedule, current, saved in zip(schedules, *self._pair("schedules"), strict=True):
            vars(schedule).update(_changed(current, saved))
        for callback, patience in zip(trainer.early_stopping_callbacks, self._current["patience"], strict=True):
            callback.patience = patience

    def _pair(self, part: str) -> tuple[Any, Any]:
        return self._current[part], self._saved[part]


def check_kinds(checkpoint: Mapping[str, Any], optimizer: Optimizer, schedule: Any) -> None:
    """Raises UserError if the checkpoint has the state of another class of optimizer or schedule."""
    saved = checkpoint.get(KEY, {}).get("kinds", {})
    for option, name in _kinds(optimizer, schedule).items():
        if saved.get(option, name) != name:
            raise UserError(
                f"--model.{option} {name}: the checkpoint has the state of {saved[option]}, which {name} cannot use; "
                f"give {saved[option]}, or start a new run"
            )


def _kinds(optimizer: Optimizer, schedule: Any = None) -> dict[str, str | None]:
    return {"optimizer": type(optimizer).__name__, "lr_scheduler": schedule and type(schedule).__name__}


def _options(state: Mapping[str, Any]) -> dict[str, Any]:
    """The plain values of a schedule's state. Names that begin with _ are about its last step, and are left out."""
    plain = (bool, int, float, str, list)
    return {name: value for name, value in state.items() if isinstance(value, plain) and name[0] != "_"}


def _changed(current: Mapping[str, Any], saved: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in current.items() if value != saved.get(name)}
