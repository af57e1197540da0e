"""How far each layer is from the head: numbers of the papers, written by hand, and those of timm."""

import pytest
import torch
from torch import nn

from project.networks import MLP, ConvNet, Perceptron, ResNet18, TorchvisionModel, WhitenedConvNet
from project.networks.depth import backbone_modules, backbone_parameters, distances

# The number of blocks and the stem; the distances of some parameters.
FAMILIES = {
    "resnet18": (8 + 1, {"conv1.weight": 9, "layer1.0.bn2.bias": 8, "layer2.0.downsample.0.weight": 6}),
    "efficientnet_b0": (
        16 + 1,
        {"features.0.1.bias": 17, "features.2.0.block.1.0.weight": 15, "features.8.1.bias": 1},
    ),
    "convnext_tiny": (18 + 1, {"features.0.0.weight": 19, "features.2.1.weight": 15, "classifier.0.weight": 1}),
    "vit_b_32": (
        12 + 1,
        {"class_token": 13, "encoder.pos_embedding": 13, "conv_proj.bias": 13, "encoder.ln.weight": 1},
    ),
    "swin_t": (12 + 1, {"features.0.0.weight": 13, "features.2.reduction.weight": 10, "norm.weight": 1}),
    "inception_v3": (
        11 + 1,
        {"Conv2d_4a_3x3.conv.weight": 12, "Mixed_7b.branch1x1.bn.bias": 2, "AuxLogits.conv1.bn.bias": 1},
    ),
}


def by_name(network: nn.Module) -> dict[str, int]:
    found = distances(network)
    return {name: found.get(parameter, 0) for name, parameter in network.named_parameters()}


@pytest.mark.parametrize("name", FAMILIES)
def test_each_family_of_torchvision(name: str) -> None:
    with torch.device("meta"):
        network = TorchvisionModel(7, name=name)
    layers, expected = FAMILIES[name]
    found = by_name(network)
    assert {found[f"heads.{head}.weight"] for head in range(len(network.heads))} == {0}
    assert {number for weights, number in found.items() if "heads." not in weights} == set(range(1, layers + 1))
    assert {weights: found.get(f"backbone.{weights}", 0) for weights in expected} == expected


def test_networks_of_this_project() -> None:
    convolutions = {"features.0": 5, "features.1": 5, "features.4": 4, "features.8": 3, "features.11": 2}
    found = by_name(ConvNet(3, batch_norm=True))
    layers = {**convolutions, "head.0": 1, "head.2": 0}
    assert {name: found[f"{name}.weight"] for name in layers} == layers
    assert set(by_name(ResNet18(3)).values()) == set(range(10))
    assert set(by_name(WhitenedConvNet(3)).values()) == set(range(8))
    assert by_name(MLP(3, hidden=(4,))) == {"1.weight": 1, "1.bias": 1, "3.weight": 0, "3.bias": 0}
    assert backbone_parameters(Perceptron(2)) == []


def test_what_is_frozen() -> None:
    network = ConvNet(3)
    frozen = backbone_modules(network)
    assert frozen == [network.features, *network.features, *network.head[:2]]
    assert backbone_parameters(network) == list(network.parameters())[:-2]


TIMM = ["resnet18", "efficientnet_b0", "vit_tiny_patch16_224", "swin_tiny_patch4_window7_224", "regnety_002"]


@pytest.mark.parametrize("name", TIMM)
def test_the_same_as_timms(name: str) -> None:
    timm = pytest.importorskip("timm")
    network = timm.create_model(name)
    groups = timm.models.group_parameters(network, network.group_matcher(coarse=False), reverse=True)
    assert by_name(network) == {weights: max(groups.values()) - group for weights, group in groups.items()}
