"""ResNet-18 for small images."""

from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, ResNet


class ResNet18(nn.Module):
    """torchvision's ResNet-18 with the first layer of He et al.'s networks for CIFAR (arXiv 1512.03385, section 4.2).

    That is a 3x3 convolution of stride 1 without pooling, where ImageNet's network shrinks an image to a quarter of its
    side; 32 pixels a side become 32, 16, 8, 4 after the four stages. 11,173,962 parameters for 3 channels, 10 classes.
    """

    def __init__(self, num_classes: int, image_shape: tuple[int, int, int] = (3, 32, 32)) -> None:
        """Build the layers.

        Args:
            num_classes: Number of logits; linked from the data.
            image_shape: (C, H, W) of an image of any size; linked from the data.
        """
        super().__init__()
        self.layers = ResNet(BasicBlock, [2, 2, 2, 2], num_classes=num_classes)
        self.layers.conv1 = nn.Conv2d(image_shape[0], 64, 3, padding=1, bias=False)
        nn.init.kaiming_normal_(self.layers.conv1.weight, mode="fan_out", nonlinearity="relu")  # as the others are
        self.layers.maxpool = nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        """Images [N, C, H, W] to logits [N, num_classes]."""
        logits: Tensor = self.layers(images)
        return logits
