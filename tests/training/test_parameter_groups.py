"""Parameter groups: the learning rate of each layer, and weight decay without vectors."""

from typing import Any

import pytest
import torch
from torch import nn, optim
from torchvision.models import VisionTransformer
from torchvision.models.convnext import CNBlock

from project.networks import ConvNet
from project.training.parameter_groups import ParameterGroups

RATES = ParameterGroups(rate=0.5, layer_decay=0.1, vector_decay=False)


def options(network: nn.Module, optimizer: Any) -> dict[str, tuple[float, float]]:
    """The learning rate and the weight decay of each parameter."""
    names = {weights: name for name, weights in network.named_parameters()}
    groups = optimizer.param_groups
    return {names[weights]: (group["lr"], group["weight_decay"]) for group in groups for weights in group["params"]}


@pytest.mark.parametrize("kind", [optim.AdamW, optim.SGD, optim.NAdam, optim.RMSprop, optim.Adafactor])
def test_each_layer_of_convnet(kind: Any) -> None:
    network = ConvNet(3, batch_norm=True)
    optimizer = kind(network.parameters(), lr=2.0, weight_decay=0.3)
    RATES.divide(optimizer, network)
    found = options(network, optimizer)
    assert set(found) == {name for name, _ in network.named_parameters()}
    expected = {
        "head.2.weight": (2.0, 0.3),
        "head.2.bias": (2.0, 0.0),
        "head.0.weight": (0.1, 0.3),  # 2 * 0.5 * 0.1
        "features.11.weight": (0.01, 0.3),
        "features.12.bias": (0.01, 0.0),
        "features.0.weight": (1e-5, 0.3),
        "features.1.weight": (1e-5, 0.0),
    }
    assert {name: found[name] for name in expected} == {name: pytest.approx(pair) for name, pair in expected.items()}
    assert optimizer.param_groups[0]["lr"] == 2.0  # which train/lr shows
    network(torch.randn(2, 3, 32, 32)).sum().backward()
    optimizer.step()


def test_vectors() -> None:
    transformer = VisionTransformer(8, 4, 2, 2, 8, 16, num_classes=3)
    optimizer = optim.AdamW(transformer.parameters(), weight_decay=0.3)
    ParameterGroups(0.1, 1.0, vector_decay=False).divide(optimizer, transformer)
    decayed = {name for name, (_, decay) in options(transformer, optimizer).items() if decay}
    assert len(optimizer.param_groups) == 4
    assert decayed == {
        name
        for name, weights in transformer.named_parameters()
        if weights.ndim > 1 and name not in ("class_token", "encoder.pos_embedding")
    }
    block = nn.Sequential(CNBlock(4, 1e-6, 0.0), nn.Flatten(), nn.Linear(4, 2))
    optimizer = optim.AdamW(block.parameters(), weight_decay=0.3)
    ParameterGroups(0.1, 1.0, vector_decay=False).divide(optimizer, block)
    assert options(block, optimizer)["0.layer_scale"][1] == 0
    optimizer = optim.AdamW(block.parameters(), weight_decay=0.3)
    ParameterGroups(0.1, 1.0, vector_decay=True).divide(optimizer, block)
    assert {decay for _, decay in options(block, optimizer).values()} == {0.3}
