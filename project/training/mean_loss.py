"""The loss over all images of an epoch."""

import torch
from torch import Tensor, nn
from torchmetrics import MeanMetric

from project.system.errors import UserError


class MeanLoss(MeanMetric):
    """The weighted mean of the losses of batches; without a check for nan, for which a GPU would have to wait."""

    def __init__(self) -> None:
        super().__init__(nan_strategy="disable")

    def update(self, value: Tensor, weight: Tensor) -> None:  # type: ignore[override]
        """Add a batch. MeanMetric itself ignores weights where it does not look for nan (torchmetrics 1.9).

        Args:
            value: The loss of the batch, one number; or the loss of the batch of each image [N].
            weight: Of each image [N].
        """
        # In spite of its name, mean_value is the weighted sum.
        self.mean_value += (value.to(self.dtype) * weight.to(self.dtype)).sum()
        self.weight += weight.to(self.dtype).sum()


def weigh_classes(loss: nn.Module, weights: Tensor) -> None:
    """Give `loss` the weight [K] of each class. They come from the data, so checkpoints leave them out.

    Raises:
        UserError: the loss takes none, or has its own.
    """
    if not hasattr(loss, "weight") or "weight" in vars(loss):  # torch's losses have a buffer, which may be None
        remedy = "give CrossEntropyLoss, or --data.balance oversample"
        raise UserError(f"takes no weight of each class, which --data.balance weights gives; {remedy}")
    if "weight" in loss.state_dict():
        raise UserError("has a weight of its own, and --data.balance weights gives another; leave one of them out")
    loss.register_buffer("weight", weights, persistent=False)


def image_weights(loss: nn.Module, labels: Tensor) -> Tensor:
    """The weight [N] of each image in the mean that `loss` computes of a batch with labels [N].

    torch's CrossEntropyLoss divides by the sum of the class weights of the labels; for mixed labels [N, num_classes],
    by the number of images. All other losses are taken to divide by the number of images.
    """
    if labels.ndim > 1:
        return torch.ones(len(labels), device=labels.device)
    if type(loss) is not nn.CrossEntropyLoss or loss.reduction != "mean":
        return torch.ones_like(labels, dtype=torch.float32)
    counted = (labels != loss.ignore_index).float()
    return counted if loss.weight is None else counted * loss.weight[labels]
