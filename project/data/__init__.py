"""Data: image sets in memory or in files, their batches and their augmentation."""

from project.data.cifar10 import CIFAR10
from project.data.cifar100 import CIFAR100
from project.data.digits import Digits
from project.data.image_folder import ImageFolder
from project.data.mnist import MNIST, FashionMNIST
from project.data.module import ImageDataModule
from project.data.svhn import SVHN

__all__ = ["CIFAR10", "CIFAR100", "MNIST", "SVHN", "Digits", "FashionMNIST", "ImageDataModule", "ImageFolder"]
