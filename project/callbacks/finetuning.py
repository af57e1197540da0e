"""Fine-tuning of a pretrained network: first its new head, then the whole network, or the head alone."""

from collections.abc import Iterator
from contextlib import contextmanager

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn

from project.networks.depth import backbone_modules, backbone_parameters
from project.system.errors import UserError
from project.system.text import counted
from project.training.classifier import Classifier
from project.training.parameter_groups import ParameterGroups


class Finetuning(Callback):
    """Trains only the head of a network at first, then the whole network. The backbone has lower learning rates.

    The head is the network's last layer. In a network with a `backbone`, it is all that the network has beside that.
    The frozen backbone is in evaluation mode, and nothing in it changes. From the start, all its parameters are in
    groups of the optimizer. So a learning-rate schedule scales all learning rates.

    Lightning's BackboneFinetuning adds the backbone to the optimizer only when it unfreezes it, and a schedule of this
    project cannot know that group. It also leaves the backbone frozen in a run that is resumed later (lightning 2.6.6).
    """

    def __init__(
        self,
        unfreeze_at_epoch: int | None = 1,
        rate: float = 0.1,
        layer_decay: float = 1.0,
        vector_decay: bool = False,
    ) -> None:
        """Check the options.

        Args:
            unfreeze_at_epoch: Number of epochs in which the backbone is frozen, at least 0. null for all: a linear
                probe, which trains only the head.
            rate: Learning rate of the backbone, as a fraction of the optimizer's learning rate; above 0.
            layer_decay: Learning rate of each block of the backbone, as a fraction of that of the next block; above 0,
                at most 1. The last block has rate * layer_decay. Transformers often have 0.65 to 0.75, with a rate of
                1 (arXiv 2106.08254, 2111.06377). 1: all blocks have the same learning rate.
            vector_decay: Whether the optimizer's weight decay applies to biases, normalisation, class tokens and
                position embeddings, too.
        """
        if unfreeze_at_epoch is not None and unfreeze_at_epoch < 0:
            raise ValueError(f"Finetuning's unfreeze_at_epoch {unfreeze_at_epoch} must be at least 0")
        if not rate > 0:
            raise ValueError(f"Finetuning's rate {rate} must be above 0")
        if not 0 < layer_decay <= 1:
            raise ValueError(f"Finetuning's layer_decay {layer_decay} must be above 0, at most 1")
        self.unfreeze_at_epoch = unfreeze_at_epoch
        self.groups = ParameterGroups(rate, layer_decay, vector_decay)
        self._frozen: tuple[list[nn.Parameter], list[nn.Module]] = ([], [])

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Freeze the backbone.

        Raises:
            UserError: several processes train, which would not share the gradients of the backbone; or the network has
                no layers before its head, or the optimizer cannot have groups.
        """
        if stage != "fit":
            return
        if trainer.world_size > 1:
            raise UserError("--trainer.devices: Finetuning works in one process only; give --trainer.devices 1")
        assert isinstance(pl_module, Classifier)
        network = pl_module.network
        if not backbone_parameters(network):
            problem = f"{type(network).__name__} has no layers before a last linear one; leave Finetuning out"
            raise UserError(f"--trainer.callbacks Finetuning: {problem}")
        # Those that are frozen in the network itself, such as a whitening, stay so.
        weights = [parameter for parameter in backbone_parameters(network) if parameter.requires_grad]
        modules = [module for module in backbone_modules(network) if module.training]
        self._frozen = weights, modules
        self._train_backbone(False)
        pl_module.parameter_groups = self.groups
        pl_module.make_optimizer()  # raises an error before a run directory is made
        for line in self._remarks(trainer, pl_module):
            print(f"Finetuning: {line}", flush=True)

    def _remarks(self, trainer: Trainer, model: Classifier) -> Iterator[str]:
        """What the user may not have meant."""
        frozen, epochs = self.unfreeze_at_epoch, trainer.max_epochs or 0
        if frozen is not None and 0 < epochs <= frozen:
            yield f"only the head learns: the run has {counted(epochs, 'epoch')}, and unfreeze_at_epoch is {frozen}"
        if model.weights is None and getattr(model.network, "weights", None) is None and trainer.ckpt_path is None:
            yield "the layers before the head are random; --model.weights gives them those of a run or a file"

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Unfreeze the backbone of a run that is resumed in the middle of an epoch: that epoch does not start again."""
        self.on_train_epoch_start(trainer, pl_module)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.unfreeze_at_epoch is not None and trainer.current_epoch >= self.unfreeze_at_epoch:
            self._train_backbone(True)
            self._frozen = ([], [])

    @property
    def is_frozen(self) -> bool:
        """Whether the backbone is frozen now."""
        return self._frozen != ([], [])

    @contextmanager
    def unfrozen(self) -> Iterator[None]:
        """A block in which the backbone is in the state that it will have after unfreeze_at_epoch."""
        self._train_backbone(True)
        yield
        self._train_backbone(False)

    def _train_backbone(self, training: bool) -> None:
        weights, modules = self._frozen
        for parameter in weights:
            parameter.requires_grad_(training)
        for module in modules:
            module.training = training
