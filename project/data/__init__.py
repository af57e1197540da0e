"""Data: image sets held in memory, their batches and their augmentation."""

from project.data.cifar10 import CIFAR10
from project.data.digits import Digits
from project.data.module import ImageDataModule

__all__ = ["CIFAR10", "Digits", "ImageDataModule"]
