"""How well each class is recognised."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.functional.classification import multiclass_stat_scores

FIGURES = ("images", "accuracy", "precision", "recall", "f1")


def per_class(labels: Tensor, logits: Tensor, class_names: Sequence[str]) -> dict[str, dict[str, float]]:
    """The number of images of each class, and its accuracy, precision, recall and F1 in [0, 1].

    The accuracy of a class is the share of its images that are predicted correctly, which is its recall. A value whose
    divisor is 0 is 0, such as the precision of a class that nothing was predicted as.

    Args:
        labels: [N] int64.
        logits: [N, K].
        class_names: [K].
    """
    scores = multiclass_stat_scores(
        logits.argmax(1), labels, num_classes=len(class_names), average="none", validate_args=False
    )
    correct, wrongly_predicted, _, missed, images = scores.double().T
    recall = correct / images.clamp(min=1)
    precision = correct / (correct + wrongly_predicted).clamp(min=1)
    f1 = 2 * correct / (2 * correct + wrongly_predicted + missed).clamp(min=1)
    columns = (images.long(), recall, precision, recall, f1)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return {name: dict(zip(FIGURES, row, strict=True)) for name, row in zip(class_names, rows, strict=True)}


class _CountsByClass(Metric):
    """Counts the images, the answers and the right answers of each class. A GPU waits for torchmetrics' own counts."""

    images: Tensor
    answers: Tensor
    right: Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        for name in ("images", "answers", "right"):
            self.add_state(name, torch.zeros(num_classes, dtype=torch.long), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add a batch of logits [N, num_classes] with labels [N] int64."""
        answers, ones = preds.argmax(1), torch.ones_like(target)
        self.images = self.images.index_add(0, target, ones)
        self.answers = self.answers.index_add(0, answers, ones)
        self.right = self.right.index_add(0, target, (answers == target).long())


class BalancedAccuracy(_CountsByClass):
    """The mean accuracy of the classes that have images, in [0, 1], as scikit-learn's balanced_accuracy_score."""

    def compute(self) -> Tensor:
        return (self.right / self.images).nanmean()


class MacroF1(_CountsByClass):
    """The mean F1 of the classes that have images or are an answer, in [0, 1], as scikit-learn's macro f1_score."""

    def compute(self) -> Tensor:
        return (2 * self.right / (self.images + self.answers)).nanmean()
