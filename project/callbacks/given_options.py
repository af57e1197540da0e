"""Options that a resumed run is given win over those in its checkpoint."""

from collections.abc import Mapping
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch.optim import Optimizer

from project.system.errors import UserError

KEY = "given_options"


class GivenOptions(Callback):
    """Keeps in each checkpoint what optimizer, schedule and early stopping were made with.

    What a resumed run makes them with differently is set again after its checkpoint is restored.
    """

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}
        self._saved: dict[str, Any] = {}

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """All is made, and nothing of the optimizer is restored yet."""
        (optimizer,) = trainer.optimizers
        schedules = [config.scheduler for config in trainer.lr_scheduler_configs]
        groups = [
            {name: value for name, value in group.items() if name != "params"} for group in optimizer.param_groups
        ]
        self._made |= {
            "kinds": _kinds(optimizer, *schedules),
            "groups": groups,
            "schedules": [_options(schedule.state_dict()) for schedule in schedules],
        }

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Callbacks are restored between this and the start of the fit."""
        self._made["patience"] = [callback.patience for callback in trainer.early_stopping_callbacks]

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint[KEY] = self._made

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self._saved = checkpoint.get(KEY, {})

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self._saved or self._made == self._saved:
            return
        for group, made, saved in zip(trainer.optimizers[0].param_groups, *self._pair("groups"), strict=True):
            rate = group["lr"] * (made["lr"] / saved["lr"])  # what the schedule has made of the rate stays
            group |= {**_changed(made, saved), "lr": rate}
        schedules = [config.scheduler for config in trainer.lr_scheduler_configs]
        for schedule, made, saved in zip(schedules, *self._pair("schedules"), strict=True):
            vars(schedule).update(_changed(made, saved))
        for callback, patience in zip(trainer.early_stopping_callbacks, self._made["patience"], strict=True):
            callback.patience = patience

    def _pair(self, part: str) -> tuple[Any, Any]:
        return self._made[part], self._saved[part]


def check_kinds(checkpoint: Mapping[str, Any], optimizer: Optimizer, schedule: Any) -> None:
    """Raises UserError where the checkpoint is of an optimizer or a schedule of another class."""
    saved = checkpoint.get(KEY, {}).get("kinds", {})
    for option, name in _kinds(optimizer, schedule).items():
        if saved.get(option, name) != name:
            raise UserError(
                f"--model.{option} {name}: the checkpoint's is {saved[option]}, with whose state no other can go on; "
                "leave it as it was, or start a new run"
            )


def _kinds(optimizer: Optimizer, schedule: Any = None) -> dict[str, str | None]:
    return {"optimizer": type(optimizer).__name__, "lr_scheduler": schedule and type(schedule).__name__}


def _options(state: Mapping[str, Any]) -> dict[str, Any]:
    """Plain values; those that begin with _ are what a schedule keeps of its last step."""
    plain = (bool, int, float, str, list)
    return {name: value for name, value in state.items() if isinstance(value, plain) and name[0] != "_"}


def _changed(made: Mapping[str, Any], saved: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in made.items() if value != saved.get(name)}
