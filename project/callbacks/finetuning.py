"""Training a pretrained network: first its new head, then all of it."""

from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import BaseFinetuning
from torch import nn
from torch.optim import Optimizer

from project.system.errors import UserError


class Finetuning(BaseFinetuning):
    """First trains a network's heads alone, then all of it, its backbone at a lower rate.

    While it is frozen the backbone computes as in evaluation, and nothing of it changes. It is in the optimizer from
    the beginning, in a group of its own, so a schedule scales both rates. Lightning's own BackboneFinetuning adds it
    when it unfreezes it, which no schedule here foresees, and leaves it frozen where a run is resumed after that
    (lightning 2.6.6).
    """

    def __init__(self, unfreeze_at_epoch: int = 1, rate: float = 0.1) -> None:
        """Check the options.

        Args:
            unfreeze_at_epoch: First epoch, counted from 0, in which the backbone learns; at least 0.
            rate: The backbone's learning rate as a fraction of the head's, which is the optimizer's; above 0.
        """
        super().__init__()
        if unfreeze_at_epoch < 0:
            raise ValueError(f"Finetuning's unfreeze_at_epoch {unfreeze_at_epoch} must be at least 0")
        if rate <= 0:
            raise ValueError(f"Finetuning's rate {rate} must be above 0")
        self.unfreeze_at_epoch, self.rate = unfreeze_at_epoch, rate

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Raises UserError where several processes train: they share no gradients of weights that were frozen."""
        if stage == "fit" and trainer.world_size > 1:
            raise UserError("--trainer.devices: Finetuning works in one process; give --trainer.devices 1")
        super().setup(trainer, pl_module, stage)
        if stage == "fit":
            module: Any = pl_module
            module.make_optimizer()  # to hear now, before a run is begun, if it has groups already

    def freeze_before_training(self, pl_module: LightningModule) -> None:
        backbone = _backbone(pl_module)
        self.freeze(backbone, train_bn=False)
        for part in backbone.children():  # itself stays in training, in which it gives what auxiliary heads take
            part.eval()
        pl_module.backbone_rate = self.rate  # type: ignore[assignment]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A run that goes on in the middle of an epoch does not begin that epoch again."""
        self.finetune_function(pl_module, trainer.current_epoch, trainer.optimizers[0])

    def finetune_function(self, pl_module: LightningModule, epoch: int, optimizer: Optimizer) -> None:
        if epoch >= self.unfreeze_at_epoch:
            self.make_trainable(_backbone(pl_module))
            _backbone(pl_module).train()

    def state_dict(self) -> dict[str, Any]:
        """Nothing: epoch and optimizer tell all."""
        return {}


def _backbone(pl_module: LightningModule) -> nn.Module:
    backbone = getattr(pl_module.network, "backbone", None)
    if not isinstance(backbone, nn.Module):
        raise UserError(
            f"--trainer.callbacks Finetuning: {type(pl_module.network).__name__} has no backbone; "
            "give --model.network TorchvisionModel, or leave Finetuning out"
        )
    return backbone
