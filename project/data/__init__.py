"""Data sets of images, their batches and their augmentation."""

from typing import TYPE_CHECKING

from project.system.lazy import lazy_names

if TYPE_CHECKING:  # imported when they are used
    from project.data.arrays import ArrayDataModule as ArrayDataModule
    from project.data.images import ImagesInMemory as ImagesInMemory
    from project.data.module import ImageDataModule as ImageDataModule
    from project.data.sets.arrays import Arrays as Arrays
    from project.data.sets.cifar10 import CIFAR10 as CIFAR10
    from project.data.sets.cifar100 import CIFAR100 as CIFAR100
    from project.data.sets.digits import Digits as Digits
    from project.data.sets.image_folder import ImageFolder as ImageFolder
    from project.data.sets.mnist import MNIST as MNIST
    from project.data.sets.mnist import FashionMNIST as FashionMNIST
    from project.data.sets.svhn import SVHN as SVHN

__getattr__, __dir__ = lazy_names(__name__, __file__)
