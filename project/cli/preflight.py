"""Checks before the data is read: the options of a fit, and one step on a few random images."""

import importlib
import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from difflib import get_close_matches
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.accelerators import CPUAccelerator
from lightning.pytorch.plugins import Precision
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from project.callbacks.checkpoints import MONITOR, Checkpoints
from project.callbacks.ranking import Ranking
from project.cli.arguments import argument_in
from project.cli.classes import REPLACEMENTS, is_usable
from project.cli.user_parts import message, place
from project.data import ImageDataModule
from project.networks import AuxiliaryHeads
from project.optim import Plateau
from project.system.errors import UserError
from project.system.launch import external_launch
from project.training.classifier import Classifier
from project.training.mean_loss import weigh_classes

NUM_IMAGES = 3  # a wrong shape of one or two images may look right
ALSO_LOGGED = ("train/lr", "train/images_per_second", "epoch", "step")  # few would watch these


def check_processes(trainer: Trainer) -> None:
    """Raises UserError if torchrun or srun has started other numbers of processes and machines than the options say."""
    launch = external_launch()
    if launch is None or (launch.processes, launch.machines) == (trainer.num_devices, trainer.num_nodes):
        return
    machines, given, remedy = "", f"--trainer.devices {trainer.num_devices}", f"--trainer.devices {launch.processes}"
    if launch.machines != trainer.num_nodes:
        machines = f" on each of {launch.machines} machines"
        given += f" --trainer.num_nodes {trainer.num_nodes}"
        remedy += f" --trainer.num_nodes {launch.machines}"
    raise UserError(f"{given}: {launch.launcher} has started {launch.processes} processes{machines}; give {remedy}")


def check_fit(
    trainer: Trainer, model: Classifier, schedule: LRScheduler | None, val_size: int | None, sync_batchnorm: bool
) -> None:
    """Raises UserError if a run cannot begin, or if a schedule or a callback watches a value that nothing measures."""
    _check_length(trainer)
    if sync_batchnorm and isinstance(trainer.accelerator, CPUAccelerator):
        raise UserError(
            "--trainer.sync_batchnorm true: torch synchronises batch normalisation on GPUs only; leave it out"
        )
    validated = val_size != 0 and trainer.limit_val_batches != 0
    if isinstance(schedule, Plateau) and not validated:
        option = "--data.val_size" if val_size == 0 else "--trainer.limit_val_batches"
        raise UserError(
            f"{option} 0: nothing is validated, and the schedule Plateau watches val/loss; give more than 0"
        )
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    for callback in callbacks:
        if isinstance(callback, Checkpoints):
            _check_ranking(callback.ranking, [*model.val_metrics], validated, _any_own(callbacks))
    _check_callbacks(callbacks, [*model.train_metrics, "train/loss_step", *(model.val_metrics if validated else ())])


def _check_length(trainer: Trainer) -> None:
    for name in ("max_epochs", "max_steps", "limit_train_batches"):
        if getattr(trainer, name) == 0:
            raise UserError(f"--trainer.{name} 0: nothing would be trained; give at least 1")
    if trainer.max_epochs == -1 and trainer.max_steps == -1:
        raise UserError("--trainer.max_epochs -1: a run needs a length; give that or --trainer.max_steps")


def _check_ranking(ranking: Ranking, measured: Sequence[str], validated: bool, any_own: bool) -> None:
    """Raises UserError if no validation measures the value that chooses the best checkpoint."""
    option = f"--checkpoints.monitor {ranking.monitor}"
    if not validated and (ranking.monitor, ranking.keep) != (MONITOR, 1):
        option = option if ranking.monitor != MONITOR else f"--checkpoints.keep {ranking.keep}"
        raise UserError(f"{option}: nothing is validated; give --data.val_size, or leave this out")
    if ranking.monitor not in measured and not any_own:
        nearest, *others = get_close_matches(ranking.monitor, measured, n=len(measured), cutoff=0)
        raise UserError(f"{option}: no validation measures it; give {nearest}, or one of {', '.join(others)}")


def _check_callbacks(callbacks: Sequence[Callback], measured: Sequence[str]) -> None:
    for callback in callbacks:
        name = f"--trainer.callbacks {type(callback).__name__}"
        if instead := REPLACEMENTS.get(type(callback)):
            raise UserError(f"{name}: {instead}")
        monitor = getattr(callback, "monitor", None) or ""
        unknown = monitor and monitor not in (*measured, *ALSO_LOGGED) and not monitor.startswith("lr-")
        if unknown and not _any_own(callbacks):
            nearest, *candidates = get_close_matches(monitor, measured, n=len(measured), cutoff=0)
            names = ", ".join(candidates)
            raise UserError(f"{name}: nothing measures its monitor {monitor}; give {nearest} or another of {names}")


def _any_own(callbacks: Sequence[Callback]) -> bool:
    """Whether a callback is the user's own, which may measure values of its own."""
    return any(type(callback).__module__.partition(".")[0] not in ("lightning", "project") for callback in callbacks)


def try_parts(
    trainer: Trainer, model: Classifier, data: ImageDataModule, settings: Any, training: bool
) -> tuple[Optimizer, LRScheduler | None]:
    """Train a copy of the model for one step on random images; return an optimizer and a schedule like the run's.

    The images' shape, the precision and the modes are the run's. The step is left out when the run computes on a GPU,
    which the network may need. Weights and random state do not change, but lazy weights get their shapes.

    Args:
        settings: The options of the model; a message names their class paths.
        training: Whether to take the step; if not, network and loss are used as in evaluation.

    Raises:
        UserError: a part does not fit the data or another part, or has an option out of range.
    """
    count = min(NUM_IMAGES, data.batch_size)
    channels, height, width = data.image_shape
    random = torch.Generator().manual_seed(0)
    images = torch.randn(count, height, width, channels, generator=random).permute(0, 3, 1, 2)  # channels last
    labels = targets = torch.arange(count) % data.num_classes
    if data.mix is not None and training:
        targets = torch.rand(count, data.num_classes, generator=random).softmax(1)
    trial = Trial(model, Precision(), settings, data.num_classes)
    if data.balance == "weights":
        trial.weigh_classes(targets)
    with isolate_rng(include_cuda=False):
        if any(is_lazy(weights) for weights in model.parameters()):
            trial.evaluate(images)
        copied = trial.copied(trainer.precision_plugin) if isinstance(trainer.accelerator, CPUAccelerator) else None
        if copied is None:
            for possible in (labels, targets):
                trial.loss((torch.zeros(count, data.num_classes),), possible)
            return trial.make()
        logits = copied.evaluate(images)
        copied.loss((logits,), labels)
        parts = copied.make()
        if training:
            copied.check_logits(logits)
            copied.step(data.augmentation.shrink(images, 0.0), targets, *parts)
    return parts


class Trial:
    """Uses each part of a model once, and raises UserError with the name of a part that fails."""

    def __init__(self, model: Classifier, precision: Precision, settings: Any, num_classes: int) -> None:
        self.model, self.precision, self.settings, self.num_classes = model, precision, settings, num_classes

    def copied(self, precision: Precision) -> "Trial | None":
        """A trial of a copy in that precision, not compiled; None if the model cannot be copied."""
        try:
            copy = deepcopy(self.model)
        except Exception:  # of whatever kind, since the network may be the user's own
            return None
        precision.convert_module(copy)
        return Trial(copy, precision, self.settings, self.num_classes)

    def evaluate(self, images: Tensor) -> Tensor:
        """The logits [N, num_classes] of images [N, C, H, W] in evaluation."""
        modes = {module: module.training for module in self.model.modules()}
        self.model.eval()
        with torch.no_grad():
            (logits,) = self._outputs(images)
        for module, training in modes.items():
            module.training = training
        return logits

    def make(self) -> tuple[Optimizer, LRScheduler | None]:
        """The optimizer, and the schedule for a hundred steps."""
        with self._part("optimizer", "give values in their range"):
            optimizer = self.model.make_optimizer()
        if self.model.lr_scheduler is None:
            return optimizer, None
        with self._part("lr_scheduler", "give values in their range"):
            _check_schedule(self.settings.lr_scheduler.class_path)
            return optimizer, self.model.lr_scheduler(optimizer, 100)

    def loss(self, outputs: tuple[Tensor, ...], labels: Tensor) -> Tensor:
        """The loss of a network's outputs with labels [N], or mixed ones [N, num_classes]."""
        count = len(labels)
        shapes = f"it gets logits [{count}, {self.num_classes}] and labels {list(labels.shape)}"
        if labels.is_floating_point():
            shapes += " of --data.mix; give CrossEntropyLoss, or leave the mix out"
        with self._part("loss", shapes), self.precision.forward_context():
            _check_loss(self.model.loss)
            *_, loss = self.model.losses(outputs, labels)
            _check_shape(loss, (), count, "give one number")
        return loss

    def weigh_classes(self, labels: Tensor) -> None:
        """Raises UserError if the loss does not take class weights with labels [N], or mixed ones [N, num_classes]."""
        remedy = f"it gets class weights and labels {list(labels.shape)}; give CrossEntropyLoss"
        with self._part("loss", f"{remedy}, or leave --data.balance weights out"):
            loss = deepcopy(self.model.loss)
            weigh_classes(loss, torch.ones(self.num_classes))
            loss(torch.zeros(len(labels), self.num_classes), labels)

    def check_logits(self, logits: Tensor) -> None:
        """Raises UserError for probabilities [N, num_classes] if the loss computes them itself."""
        if not isinstance(self.model.loss, nn.CrossEntropyLoss):
            return
        sums, error = logits.float().sum(1), max(1e-4, 3 * torch.finfo(logits.dtype).eps)
        softmax = bool((logits >= 0).all()) and torch.allclose(sums, torch.ones_like(sums), rtol=0, atol=error)
        if softmax or (logits.grad_fn is not None and "sigmoid" in logits.grad_fn.name().lower()):
            last = "softmax" if softmax else "sigmoid"
            with self._part("network", ""):
                raise UserError(
                    "its outputs look like probabilities, and CrossEntropyLoss takes logits; leave out the "
                    f"{last} at the network's end"
                )

    def step(self, images: Tensor, labels: Tensor, optimizer: Optimizer, schedule: LRScheduler | None) -> None:
        """Train on images [N, C, H, W] with labels [N], or mixed ones [N, num_classes]."""
        outputs = self._outputs(images)
        self.check_logits(outputs[0])
        loss = self.loss(outputs, labels)
        cut = "loss" if outputs[0].requires_grad and not loss.requires_grad else "network"
        with self._part(cut, "training needs its gradients"):
            loss.backward()  # type: ignore[no-untyped-call]
        with self._part("optimizer", "give another, such as AdamW"):
            optimizer.step(loss.item)  # closure
        with self._part("lr_scheduler", "give another, such as OneCycle"):
            if isinstance(schedule, ReduceLROnPlateau):
                schedule.step(loss.item())
            elif schedule is not None:
                schedule.step()
        optimizer.state.clear()  # optimizer and schedule hold each other, and would hold this until memory is short
        optimizer.param_groups.clear()

    def _outputs(self, images: Tensor) -> tuple[Tensor, ...]:
        """The logits [N, num_classes], and in training those of auxiliary heads."""
        network, shape = self.model.network, (len(images), self.num_classes)
        with self._part("network", f"it gets images {list(images.shape)}"), self.precision.forward_context():
            output = network(self.precision.convert_input(images))
            has_heads = isinstance(output, tuple) and network.training and isinstance(network, AuxiliaryHeads)
            outputs = output if has_heads else (output,)
            for logits in outputs:
                _check_shape(logits, shape, len(images), f"give logits [N, {self.num_classes}]")
        return outputs

    @contextmanager
    def _part(self, name: str, remedy: str) -> Iterator[None]:
        """Raises UserError with the name of the part for any error."""
        try:
            yield
        except Exception as error:  # of whatever kind, since the part may be the user's own
            text = message(error)
            if text.startswith("--"):  # names its option
                raise
            if text.startswith("view size is not compatible"):
                remedy = "batches are channels-last in memory: give flatten(1) in place of view"
            option = f"{name} {self.settings[name].class_path}"
            if not isinstance(error, UserError):
                if argument := argument_in(text, self.settings[name]):
                    value = argument[1].tolist() if isinstance(argument[1], Tensor) else argument[1]
                    option = f"{name}.{argument[0]} {'true' if value is True else value}"
                    remedy = "give another value, or leave it out"
                text = f"{text.removesuffix('.')}{place(error)}; {remedy}"
            raise UserError(f"--model.{option}: {text}") from error


def _check_shape(output: Any, shape: tuple[int, ...], count: int, remedy: str) -> None:
    if not isinstance(output, Tensor) or output.shape != shape:
        description = list(output.shape) if isinstance(output, Tensor) else f"a {type(output).__name__}"
        raise UserError(f"gives {description} for {count} images; {remedy}")


def _check_loss(loss: nn.Module) -> None:
    """Raises UserError for a loss of torch's that does not take logits [N, num_classes] and labels [N]."""
    if is_usable("model.loss", type(loss)):
        return
    if isinstance(loss, nn.NLLLoss):
        raise UserError("takes log-probabilities, and a network gives logits here; give CrossEntropyLoss")
    raise UserError("takes other targets than labels [N] of classes; give CrossEntropyLoss")


def _check_schedule(class_path: str) -> None:
    """Raises UserError for a schedule that is not made as schedule(optimizer, total_steps)."""
    module, _, name = class_path.rpartition(".")
    kind = getattr(importlib.import_module(module), name)  # pydoc's locate would keep this trial alive
    if not is_usable("model.lr_scheduler", kind):
        arguments = ", ".join(inspect.signature(kind).parameters)
        raise UserError(
            f"the second of its arguments ({arguments}) is not the run's length; give OneCycle, "
            "WarmupLinear, Plateau, torch's CosineAnnealingLR, or a class of your own that is made as "
            "schedule(optimizer, total_steps)"
        )
