"""Options of the optimizer that a resumed run is given win over those in its checkpoint."""

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

KEY = "optimizer_options"


class OptimizerOptions(Callback):
    """Keeps in each checkpoint what the optimizer was made with; sets what a resumed run is made with differently."""

    def __init__(self) -> None:
        self._made: list[dict[str, Any]] = []
        self._saved: list[dict[str, Any]] = []

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The optimizer and its schedule are made, and nothing is restored yet."""
        groups = trainer.optimizers[0].param_groups
        self._made = [{name: value for name, value in group.items() if name != "params"} for group in groups]

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint[KEY] = self._made

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self._saved = checkpoint.get(KEY, [])

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        groups = trainer.optimizers[0].param_groups
        for group, made, saved in zip(groups, self._made, self._saved, strict=False):
            for name in made.keys() - {"lr"}:
                if made[name] != saved.get(name):
                    group[name] = made[name]
            if made["lr"] != saved["lr"]:  # what the schedule has made of the rate stays
                group["lr"] *= made["lr"] / saved["lr"]
        if self._made != self._saved:
            for config in trainer.lr_scheduler_configs:
                config.scheduler.base_lrs = [made.get("initial_lr", made["lr"]) for made in self._made]
