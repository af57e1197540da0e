"""The metrics of training, of which several steps are counted at once."""

import torch
from torch import nn

from project.training.mean_loss import image_weights
from project.training.metrics import STEPS_AT_ONCE, TrainingMetrics


def test_steps_are_counted_exactly_once() -> None:
    """Also if the steps are saved and restored between two updates, which does not change a bit."""
    criterion = nn.CrossEntropyLoss(torch.tensor([1.0, 2.0, 0.5]))
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(500, 3, generator=generator)
    labels = torch.randint(3, (500,), generator=generator)
    counted = [TrainingMetrics(3), TrainingMetrics(3)]
    pairs = list(zip(logits.split(7), labels.split(7), strict=True))
    assert STEPS_AT_ONCE < 45 < 2 * STEPS_AT_ONCE < len(pairs)
    for step, (part, targets) in enumerate(pairs):
        if step == 45:
            saved = counted[1].saved()
            assert {values.untyped_storage().nbytes() for values in saved["steps"][0]} == {7 * 4, 7 * 8}
            counted[1] = TrainingMetrics(3)
            counted[1].restore(saved, torch.device("cpu"))
        for metrics in counted:
            metrics.collect(part.argmax(1), targets, criterion(part, targets), image_weights(criterion, targets))
    for metrics in counted:
        metrics.complete()
        assert metrics.steps == []
    whole, restored = (metrics.compute() for metrics in counted)
    assert whole == restored
    torch.testing.assert_close(whole["train/loss"], criterion(logits, labels))
    assert whole["train/accuracy"] == (logits.argmax(1) == labels).float().mean()
    counted[0].collect(labels[:1], labels[:1], whole["train/loss"], torch.ones(1))
    counted[0].reset()
    assert counted[0].steps == []
