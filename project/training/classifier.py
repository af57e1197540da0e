"""The system around a network: loss, optimizer, learning-rate schedule and metrics."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Self

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.cli import OptimizerCallable
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from torchmetrics import MetricCollection

from project.checkpoints.classes import instantiate
from project.checkpoints.description import describe
from project.checkpoints.files import read
from project.data import ImageDataModule
from project.data.batches import Batch
from project.data.run_length import Position, saved_position, total_steps
from project.networks.protocol import AuxiliaryHeads, InitializedFromImages, NormalisesImages
from project.networks.test_time_augmentation import Views, views_logits, views_probabilities
from project.training.agreement import gathered
from project.training.compiled import CompiledStep, Mode
from project.training.fused import match_memory_order, skip_graph_check, use_fused_updates
from project.training.mean_loss import image_weights, weigh_classes
from project.training.metrics import TrainingMetrics, accuracy, evaluation_metrics
from project.training.parameter_groups import ParameterGroups
from project.training.trainer import is_logged_step

INITIAL_IMAGES = 1000  # their 961,000 patches fix the 78 numbers of a covariance well; 5,000 take a second longer
Schedule = Callable[[Optimizer, int], LRScheduler]


class Classifier(LightningModule):
    """Trains any network from images [N, C, H, W] to logits [N, num_classes]."""

    def __init__(
        self,
        network: nn.Module,
        num_classes: int,
        loss: nn.Module,
        optimizer: OptimizerCallable = torch.optim.Adam,
        lr_scheduler: Schedule | None = None,
        compile: bool | Mode = False,
        test_views: Views = "plain",
        weights: str | None = None,
    ) -> None:
        """Combine the parts.

        Args:
            network: From images [N, C, H, W] to logits [N, num_classes]; in training also to a tuple of these and the
                logits of auxiliary heads. network.auxiliary_weight is the factor of each of their losses.
            num_classes: Number of classes; linked from the data.
            loss: From logits [N, num_classes] and labels [N] to one number; used in training, validation and test.
                Mixed training labels are [N, num_classes].
            optimizer: Makes the optimizer of the network's parameters.
            lr_scheduler: Makes the learning-rate schedule from the optimizer and the number of steps of the run. It is
                updated after every step, Plateau after every epoch. None keeps the optimizer's learning rate.
            compile: Compile network and loss of a training step with torch.compile, for each image size, before the
                first step; checkpoints, validation and test stay the same. true is torch's mode default. On one GPU,
                reduce-overhead and max-autotune also record the step as a CUDA graph, so that Python takes less time.
            test_views: Test-time augmentation: the views of an image whose logits the test averages. The result is
                test/accuracy_<views>, in addition to the plain accuracy. mirror: the image and its mirror image;
                mirror_shift: these two, and both moved by a pixel in two directions.
            weights: From which a fit begins: a checkpoint file, a run directory, an experiment, best, last, or a file
                with a state dict. The command line takes its tensors whose names and shapes fit, and names the others,
                such as a head for another number of classes. It reads none for a run that starts from a checkpoint.
                None: the network's own.
        """
        super().__init__()
        self.network = network
        _use_channels_last(network)
        self.loss = loss
        self.optimizer = optimizer
        self.lr_scheduler = lr_scheduler
        self.weights = weights
        self.taken_weights: Collection[str] = ()  # names of the network's tensors; the command line sets it
        self.run_description: dict[str, Any] = {}  # see project.checkpoints.description; the command line sets it
        self.parameter_groups: ParameterGroups | None = None  # set by Finetuning
        mode: Mode = "default" if isinstance(compile, bool) else compile
        self.compiled = CompiledStep(Classifier.logits_and_losses, mode) if compile else None
        self._epoch_is_logged = False
        self._done: Position | None = None  # before a resumed run's first step
        self.train_metrics = TrainingMetrics(num_classes)
        self.val_metrics, self.test_metrics = (evaluation_metrics(stage, num_classes) for stage in ("val/", "test/"))
        self.test_views = test_views
        self.val_views: Views = "plain"  # in training; a temperature is fitted on the test_views
        self.calibration: Mapping[str, Any] = {}  # of the checkpoint; see project.checkpoints.description
        self.views_accuracy = accuracy(num_classes)

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]
        cls,
        checkpoint_path: str | Path,
        map_location: Any = "cpu",
        hparams_file: Any = None,
        strict: bool | None = None,
        weights_only: bool | None = None,
        *,
        allow: Collection[str] = (),
        **options: Any,
    ) -> Self:
        """A Classifier with the network, the loss and the weights of a checkpoint, which alone is needed.

        Args:
            checkpoint_path: A checkpoint file of this project.
            map_location: The device of the weights.
            hparams_file: Not used; the checkpoint contains all.
            strict: Whether the names of all weights have to be the same; None means yes.
            weights_only: Not used; no code from the file is ever run.
            allow: Modules with networks and losses of your own that the checkpoint may import.
            options: Of Classifier, such as optimizer and test_views.

        Raises:
            UserError: there is no such checkpoint, it is damaged, or its network may not or cannot be imported.
        """
        checkpoint = read(Path(checkpoint_path), map_location)
        network, loss = (instantiate(checkpoint[name], allow) for name in ("network", "loss"))
        model = cls(network, len(checkpoint["data"]["class_names"]), loss, **options)
        model.load_state_dict(checkpoint["state_dict"], strict=strict is not False)
        model.calibration = checkpoint.get("calibration", {})
        return model.to(map_location)

    def forward(self, images: Tensor) -> Tensor:
        """Images [N, C, H, W] to logits [N, num_classes]."""
        logits: Tensor = self.network(images)
        return logits

    def __setattr__(self, name: str, value: Any) -> None:
        """Set names at once. Lightning sets that of each hook that it calls, and torch looks through all weights."""
        if isinstance(value, str) or (value is None and name in vars(self)):
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    def setup(self, stage: str) -> None:
        """Give the data's mean and std to a network with a normalisation of its own, and class weights to the loss."""
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        if isinstance(self.network, NormalisesImages):
            self.network.renormalise_from(data.mean, data.std)
        if isinstance(data, ImageDataModule) and (weights := data.class_weights()) is not None:
            weigh_classes(self.loss, weights.to(self.device))

    def on_train_start(self) -> None:
        """Initialize a network that needs training images, but for the weights that a file has given it."""
        if isinstance(self.network, InitializedFromImages) and self.trainer.ckpt_path is None:
            state = self.network.state_dict()
            taken = {name: state[name].clone() for name in self.taken_weights}
            self.network.initialize(self.trainer.datamodule.sample(INITIAL_IMAGES))  # type: ignore[attr-defined]
            self.network.load_state_dict(taken, strict=False)

    def on_train_epoch_start(self) -> None:
        self.train_metrics.reset()  # a checkpoint of ModelCheckpoint contains those of the epoch before

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The loss to minimise. An answer to mixed labels is right if it is the class with the largest share."""
        images, labels = batch
        logits, loss, total = self.training_losses(images, labels)
        target = labels if labels.ndim == 1 else labels.argmax(1)
        self.train_metrics.collect(logits.argmax(1), target, loss, image_weights(self.loss, labels))
        # Each value that Lightning logs costs 0.3 ms, so none is logged that goes nowhere.
        if not self._epoch_is_logged:
            self._log_epoch()
        if is_logged_step(self.trainer):
            self.log("train/loss_step", total)
            self.log("train/lr", self.trainer.optimizers[0].param_groups[0]["lr"])
        return total

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        if self.compiled and self.compiled.recorded:
            self.compiled.recorded.backward(self.trainer.accumulate_grad_batches)
        else:
            super().backward(loss, *args, **kwargs)

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: Optimizer) -> None:
        """Remove the gradients by the network's zero_grad: unlike the optimizer's, it makes no notes for a profiler."""
        if type(optimizer).zero_grad is Optimizer.zero_grad:
            self.network.zero_grad()
        else:
            optimizer.zero_grad()  # of the user's own

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        match_memory_order(optimizer)

    def on_train_epoch_end(self) -> None:
        if not self._epoch_is_logged:  # the run was resumed at its end and took no step
            self._log_epoch()
        self._epoch_is_logged = False

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Describe network, loss and data, and keep what each process has counted in an epoch that has not ended."""
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        checkpoint |= describe(self.run_description, data.description())
        checkpoint["train_metrics"] = gathered(self.trainer, self.train_metrics.saved())

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.calibration = checkpoint.get("calibration", {})
        self._done = saved_position(checkpoint) if "loops" in checkpoint else None
        rank, saved = self.trainer.global_rank, checkpoint.get("train_metrics", ())
        if rank < len(saved):
            self.train_metrics.restore(saved[rank], self.trainer.strategy.root_device)

    def validation_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Logits [N, num_classes] float32, the mean of the val_views."""
        plain = self._evaluate(batch, self.val_metrics)
        return views_logits(self, batch[0], self.val_views, plain).float()

    def test_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Logits [N, num_classes] float32, the mean of the test_views."""
        plain = self._evaluate(batch, self.test_metrics)
        images, labels = batch
        logits = views_logits(self, images, self.test_views, plain)
        if self.test_views != "plain":
            self.views_accuracy.update(logits, labels)
            self.log(f"test/accuracy_{self.test_views}", self.views_accuracy)
        return logits.float()

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Probabilities [N, num_classes], calibrated if the checkpoint is."""
        return views_probabilities(self, batch[0], self.calibration)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        optimizer = self.make_optimizer()
        if self.lr_scheduler is None:
            return optimizer
        scheduler = self.lr_scheduler(optimizer, total_steps(self.trainer, self._done))
        when: dict[str, Any] = {"interval": "step"}
        if isinstance(scheduler, ReduceLROnPlateau):
            epochs = self.trainer.check_val_every_n_epoch or 1  # at others it would see the same loss again
            when = {"interval": "epoch", "frequency": epochs, "monitor": "val/loss", "strict": False}
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, **when}}  # type: ignore[return-value]

    def make_optimizer(self) -> Optimizer:
        """Raises ValueError for options out of range."""
        optimizer = self.optimizer(self.network.parameters())
        use_fused_updates(optimizer)
        skip_graph_check(optimizer)
        if self.parameter_groups is not None:
            self.parameter_groups.divide(optimizer, self.network)
        return optimizer

    def training_losses(self, images: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
        """The same as logits_and_losses, compiled if the option says so."""
        return self.compiled(self, images, labels) if self.compiled else self.logits_and_losses(images, labels)

    def logits_and_losses(self, images: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
        """Return the main logits of images [N, C, H, W], their loss, and the loss that training minimises."""
        return self.losses(self.network(images), labels)

    def losses(self, outputs: Tensor | tuple[Tensor, ...], labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the main logits of a network's outputs, their loss, and the loss that training minimises.

        The last one includes the losses of auxiliary heads.
        """
        logits, *auxiliary = outputs if isinstance(outputs, tuple) else (outputs,)
        loss = total = self.loss(logits, labels)
        for auxiliary_logits in auxiliary:
            assert isinstance(self.network, AuxiliaryHeads)  # as was checked before the run
            total = total + self.network.auxiliary_weight * self.loss(auxiliary_logits, labels)
        return logits, loss, total

    def _log_epoch(self) -> None:
        """Have the training metrics computed and written when the epoch ends."""
        self.log_dict(self.train_metrics, on_step=False, on_epoch=True)
        self._epoch_is_logged = True

    def _evaluate(self, batch: Batch, metrics: MetricCollection) -> Tensor:
        """Update and log the metrics of validation or test with a batch. Return the logits [N, num_classes]."""
        images, labels = batch
        logits, loss, _ = self.logits_and_losses(images, labels)
        metrics.update(preds=logits, target=labels, value=loss, weight=image_weights(self.loss, labels))
        self.log_dict(metrics)
        return logits


def _use_channels_last(network: nn.Module) -> None:
    """Give the weights the memory format of the batches. It halves a bfloat16 step of ConvNet on a CPU."""
    for weights in network.parameters():
        if not is_lazy(weights) and weights.ndim == 4:  # lazy weights get their shape from the first images
            weights.data = weights.data.to(memory_format=torch.channels_last)
