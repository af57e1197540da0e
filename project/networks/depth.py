"""Which layers of a network are its head, and how far the others are from it: for learning rates by layer."""

from collections.abc import Iterator, Sequence
from itertools import chain

from torch import nn

from project.networks.protocol import has_backbone

CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
Layer = list[nn.Parameter]


def backbone_modules(network: nn.Module) -> list[nn.Module]:
    """The modules without a part of the head. The head is what a network has beside its `backbone`, or its last layer.

    The last layer is the last linear one, or the last convolution of a network without linear layers.
    """
    if has_backbone(network):
        return list(network.backbone.modules())[1:]  # in training mode, it computes the inputs of auxiliary heads
    head = _last_layer(network)
    return [module for module in network.modules() if head is not None and head not in module.modules()]


def backbone_parameters(network: nn.Module) -> Layer:
    """All parameters but those of the head; none for a network whose head is all that it has."""
    if has_backbone(network):
        return list(network.backbone.parameters())
    head = _last_layer(network)
    of_head = set(head.parameters() if head is not None else network.parameters())
    return [parameter for parameter in network.parameters() if parameter not in of_head]


def distances(network: nn.Module) -> dict[nn.Parameter, int]:
    """The distance from the head of each parameter that is not in it; at least 1.

    Layers are in the order in which a network registers its modules. A block is a module of two or more matrices or
    convolutions, such as a residual block; the last one has the distance 1. Layers between blocks, such as those that
    shrink an image, count with the block after them. Those before the first block are one layer, with class tokens and
    position embeddings. Those after the last block, such as a normalisation, count with it, as in timm. So does what
    leads to an auxiliary head. In a network with fewer than two blocks, each matrix or convolution is a layer, with the
    normalisation after it.
    """
    known = set(backbone_parameters(network))
    parts: dict[str, list[Layer]] = {"first": [], "unit": [], "last": []}
    for kind, unit in _parts(network.backbone if has_backbone(network) else network):
        if unit := [parameter for parameter in unit if parameter in known]:
            parts[kind].append(unit)
    layers = _layers(parts["unit"]) or [[]]
    layers[0] = list(chain(*parts["first"], layers[0]))
    layers[-1] = list(chain(layers[-1], *parts["last"]))
    return {weights: len(layers) - number for number, layer in enumerate(layers) for weights in layer}


def _last_layer(network: nn.Module) -> nn.Module | None:
    modules = list(network.modules())
    by_kind = ([module for module in modules if isinstance(module, kind)] for kind in (nn.Linear, nn.Conv2d))
    return next((layers[-1] for layers in by_kind if layers), None)


def _parts(module: nn.Module) -> Iterator[tuple[str, Layer]]:
    """The parameters of each unit: a block or a smaller layer. Also those that count as `first` or `last`."""
    yield "first", list(module.parameters(recurse=False))
    for name, child in module.named_children():
        if name.lower().startswith("aux"):  # torchvision's names of auxiliary heads
            yield "last", list(child.parameters())
        elif _has_blocks(child) or (isinstance(child, CONTAINERS) and _is_block(list(child.parameters()))):
            yield from _parts(child)
        else:
            yield "unit", list(child.parameters())


def _has_blocks(module: nn.Module) -> bool:
    """Whether it is, or has at any depth, a stage: a module of blocks of the same class."""
    children = list(module.children())
    if len({type(child) for child in children}) == 1 and not isinstance(children[0], CONTAINERS):
        return _is_block(list(children[0].parameters()))
    return any(_has_blocks(child) for child in children)


def _is_block(unit: Sequence[nn.Parameter]) -> bool:
    return sum(parameter.ndim > 1 for parameter in unit) > 1


def _layers(units: Sequence[Layer]) -> list[Layer]:
    """The layers, of one unit or more; the first one is farthest from the head."""
    by_block = sum(_is_block(unit) for unit in units) > 1
    layers: list[Layer] = []
    waiting: Layer = []
    for unit in units:
        if by_block and not _is_block(unit):
            waiting = [*waiting, *unit]
        elif by_block:
            layers += [[*waiting, *unit]] if layers or not waiting else [waiting, unit]
            waiting = []
        elif layers and all(parameter.ndim < 2 for parameter in unit):
            layers[-1] = [*layers[-1], *unit]
        else:
            layers.append(unit)
    return [*layers[:-1], [*layers[-1], *waiting]] if layers else []
