"""Networks: plain modules from images [N, C, H, W] to logits [N, num_classes]."""

from project.networks.convnet import ConvNet
from project.networks.mlp import MLP

__all__ = ["MLP", "ConvNet"]
