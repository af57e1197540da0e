"""The labels that a network contradicts most clearly come first."""

import torch

from project.inspection.labels import rank


def test_order() -> None:
    logits = torch.tensor([[4.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 9.0], [5.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    labels = torch.tensor([0, 0, 1, 2, 1])
    assert rank(logits.softmax(1), labels).tolist() == [2, 3, 1]
