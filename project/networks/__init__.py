"""Networks: plain modules from images [N, C, H, W] to logits [N, num_classes]."""

from typing import TYPE_CHECKING

from project.system.lazy import lazy_names

if TYPE_CHECKING:
    from project.networks.convnet import ConvNet
    from project.networks.mlp import MLP
    from project.networks.perceptron import Perceptron, PerceptronCriterion
    from project.networks.protocol import AuxiliaryHeads, HasBackbone, InitializedFromImages, NormalisesImages
    from project.networks.resnet import ResNet18
    from project.networks.torchvision_model import TorchvisionModel
    from project.networks.whitened import WhitenedConvNet

__all__ = [
    "MLP",
    "AuxiliaryHeads",
    "ConvNet",
    "HasBackbone",
    "InitializedFromImages",
    "NormalisesImages",
    "Perceptron",
    "PerceptronCriterion",
    "ResNet18",
    "TorchvisionModel",
    "WhitenedConvNet",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "AuxiliaryHeads": "protocol",
        "ConvNet": "convnet",
        "HasBackbone": "protocol",
        "InitializedFromImages": "protocol",
        "MLP": "mlp",
        "NormalisesImages": "protocol",
        "Perceptron": "perceptron",
        "PerceptronCriterion": "perceptron",
        "ResNet18": "resnet",
        "TorchvisionModel": "torchvision_model",
        "WhitenedConvNet": "whitened",
    },
)
