"""How a checkpoint describes itself: plain values under fixed keys, which are all that is needed to use it.

format: the number FORMAT. network, loss: class_path and init_args of each. data: class_names, image_shape (C, H, W),
mean and std of each channel in [0, 1], and how an image of any size is prepared. experiment: its name. settings: all
options of the run. environment: versions, hardware and the data's fingerprint.

The checkpoint that was tested has more: figures, which the run measured; and calibration, if there were validation
images or several views: the views (plain, mirror or mirror_shift) of which the logits are the mean, the temperature
by which these are divided, and the number of validation images that it was fitted on.
"""

from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

from torch import Tensor

from project.checkpoints.files import FORMAT
from project.system.errors import UserError

TRAINING_ONLY = ("transforms", "mix")  # options of the data


def describe(run: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    """What a checkpoint says of itself.

    Args:
        run: network and loss, each with class_path and init_args; experiment, settings and environment.
        data: As ImageDataModule.description gives it.
    """
    return {"format": FORMAT, "network": {}, "loss": {}, **run, "data": data}


def data_settings(checkpoint: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The class path of a checkpoint's data set and its options, without those that change training images alone."""
    data = checkpoint["settings"]["data"]
    arguments = {name: value for name, value in (data.get("init_args") or {}).items() if name not in TRAINING_ONLY}
    crop_pct = checkpoint.get("data", {}).get("preparation", {}).get("crop_pct")
    if crop_pct is not None:  # the training's transforms may have decided it
        arguments["crop_pct"] = crop_pct
    return data["class_path"], arguments


def check_fits(
    path: Path, checkpoint: Mapping[str, Any], weights: Mapping[str, Tensor], data: Mapping[str, Any]
) -> None:
    """Raises UserError where the checkpoint is of a network with other `weights`, or of other `data`."""
    if difference := _other_data(checkpoint["data"], data) or _other_weights(checkpoint["state_dict"], weights):
        config = path.absolute().parents[1] / "config.yaml"
        settings = f", --config {config}" if config.exists() else ""
        raise UserError(
            f"--ckpt_path {path}: a checkpoint of another network or other data ({difference}); "
            f"give the run's own settings{settings}"
        )


def _other_data(saved: Mapping[str, Any], data: Mapping[str, Any]) -> str:
    pairs = enumerate(zip_longest(saved["class_names"], data["class_names"]))
    differing = [(number, *names) for number, names in pairs if len(set(names)) > 1]
    if differing:
        return "its class {} is {}, the data's {}".format(*differing[0])
    shapes = (saved["image_shape"], data["image_shape"])
    return "" if shapes[0] == shapes[1] else "its images have the shape {}, the data's {}".format(*shapes)


def _other_weights(saved: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> str:
    if missing := [name for name in weights if name not in saved]:
        return f"it has no {missing[0]}"
    if unknown := [name for name in saved if name not in weights]:
        return f"the network has no {unknown[0]}"
    shapes = ((name, list(saved[name].shape), list(weights[name].shape)) for name in weights)
    return next((f"{name} is {old} in it and {new} in the network" for name, old, new in shapes if old != new), "")
