"""CIFAR-100."""

from torchvision import datasets

from project.data.images import ImagesInMemory
from project.data.normalisation import cached_mean_and_std
from project.data.sets.cifar10 import CIFAR10

NAMES = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant flatfish
forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle
mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine
possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar
sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle wardrobe whale willow_tree
wolf woman worm
"""


class CIFAR100(CIFAR10):
    """60,000 colour photographs of 32x32 pixels in 100 classes; a download of 169 MB.

    50,000 images are for training and validation, 10,000 for the test. The classes are those that CIFAR-100 calls fine.
    The folder of the images is cifar-100-python. The mean and standard deviation of the 50,000 are measured at first
    use and saved in its normalisation.json.
    Source: Krizhevsky, "Learning Multiple Layers of Features from Tiny Images" (2009),
    https://www.cs.toronto.edu/~kriz/cifar.html, which states no licence.
    """

    class_names = tuple(NAMES.split())
    torchvision_class = datasets.CIFAR100

    def load(self) -> tuple[ImagesInMemory, ImagesInMemory]:
        images, test = super().load()
        digest = " ".join(md5 for _, md5 in self.torchvision_class.train_list)
        self.mean, self.std = cached_mean_and_std(self.data_dir / self.source.folder, digest, images.pixels)
        return images, test
