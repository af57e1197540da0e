"""Shapes, sizes and gradients of the networks."""

import os
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import nn

from project.benchmarks.article import article_network
from project.networks import MLP, ConvNet, Perceptron, ResNet18, TorchvisionModel, WhitenedConvNet


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
    ("network", "side"),
    [
        (MLP(2, image_shape=(3, 8, 8), activation="gelu", relu_on_logits=True), 8),
        (ConvNet(2, widths=(4, 4, 4, 4), batch_norm=True), 32),
        (ConvNet(2, widths=(4, 4, 4, 4), pooling="average"), 32),
        (Perceptron(2, image_shape=(3, 8, 8)), 8),
        (ResNet18(2), 8),
        (TorchvisionModel(2, name="squeezenet1_1", image_size=32), 24),
        (WhitenedConvNet(2, widths=(8, 8, 8)), 16),
    ],
    ids=lambda value: type(value).__name__,
)
def test_compiled_gradients_are_the_same(network: nn.Module, side: int) -> None:
    """aot_eager traces forward and backward as every backend gets them, and needs no compiler."""
    torch.testing.assert_close(*gradients(network.double(), side, "aot_eager"))


@pytest.mark.slow
@pytest.mark.skipif("INDUCTOR" not in os.environ, reason="set INDUCTOR to compile with this machine's C++ compiler")
@pytest.mark.parametrize(
    ("network", "side"),
    [
        (MLP(2, image_shape=(3, 4, 4), hidden=(4,)), 4),
        (ConvNet(2, image_shape=(3, 30, 30), widths=(2, 2, 2, 2), hidden=2), 30),
        (WhitenedConvNet(2, widths=(4, 4, 4)), 16),
    ],
    ids=lambda value: type(value).__name__,
)
def test_gradients_of_compiled_code_are_the_same(network: nn.Module, side: int) -> None:
    """inductor is torch.compile's own backend. Its C++ compiler takes 20 s for each network."""
    torch.testing.assert_close(*gradients(network, side, "inductor"))


def gradients(network: nn.Module, side: int, backend: str) -> list[dict[str, torch.Tensor | None]]:
    """Of each learned weight, of the network and of a compiled copy."""
    torch.manual_seed(0)
    images = torch.randn(8, 3, side, side).round(decimals=1)  # some pixels are equal
    labels = torch.arange(8) % 2
    twin = deepcopy(network)
    twin.compile(backend=backend)
    found = []
    for one in (network, twin):
        torch.manual_seed(0)  # of dropout
        logits = one.train()(images.to(next(one.parameters()).dtype))
        nn.functional.cross_entropy(logits, labels).backward()
        found.append({name: weights.grad for name, weights in one.named_parameters() if weights.requires_grad})
    return found


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


def test_convnet_computes_the_same_as_the_articles_program() -> None:
    """Bit for bit, though the article's program computes each ReLU before its pooling."""
    torch.manual_seed(0)
    ours, theirs, images = ConvNet(10), article_network(), torch.randn(8, 3, 32, 32).round(decimals=1)
    with torch.no_grad():
        for weights, copy in zip(ours.parameters(), theirs.parameters(), strict=True):
            copy.copy_(weights)
    bits = []
    for network in (ours, theirs):
        logits = network(images)
        nn.functional.cross_entropy(logits, torch.arange(8)).backward()
        bits.append([logits, *(weights.grad for weights in network.parameters())])
    torch.testing.assert_close(*bits, rtol=0, atol=0)


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
