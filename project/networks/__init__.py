"""Networks: plain modules from images [N, C, H, W] to logits [N, num_classes]."""

from typing import TYPE_CHECKING

from project.system.lazy import lazy_names

if TYPE_CHECKING:  # imported when they are used
    from project.networks.convnet import ConvNet as ConvNet
    from project.networks.mlp import MLP as MLP
    from project.networks.perceptron import Perceptron as Perceptron
    from project.networks.perceptron import PerceptronCriterion as PerceptronCriterion
    from project.networks.protocol import AuxiliaryHeads as AuxiliaryHeads
    from project.networks.protocol import HasBackbone as HasBackbone
    from project.networks.protocol import InitializedFromImages as InitializedFromImages
    from project.networks.protocol import NormalisesImages as NormalisesImages
    from project.networks.resnet import ResNet18 as ResNet18
    from project.networks.timm_model import TimmModel as TimmModel
    from project.networks.torchvision_model import TorchvisionModel as TorchvisionModel
    from project.networks.whitened import WhitenedConvNet as WhitenedConvNet

__getattr__, __dir__ = lazy_names(__name__, __file__)
