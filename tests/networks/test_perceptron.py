"""The perceptron learns what a hyperplane can tell apart, within Novikoff's bound, and nothing else."""

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.optim import SGD

from project.cli.main import main
from project.networks import Perceptron, PerceptronCriterion
from tests.conftest import CONFIGS


def mistakes(points: Tensor, labels: Tensor, rounds: int) -> Iterator[int]:
    """How many of the points change the weights by Rosenblatt's rule, in each round over all of them."""
    network, criterion = Perceptron(2, (1, 1, points.shape[1])), PerceptronCriterion()
    optimizer = SGD(network.parameters(), lr=1.0)
    for _ in range(rounds):
        count = 0
        for point, label in zip(points, labels, strict=True):
            before = network.unit.weight.clone()
            optimizer.zero_grad()
            criterion(network(point[None, None, None]), label[None]).backward()
            optimizer.step()
            count += not torch.equal(before, network.unit.weight)
        yield count


def test_rosenblatts_rule() -> None:
    """w + y x after a mistake, and a score of 0 is one; else w."""
    network, criterion = Perceptron(2, (1, 1, 2)), PerceptronCriterion()
    optimizer = SGD(network.parameters(), lr=1.0)
    for point, label, weights in (((1.0, 2.0), 1, [1, 2]), ((1.0, 1.0), 1, [1, 2]), ((3.0, 1.0), 0, [-2, 1])):
        optimizer.zero_grad()
        criterion(network(torch.tensor(point).view(1, 1, 1, 2)), torch.tensor([label])).backward()
        optimizer.step()
        assert network.unit.weight.tolist() == [weights]


@pytest.mark.parametrize("seed", range(5))
def test_mistakes_stay_within_novikoffs_bound(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(200, 5, generator=generator)
    direction = torch.nn.functional.normalize(torch.randn(5, generator=generator), dim=0)
    margins = points @ direction
    points, margins = points[margins.abs() > 0.1], margins[margins.abs() > 0.1]
    counts: list[int] = []
    for count in mistakes(points, (margins > 0).long(), rounds=200):
        counts.append(count)
        if count == 0:
            break
    # The bias is the weight of one more input that is always 1; (w, 0) has the same margin with it.
    radius = torch.cat((points, torch.ones(len(points), 1)), 1).norm(dim=1).max()
    assert 0 < sum(counts) <= (radius / margins.abs().min()) ** 2
    assert counts[-1] == 0


def test_xor_is_impossible() -> None:
    points = torch.tensor([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
    assert min(mistakes(points, torch.tensor([0, 1, 1, 0]), rounds=300)) > 0


def test_two_digits_are_told_apart() -> None:
    words = ["--config", str(CONFIGS / "perceptron.yaml"), "--config", str(CONFIGS / "data/digits.yaml")]
    options = ["--data.classes", "['0', '1']", "--data.val_size", "20", "--data.batch_size", "1"]
    main(["fit", *words, *options, "--trainer.max_epochs", "3", "--trainer.accelerator", "cpu"])
    with Path("lightning_logs/perceptron/version_0/metrics.csv").open() as file:
        accuracy = [float(row["train/accuracy"]) for row in csv.DictReader(file) if row["train/accuracy"]]
    assert accuracy[-1] == 1.0


def test_more_than_two_classes_are_refused() -> None:
    with pytest.raises(ValueError, match="tells two classes apart, not 10"):
        Perceptron(10)
