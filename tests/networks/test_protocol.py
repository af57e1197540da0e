"""Which network follows which of the optional protocols."""

import pytest
from torch import nn

from project import networks
from project.networks import AuxiliaryHeads, InitializedFromImages, NormalisesImages
from project.networks.protocol import has_backbone

PROTOCOLS = {
    "ConvNet": (False, False, False, False),
    "MLP": (False, False, False, False),
    "Perceptron": (False, False, False, False),
    "ResNet18": (False, False, False, False),
    "WhitenedConvNet": (True, False, False, False),
    "TimmModel": (False, True, False, True),
    "TorchvisionModel": (False, True, True, True),
}


@pytest.mark.parametrize("name", PROTOCOLS)
def test_each_network(name: str) -> None:
    if name == "TimmModel":
        pytest.importorskip("timm", reason="pip install -e '.[timm]'")
    network: nn.Module = getattr(networks, name)(num_classes=2)
    kinds = (InitializedFromImages, NormalisesImages, AuxiliaryHeads)
    assert (*(isinstance(network, kind) for kind in kinds), has_backbone(network)) == PROTOCOLS[name]


def test_a_backbone_is_a_module() -> None:
    network = nn.Linear(1, 1)
    assert not has_backbone(network)
    network.backbone = "resnet18"  # type: ignore[assignment]
    assert not has_backbone(network)
    network.backbone = nn.Linear(1, 1)
    assert has_backbone(network)
