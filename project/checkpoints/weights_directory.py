"""A directory with a trained network, in the layout of the Hugging Face Hub. Nothing here is slow to import.

model.safetensors: the network's weights. config.json: the checkpoint's description of itself. training.yaml: all
options of its run. The directory is made to be given away: of a path elsewhere on the disk, it has only the last part.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from project.checkpoints.checks import check_description
from project.system.errors import UserError
from project.system.yaml_text import load_yaml

WEIGHTS = "model.safetensors"
DESCRIPTION = "config.json"
TRAINING = "training.yaml"
# The keys of a checkpoint's description. Two more stand elsewhere: settings in training.yaml, state_dict in WEIGHTS.
KEYS = ("format", "experiment", "network", "loss", "data", "environment", "figures", "calibration")
NEEDED = {"format": int, "network": dict, "data": dict}
NETWORK = "network."  # in a checkpoint the names of the network's weights begin so


def files_of(checkpoint: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, bytes]:
    """The content of each file of the directory.

    Args:
        checkpoint: Of this project.
        more: Plain values that config.json has as well.

    Raises:
        UserError: a value of the network's state is not a tensor.
    """
    from safetensors.torch import save

    state = {name.removeprefix(NETWORK): value for name, value in checkpoint["state_dict"].items()}
    try:
        # safetensors takes neither tensors that share memory nor those with another order in memory
        weights = save({name: value.clone().contiguous() for name, value in state.items()}, {"format": "pt"})
    except (AttributeError, ValueError) as error:
        raise UserError(f"--to safetensors: the network's state has values that are no tensors ({error})") from None
    description = {name: checkpoint[name] for name in KEYS if name in checkpoint}
    if str(description["network"].get("class_path")).startswith("project."):  # one of your own may need its files
        description["network"] = without_directories(description["network"])
    files = {WEIGHTS: weights, DESCRIPTION: json.dumps({**description, **more}, indent=2).encode() + b"\n"}
    if "settings" in checkpoint:
        settings = {**without_directories(checkpoint["settings"]), "name": checkpoint.get("experiment")}
        files[TRAINING] = yaml.safe_dump(settings, sort_keys=False).encode()
    return files


def without_directories(value: Any) -> Any:
    """The settings, in which the last part stands for each path that is absolute or has `..`."""
    if isinstance(value, list):  # of a text in a list nobody knows whether it is a path
        return [inner if isinstance(inner, str) else without_directories(inner) for inner in value]
    if isinstance(value, Mapping):
        return {name: without_directories(inner) for name, inner in value.items()}
    is_elsewhere = isinstance(value, str) and (Path(value).is_absolute() or ".." in Path(value).parts)
    return (Path(value).name or ".") if is_elsewhere else value


def read(directory: Path) -> dict[str, Any]:
    """Read the description and the weights, under the keys of a checkpoint.

    Raises:
        UserError: a file is missing or damaged, or safetensors is not installed.
    """
    from project.checkpoints.files import FORMAT  # imports torch

    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError:
        raise UserError(f"{directory}: to read it, install safetensors: pip install -e '.[export]'") from None
    try:
        content = json.loads((directory / DESCRIPTION).read_text("utf-8"))
        weights = load_file(directory / WEIGHTS)
        training = directory / TRAINING
        settings = {"settings": load_yaml(training.read_text("utf-8"))} if training.exists() else {}
    except (OSError, ValueError, yaml.YAMLError, SafetensorError) as error:
        problem = " ".join(str(error).split())
        raise UserError(f"{directory}: not a directory that export has written, or damaged ({problem})") from None
    if not (isinstance(content, dict) and all(isinstance(content.get(key), kind) for key, kind in NEEDED.items())):
        raise UserError(f"{directory}: its {DESCRIPTION} is not one that export has written; export the network again")
    if content["format"] > FORMAT:
        raise UserError(f"{directory}: a newer version of this project wrote it; install that version")
    check_description(directory, content)
    return {**content, **settings, "state_dict": {NETWORK + name: value for name, value in weights.items()}}
