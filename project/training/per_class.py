"""How well each class is recognised."""

from collections.abc import Sequence

from torch import Tensor
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
