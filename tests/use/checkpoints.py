"""Checkpoints for the tests of export."""

from typing import Any

import torch
from torch import nn

import project

STRANGE_NAMES = [
    "a, b",
    'say "hi"',
    "two\nlines",
    "<b>*bold*</b> | [x](y) # $z$",
    "=1+1",
    "\udc80é",
    "`",
    "~",
    "&amp;",
    "",
]

SHAPE = (3, 32, 32)


def checkpoint_of(network: str, arguments: dict[str, Any], classes: list[str]) -> dict[str, Any]:
    """A checkpoint with all that every use needs, of a network with random weights and statistics."""
    init_args = {**arguments, "num_classes": len(classes), "image_shape": list(SHAPE)}
    torch.manual_seed(1)
    module: nn.Module = getattr(project.networks, network)(**init_args)
    for value in module.state_dict().values():
        if value.is_floating_point() and value.ndim == 1:
            value.uniform_(0.5, 1.5)
        elif network == "Perceptron":
            value.normal_(std=0.01)
    state = {f"network.{name}": value for name, value in module.state_dict().items()}
    return {
        "format": 1,
        "epoch": 1,
        "global_step": 1,
        "loops": {},
        "loss": {"class_path": "torch.nn.CrossEntropyLoss"},
        "network": {"class_path": f"project.networks.{network}", "init_args": init_args},
        "experiment": "small",
        "state_dict": state,
        "data": {
            "class_names": classes,
            "image_shape": list(SHAPE),
            "mean": [0.2, 0.4, 0.6],
            "std": [0.1, 0.2, 0.3],
            "preparation": {"mode": "RGB", "size": [32, 32], "resample": "bilinear", "crop": "center", "fit": "cut"},
        },
    }
