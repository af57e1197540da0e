"""Fine-tuning of a pretrained network: first its new head, then the whole network."""

from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import BaseFinetuning
from torch import nn
from torch.optim import Optimizer

from project.networks.protocol import has_backbone
from project.system.errors import UserError


class Finetuning(BaseFinetuning):
    """Trains only the heads of a network at first, then the whole network. The backbone has a lower learning rate.

    The frozen backbone is in evaluation mode, and nothing in it changes. From the start, the backbone is a parameter
    group of the optimizer. So a learning-rate schedule scales both learning rates.

    Lightning's BackboneFinetuning adds the backbone to the optimizer only when it unfreezes it, and a schedule of this
    project cannot know that group. It also leaves the backbone frozen in a run that is resumed later (lightning 2.6.6).
    """

    def __init__(self, unfreeze_at_epoch: int = 1, rate: float = 0.1) -> None:
        """Check the options.

        Args:
            unfreeze_at_epoch: Number of epochs in which the backbone is frozen, at least 0.
            rate: Learning rate of the backbone, as a fraction of the optimizer's learning rate; above 0.
        """
        super().__init__()
        if unfreeze_at_epoch < 0:
            raise ValueError(f"Finetuning's unfreeze_at_epoch {unfreeze_at_epoch} must be at least 0")
        if rate <= 0:
            raise ValueError(f"Finetuning's rate {rate} must be above 0")
        self.unfreeze_at_epoch, self.rate = unfreeze_at_epoch, rate

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Raises UserError if several processes train: they would not share the gradients of the backbone."""
        if stage == "fit" and trainer.world_size > 1:
            raise UserError("--trainer.devices: Finetuning works in one process only; give --trainer.devices 1")
        super().setup(trainer, pl_module, stage)
        if stage == "fit":
            module: Any = pl_module
            module.make_optimizer()  # raises an error before a run directory is made

    def freeze_before_training(self, pl_module: LightningModule) -> None:
        backbone = _backbone(pl_module)
        self.freeze(backbone, train_bn=False)
        for child in backbone.children():  # in training mode, the backbone computes the inputs of auxiliary heads
            child.eval()
        pl_module.backbone_rate = self.rate  # type: ignore[assignment]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Unfreeze the backbone of a run that is resumed in the middle of an epoch: that epoch does not start again."""
        self.finetune_function(pl_module, trainer.current_epoch, trainer.optimizers[0])

    def finetune_function(self, pl_module: LightningModule, epoch: int, optimizer: Optimizer) -> None:
        if epoch >= self.unfreeze_at_epoch:
            self.make_trainable(_backbone(pl_module))
            _backbone(pl_module).train()

    def state_dict(self) -> dict[str, Any]:
        """Nothing: the epoch and the optimizer are enough to resume."""
        return {}


def _backbone(pl_module: LightningModule) -> nn.Module:
    network: Any = pl_module.network
    if not has_backbone(network):
        raise UserError(
            f"--trainer.callbacks Finetuning: {type(network).__name__} has no backbone; "
            "give --model.network TorchvisionModel, or leave Finetuning out"
        )
    return network.backbone
