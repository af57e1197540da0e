"""The temperature and the scores of probabilities, with scikit-learn's and torchmetrics' of the same logits."""

import math

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import log_loss
from torch import Tensor
from torchmetrics.classification import MulticlassCalibrationError

from project.training.calibration import fit_temperature, scores


class Identity(ClassifierMixin, BaseEstimator):
    """A fitted classifier whose decisions are the given logits."""

    def __init__(self, num_classes: int = 10) -> None:
        self.num_classes = num_classes
        self.classes_ = np.arange(num_classes)
        self.fitted_ = True

    def fit(self, *args: object) -> "Identity":
        return self

    def predict(self, logits: np.ndarray) -> np.ndarray:
        return logits.argmax(1)

    def decision_function(self, logits: np.ndarray) -> np.ndarray:
        return logits[:, 1] - logits[:, 0] if self.num_classes == 2 else logits


def reference_temperature(logits: Tensor, labels: Tensor) -> float:
    """scikit-learn's temperature, computed from the probabilities that it gives."""
    scaled, num_classes = logits.double().numpy(), logits.shape[1]
    every = np.arange(len(labels))
    frozen = FrozenEstimator(Identity(num_classes))
    reference = CalibratedClassifierCV(frozen, method="temperature", cv=[(every, every)], ensemble=False)
    log_probabilities = np.log(reference.fit(scaled, labels.numpy()).predict_proba(scaled))
    row = np.ptp(scaled[:, :2], axis=1).argmax()
    return float(np.ptp(scaled[row, :2]) / np.ptp(log_probabilities[row, :2]))


def sampled(num_images: int, num_classes: int, factor: float) -> tuple[Tensor, Tensor]:
    """Logits of a network that is too sure by a factor, and labels drawn from the probabilities without it."""
    generator = torch.Generator().manual_seed(num_classes)
    logits = 2 * torch.randn(num_images, num_classes, generator=generator)
    labels = torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]
    return factor * logits, labels


@pytest.mark.parametrize(("num_classes", "factor"), [(2, 3.0), (10, 0.3), (10, 5.0), (100, 0.05), (3, 40.0)])
def test_temperature(num_classes: int, factor: float) -> None:
    with torch.inference_mode():
        logits, labels = sampled(4000, num_classes, factor)
    temperature = fit_temperature(logits, labels)
    assert temperature == pytest.approx(factor, rel=0.1)
    assert temperature == pytest.approx(reference_temperature(logits, labels), rel=1e-5)
    before, after = scores(logits, labels), scores(logits, labels, temperature)
    assert after["nll"] < before["nll"]
    assert after["ece"] < before["ece"]
    assert torch.equal((logits.double() / temperature).softmax(1).argmax(1), logits.argmax(1))
    assert torch.equal((logits / temperature).softmax(1).argmax(1), logits.argmax(1))


@pytest.mark.parametrize("temperature", [1.0, 0.4, 7.0])
def test_scores(temperature: float) -> None:
    logits, labels = sampled(500, 10, 2.0)
    probabilities = (logits.double() / temperature).softmax(1)
    pairs = zip(probabilities.tolist(), labels.tolist(), strict=True)
    brier = np.mean([sum((value - (k == label)) ** 2 for k, value in enumerate(row)) for row, label in pairs])
    expected = {
        "nll": log_loss(labels, probabilities),
        "brier": brier,
        "ece": MulticlassCalibrationError(10, n_bins=15)(probabilities, labels).item(),
    }
    assert scores(logits, labels, temperature) == pytest.approx(expected, rel=1e-6)


def test_bins_of_the_calibration_error() -> None:
    """Probabilities 1 and 0.98 of the answer are in one bin; half of their answers are right. 0.6 is in another."""
    probabilities = torch.tensor([[1.0, 0.0], [0.98, 0.02], [0.4, 0.6]], dtype=torch.float64)
    measured = scores(probabilities.log().clamp(min=-1000), torch.tensor([0, 1, 1]))
    assert measured["ece"] == pytest.approx((abs(1.98 - 1) + abs(0.6 - 1)) / 3)


def test_all_images_right() -> None:
    """The likelihood would have the temperature 0; N right answers are no evidence of more than (N + 1) / (N + 2)."""
    logits, labels = sampled(180, 10, 1.0)
    logits[torch.arange(180), labels] += 30
    temperature = fit_temperature(logits, labels)
    confidence = (logits.double() / temperature).softmax(1).amax(1).mean().item()
    assert confidence == pytest.approx(181 / 182, abs=1e-3)
    assert scores(logits, labels, temperature)["nll"] < 2 / 181


def test_logits_that_say_nothing() -> None:
    """The largest logit is never the label's: the flattest probabilities are the best, and finite."""
    logits = torch.eye(4).repeat(5, 1)
    temperature = fit_temperature(logits, (logits.argmax(1) + 1) % 4)
    assert math.isfinite(temperature)
    assert (logits / temperature).softmax(1) == pytest.approx(np.full((20, 4), 0.25), abs=1e-3)
    assert math.isfinite(fit_temperature(torch.zeros(3, 2), torch.tensor([0, 1, 1])))


@pytest.mark.parametrize("num_images", [1, 30])
def test_one_class(num_images: int) -> None:
    """All labels are the same, and some images are wrong if there are more than one."""
    logits, _ = sampled(num_images, 5, 3.0)
    labels = torch.full((num_images,), 2)
    temperature = fit_temperature(logits, labels)
    assert 0 < temperature < math.inf
    assert scores(logits, labels, temperature)["nll"] <= scores(logits, labels)["nll"] or num_images == 1


def test_logits_that_are_not_finite() -> None:
    logits, labels = sampled(20, 5, 3.0)
    logits[3, 1] = math.nan
    assert all(math.isnan(value) for value in scores(logits, labels).values())
