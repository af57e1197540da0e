"""The metrics of training, validation and test."""

from typing import Any

import torch
from lightning.fabric.utilities import move_data_to_device
from torch import Tensor
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy

from project.training.mean_loss import MeanLoss
from project.training.per_class import BalancedAccuracy, MacroF1

STEPS_AT_ONCE = 32  # an update takes hardly longer for the images of many steps than for those of one


class TrainingMetrics(MetricCollection):
    """Loss and accuracy of training. The values of 32 steps are collected before they update the metrics.

    A checkpoint has the collected steps, too. So a resumed run updates the metrics with the same steps at once, and has
    the same bits.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__(_loss_and_accuracy(num_classes), prefix="train/", compute_groups=False)
        self.steps: list[tuple[Tensor, ...]] = []

    def collect(self, predicted: Tensor, labels: Tensor, loss: Tensor, weights: Tensor) -> None:
        """Add a step.

        Args:
            predicted: Classes [N] int64.
            labels: [N] int64.
            loss: One number.
            weights: Of each image in the loss, [N].
        """
        self.steps.append((predicted, labels, loss.detach().expand_as(weights), weights))
        if len(self.steps) == STEPS_AT_ONCE:
            self.complete()

    def complete(self) -> None:
        """Update the metrics with the collected steps. Do this before you read the metrics."""
        if self.steps:
            predicted, labels, losses, weights = (torch.cat(values) for values in zip(*self.steps, strict=True))
            self.update(preds=predicted, target=labels, value=losses, weight=weights)
            self.steps.clear()

    def reset(self) -> None:
        super().reset()
        self.steps.clear()

    def saved(self) -> dict[str, Any]:
        """The states and the collected steps, as plain values for a checkpoint."""
        states = {name: metric.metric_state for name, metric in self.items()}
        steps = [tuple(values.clone() for values in step) for step in self.steps]  # without the epoch's other labels
        return {**states, "steps": steps}

    def restore(self, saved: dict[str, Any], device: torch.device) -> None:
        """Continue with what `saved` has returned. Checkpoints of earlier versions have no steps."""
        self.steps = move_data_to_device(saved.get("steps", []), device)
        for name, metric in self.items():
            for state, value in saved[name].items():
                setattr(metric, state, value)


def evaluation_metrics(prefix: str, num_classes: int) -> MetricCollection:
    """Loss, accuracy, balanced accuracy and macro F1 of validation or test."""
    by_class = {"balanced_accuracy": BalancedAccuracy(num_classes), "f1_macro": MacroF1(num_classes)}
    return MetricCollection(_loss_and_accuracy(num_classes) | by_class, prefix=prefix, compute_groups=False)


def accuracy(num_classes: int) -> MulticlassAccuracy:
    """The share of images that are classified correctly."""
    return MulticlassAccuracy(num_classes, average="micro", validate_args=False)


def _loss_and_accuracy(num_classes: int) -> dict[str, Any]:
    return {"loss": MeanLoss(), "accuracy": accuracy(num_classes)}
