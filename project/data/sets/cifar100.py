"""CIFAR-100: 60,000 colour photographs of 32x32 pixels in a hundred classes (Krizhevsky, 2009)."""

from typing import Any

from torchvision import datasets

from project.data.images import Images
from project.data.normalisation import kept_constants
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
    """CIFAR-100: 50,000 images for training and validation, 10,000 for the test, with its hundred fine classes.

    Its normalisation is measured over the 50,000 at first use and kept in cifar-100-python/normalisation.json.
    """

    class_names = tuple(NAMES.split())
    official = datasets.CIFAR100

    def __init__(self, data_dir: str = "data", **options: Any) -> None:
        """Check the options; nothing is read yet.

        Args:
            data_dir: Folder that holds, or will hold, cifar-100-python; fetched once (169 MB) where it is missing.
        """
        super().__init__(data_dir, **options)

    def load(self) -> tuple[Images, Images]:
        images, test = super().load()
        over = " ".join(md5 for _, md5 in self.official.train_list)
        self.mean, self.std = kept_constants(self.data_dir / self.official.base_folder, over, images.pixels)
        return images, test
