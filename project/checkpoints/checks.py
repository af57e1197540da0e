"""Checks of what a checkpoint says of itself, before it is used."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from project.system.errors import UserError

Views = Literal["plain", "mirror", "mirror_shift"]


def check_description(path: Path, checkpoint: Mapping[str, Any]) -> None:
    """Raises UserError if a value of the description in the checkpoint or directory `path` cannot be right."""
    data, calibration = checkpoint["data"], checkpoint.get("calibration", {})
    for name, check in CHECKS.items():
        if not _passes(check, data):
            raise UserError(f"--ckpt_path {path}: its data has a damaged {name}; give another, such as best")
    if not _passes(_is_calibration, calibration):
        raise UserError(f"--ckpt_path {path}: its calibration is damaged; give another, such as best")
    arguments = checkpoint["network"].get("init_args") or {}
    outputs, names = arguments.get("num_classes"), data["class_names"]
    if outputs is not None and outputs != len(names):
        raise UserError(f"--ckpt_path {path}: its network has {outputs} outputs, and its data {len(names)} class names")


def _is_positive(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value) and value > 0


def _is_calibration(calibration: Any) -> bool:
    views, temperature = calibration.get("views", "plain"), calibration.get("temperature", 1.0)
    return views in get_args(Views) and _is_positive(temperature)


def _passes(check: Callable[[Any], bool], value: Any) -> bool:
    try:
        return check(value)
    except (TypeError, KeyError, AttributeError, ValueError):
        return False


CHECKS: dict[str, Callable[[Any], bool]] = {
    "class_names": lambda data: len(data["class_names"]) > 1 and all(isinstance(n, str) for n in data["class_names"]),
    "image_shape": lambda data: len(data["image_shape"]) == 3 and all(map(_is_positive, data["image_shape"])),
    "mean": lambda data: len(data["mean"]) == data["image_shape"][0] and all(map(math.isfinite, data["mean"])),
    "std": lambda data: len(data["std"]) == data["image_shape"][0] and all(map(_is_positive, data["std"])),
}
