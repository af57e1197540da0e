"""Figures in which each class counts the same are those of scikit-learn, and may choose the best checkpoint."""

import warnings
from collections.abc import Callable

import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, f1_score

from project.cli.main import main
from project.training.per_class import BalancedAccuracy, MacroF1


@pytest.mark.parametrize("absent", [None, 2])
def test_as_in_scikit_learn(absent: int | None) -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 4, (200,), generator=generator) * torch.randint(0, 2, (200,), generator=generator)
    labels[labels == absent] = 0
    logits = torch.randn(200, 5, generator=generator)
    logits[:, 4] -= 9  # neither a label nor an answer
    answers = logits.argmax(1)
    balanced, f1 = BalancedAccuracy(5), MacroF1(5)
    for metric in (balanced, f1):
        for first in (0, 150):
            metric.update(logits[first : first + 150], labels[first : first + 150])
    with warnings.catch_warnings(action="ignore"):  # a class that is an answer but no label
        assert balanced.compute().item() == pytest.approx(balanced_accuracy_score(labels, answers))
    assert f1.compute().item() == pytest.approx(f1_score(labels, answers, average="macro"))


def test_as_the_monitor(digits: Callable[..., list[str]]) -> None:
    stops = ["--trainer.callbacks=EarlyStopping", "--trainer.callbacks.monitor=val/f1_macro"]
    limits = ["--trainer.callbacks.patience=0", "--trainer.callbacks.mode=min", "--trainer.limit_test_batches=0"]
    result = main(["fit", *digits(epochs=5), "--checkpoints.monitor=val/balanced_accuracy", *stops, *limits])
    rows = [row for row in result.metrics() if "val/f1_macro" in row]
    assert [row["epoch"] for row in rows] == [1, 2]  # it rises, and min was asked for
    assert result.figures["val/balanced_accuracy"] == max(row["val/balanced_accuracy"] for row in rows)
