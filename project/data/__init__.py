"""Data sets of images, their batches and their augmentation."""

from typing import TYPE_CHECKING

from project.system.lazy import lazy_names

if TYPE_CHECKING:
    from project.data.images import ImagesInMemory
    from project.data.module import ImageDataModule
    from project.data.sets.cifar10 import CIFAR10
    from project.data.sets.cifar100 import CIFAR100
    from project.data.sets.digits import Digits
    from project.data.sets.image_folder import ImageFolder
    from project.data.sets.mnist import MNIST, FashionMNIST
    from project.data.sets.svhn import SVHN

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "MNIST",
    "SVHN",
    "Digits",
    "FashionMNIST",
    "ImageDataModule",
    "ImageFolder",
    "ImagesInMemory",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "CIFAR10": "sets.cifar10",
        "CIFAR100": "sets.cifar100",
        "Digits": "sets.digits",
        "FashionMNIST": "sets.mnist",
        "ImageDataModule": "module",
        "ImageFolder": "sets.image_folder",
        "ImagesInMemory": "images",
        "MNIST": "sets.mnist",
        "SVHN": "sets.svhn",
    },
)
