"""Any classification network of timm, by its name."""

from difflib import get_close_matches
from typing import Any

from torch import nn

from project.networks.pretrained_network import Preset, PretrainedNetwork, check_channels
from project.system.errors import UserError


class TimmModel(PretrainedNetwork):
    """A network of timm whose last layer is a new one; needs the extra [timm].

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
            name: One of timm's networks, such as vit_tiny_patch16_224 or convnext_atto.
            weights: The weights of timm from which training begins, without their last layer. default: the best that
                timm has. The tag of others, such as augreg_in21k. None: random weights. They are not read by a run
                that starts from a checkpoint or from --model.weights.
            image_size: Side in pixels to which images are resized. None takes the side with which the weights were
                trained, mostly 224. Smaller images train faster.
        """
        check_channels("TimmModel", image_shape[0])
        timm = _timm()
        full_name = _checked_name(timm, name, weights)
        preset = timm.models.get_pretrained_cfg(full_name)
        side = preset.input_size[1] if image_size is None else image_size
        if side < 1:
            raise ValueError(f"--model.network.image_size {side}: give at least 1")
        size = {"img_size": side} if preset.fixed_input_size else {}
        backbone = _build(timm, full_name, side, size)
        features = getattr(backbone, "head_hidden_size", None) or backbone.num_features
        images = Preset(side, preset.interpolation, preset.mean, preset.std)
        super().__init__(backbone, [features], num_classes, images)
        self.name, self.weights, self.full_name, self.size = name, weights, full_name, size

    def load_default_weights(self) -> None:
        """Load timm's weights, which are fetched once. Raises UserError if they cannot be."""
        try:
            source = _timm().create_model(self.full_name, pretrained=True, num_classes=0, **self.size)
            self.backbone.load_state_dict(source.state_dict())
        except Exception as error:  # of the network, of the file, or of timm, which have no class in common
            problem = " ".join(str(error).split()).partition(". ")[0]
            raise UserError(
                f"--model.network.weights {self.weights}: timm's weights of {self.full_name} cannot be fetched or read "
                f"({problem}); try again, or give a file or a run as --model.weights"
            ) from None


def _timm() -> Any:
    try:
        import timm
    except ImportError:
        raise ValueError("--model.network TimmModel: timm is not installed; pip install -e '.[timm]'") from None
    return timm


def _checked_name(timm: Any, name: str, weights: str | None) -> str:
    """The name with the tag of the weights, if one is given. Raises ValueError if timm does not have it."""
    names = timm.list_models()
    if name not in names:
        near = ", ".join(get_close_matches(name, names) or get_close_matches(name, names, 3, 0))
        raise ValueError(f"--model.network.name {name}: timm has no such network; the nearest are {near}")
    if weights in (None, "default"):
        return name
    tags = [tagged.partition(".")[2] for tagged in timm.list_pretrained(f"{name}.*")]
    if weights not in tags:
        known = " or ".join(("default", *tags))
        problem = f"timm has no such weights of {name}; give {known}, or a file or a run as --model.weights"
        raise ValueError(f"--model.network.weights {weights}: {problem}")
    return f"{name}.{weights}"


def _build(timm: Any, name: str, side: int, size: dict[str, int]) -> Any:
    """The network without a last layer, with random weights."""
    try:
        network: nn.Module = timm.create_model(name, num_classes=0, **size)
        return network
    except (AssertionError, ValueError, RuntimeError, ZeroDivisionError) as error:
        problem = " ".join(str(error).split())
    raise ValueError(f"--model.network.image_size {side}: {name} cannot take it ({problem})")
