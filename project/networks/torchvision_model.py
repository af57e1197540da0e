"""Any classification network of torchvision, by its name."""

import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import torchvision
from torch import Tensor, nn
from torchvision.models import get_model, get_model_weights, list_models

from project.networks.pretrained_network import Preset, PretrainedNetwork, check_channels

SMALLEST = 32  # pixels a side; most networks reduce them to 1, and cannot reduce fewer


@dataclass(frozen=True)
class Auxiliary:
    """Heads in the middle of a network, used in training only."""

    layers: tuple[str, ...]
    """Their last layers, in the order of the network's outputs."""
    weight: float
    """Factor of the loss of each head."""
    side: int
    """Side in pixels of the smallest image for which they are built."""


AUXILIARY = {
    "inception_v3": Auxiliary(("AuxLogits.fc",), 0.4, 299),  # arXiv 1512.00567; 0.4 as in PyTorch's finetuning tutorial
    "googlenet": Auxiliary(("aux2.fc2", "aux1.fc2"), 0.3, SMALLEST),  # Szegedy et al., arXiv 1409.4842, section 5
}
# How the files of DenseNet's weights name what torchvision's modules now call norm1 or conv2.
OLD_NAME = re.compile(r"^(.*denselayer\d+\.(?:norm|conv))\.([12]\.\w+)$")


class TorchvisionModel(PretrainedNetwork):
    """A network of torchvision whose last layer is a new one.

    The network resizes and normalises images as its weights were trained. Grey images become three equal channels.
    """

    def __init__(
        self,
        num_classes: int,
        image_shape: tuple[int, int, int] = (3, 32, 32),
        name: str = "resnet18",
        weights: str | None = None,
        image_size: int | None = None,
    ) -> None:
        """Build the network with random weights.

        Args:
            num_classes: Number of logits; linked from the data.
            image_shape: (C, H, W) of an image, C 1 or 3; linked from the data.
            name: One of torchvision's classification networks, such as resnet18, inception_v3 or vit_b_16.
            weights: The weights of torchvision from which training begins, without their last layer. default: the best
                that torchvision has. A name of others, such as IMAGENET1K_V1. None: random weights. They are not read
                by a run that starts from a checkpoint or from --model.weights.
            image_size: Side in pixels to which images are resized; at least 32, more for some networks. None takes the
                side with which the weights were trained, mostly 224. Smaller images train faster. Below 299
                inception_v3 has no auxiliary head.
        """
        known = _checked_weights(name, weights)
        preset = known.transforms()
        side = preset.crop_size[0] if image_size is None else image_size
        check_channels("TorchvisionModel", image_shape[0])
        _check_side(name, side, max(SMALLEST, *known.meta["min_size"]))
        backbone = _build(name, side)
        layers = [_last_layer(backbone), *_auxiliary_layers(name, side)]
        sizes = [_input_size(backbone.get_submodule(layer)) for layer in layers]
        for layer in layers:
            backbone.set_submodule(layer, nn.Identity())
        images = Preset(side, preset.interpolation.value, preset.mean, preset.std)
        super().__init__(backbone, sizes, num_classes, images)
        self.name, self.weights = name, weights
        self.auxiliary_weight = AUXILIARY[name].weight if name in AUXILIARY else 0.0
        self._left_out = tuple(f"{layer}." for layer in (*layers, *_missing_parts(name, side)))

    def load_weights(self, state: dict[str, Tensor]) -> None:
        """Load the weights of the network without its last layers. Raises RuntimeError if they do not fit.

        Args:
            state: torchvision's state dict. It is changed, because a copy would lose the versions stored in it.
        """
        for name in list(state):
            if name.startswith(self._left_out):
                del state[name]
            elif match := OLD_NAME.match(name):
                state[match[1] + match[2]] = state.pop(name)
        self.backbone.load_state_dict(state)


def _checked_weights(name: str, weights: str | None) -> Any:
    """torchvision's entry of the weights, which has size and normalisation; a file and random weights take default's.

    Raises ValueError for an unknown network.
    """
    names = list_models(module=torchvision.models)
    if name not in names:
        near = ", ".join(get_close_matches(name, names) or names)
        raise ValueError(f"--model.network.name {name}: torchvision has no such network; the nearest are {near}")
    entries = get_model_weights(name)
    return entries.__members__.get(weights, entries.DEFAULT)


def _check_side(name: str, side: int, smallest: int) -> None:
    if side < smallest:
        raise ValueError(f"--model.network.image_size {side}: {name} needs at least {smallest}")


def _build(name: str, side: int) -> nn.Module:
    options: dict[str, Any] = {}
    if name in AUXILIARY:  # their weights expect another normalisation, which they make themselves
        with_heads = bool(_auxiliary_layers(name, side))
        options = {"aux_logits": with_heads, "transform_input": True, "init_weights": True}
    elif name.startswith("vit_"):
        options = {"image_size": side}
    elif name == "maxvit_t":
        options = {"input_size": (side, side)}
    try:
        network: nn.Module = get_model(name, **options)
        return network
    except (AssertionError, ValueError) as error:
        problem = " ".join(str(error).split())
    raise ValueError(f"--model.network.image_size {side}: {name} cannot take it ({problem})")


def _last_layer(network: nn.Module) -> str:
    """The name of the layer that gives the logits; SqueezeNet's is a convolution, before pooling."""
    linear, convolutions = (
        [name for name, layer in network.named_modules() if isinstance(layer, kind)] for kind in (nn.Linear, nn.Conv2d)
    )
    last: str = (linear or convolutions)[-1]
    return last


def _input_size(layer: nn.Module) -> int:
    size = layer.in_features if isinstance(layer, nn.Linear) else layer.in_channels
    assert isinstance(size, int)
    return size


def _auxiliary_layers(name: str, side: int) -> tuple[str, ...]:
    return AUXILIARY[name].layers if name in AUXILIARY and side >= AUXILIARY[name].side else ()


def _missing_parts(name: str, side: int) -> set[str]:
    """The auxiliary heads that a network for smaller images is built without."""
    every = AUXILIARY[name].layers if name in AUXILIARY else ()
    return {layer.partition(".")[0] for layer in every if layer not in _auxiliary_layers(name, side)}
