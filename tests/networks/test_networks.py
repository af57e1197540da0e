"""Shapes, sizes and gradients of the networks."""

from typing import Any

import pytest
import torch
from torch import nn

from project.networks import MLP, ConvNet, WhitenedConvNet


@pytest.mark.parametrize(
    ("network", "classes", "parameters"),
    [
        (ConvNet(10), 10, 299_434),
        # A bias less and two numbers more for each of 64 + 128 + 128 + 64 channels.
        (ConvNet(10, batch_norm=True), 10, 299_434 + 384),
        (ConvNet(100, pooling="average"), 100, 299_434 + 90 * 33),
        (MLP(10), 10, 3072 * 128 + 128 + 128 * 64 + 64 + 64 * 10 + 10),
        (MLP(10, hidden=[]), 10, 3072 * 10 + 10),
    ],
)
def test_output_size_and_gradients(network: nn.Module, classes: int, parameters: int) -> None:
    torch.manual_seed(0)
    logits = network(torch.randn(64, 3, 32, 32))
    assert logits.shape == (64, classes)
    assert sum(weights.numel() for weights in network.parameters()) == parameters
    logits.square().sum().backward()
    for weights in network.parameters():
        assert weights.grad is not None
        assert weights.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("options", "kind", "count"),
    [
        ({}, nn.MaxPool2d, 3),
        ({}, nn.BatchNorm2d, 0),
        ({"pooling": "average"}, nn.AvgPool2d, 3),
        ({"pooling": "average"}, nn.MaxPool2d, 0),
        ({"batch_norm": True}, nn.BatchNorm2d, 4),
    ],
)
def test_options_of_convnet(options: dict[str, Any], kind: type, count: int) -> None:
    assert sum(isinstance(layer, kind) for layer in ConvNet(10, **options).features) == count


def test_logits_can_be_negative() -> None:
    torch.manual_seed(0)
    for network in (ConvNet(10), MLP(10)):
        assert (network(torch.randn(8, 3, 32, 32)) < 0).any()


def test_other_images() -> None:
    assert ConvNet(10, image_shape=(1, 64, 48))(torch.randn(2, 1, 64, 48)).shape == (2, 10)
    assert MLP(5, image_shape=(1, 8, 8))(torch.randn(2, 1, 8, 8)).shape == (2, 5)


@pytest.mark.parametrize(
    ("network", "options", "message"),
    [
        (ConvNet, {"image_shape": (3, 28, 28)}, "at least 30x30"),
        (ConvNet, {"widths": (64, 0, 1, 1)}, "at least 1"),
        (ConvNet, {"hidden": 0}, "at least 1"),
        (MLP, {"hidden": [8, 0]}, "at least 1 unit"),
        (WhitenedConvNet, {"image_shape": (3, 15, 32)}, "at least 16x16"),
        (WhitenedConvNet, {"widths": (64, 0, 256)}, "at least 1"),
        (WhitenedConvNet, {"patch": 5}, "patch 5 1 to 4"),
    ],
)
def test_options_out_of_range(network: type, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        network(10, **options)
