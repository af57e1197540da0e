"""The files of torchvision's pretrained weights: finding, fetching and reading them."""

import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.modules.utils import consume_prefix_in_state_dict_if_present
from torchvision.models import get_model_weights

from project.checkpoints.files import check_digest
from project.data.download import RemoteFile
from project.networks import TorchvisionModel
from project.system.errors import UserError


def load_weights(network: TorchvisionModel) -> None:
    """Put into `network` the weights that it was made to begin from, without running code from their file.

    Raises:
        UserError: their file is not there and cannot be fetched, is damaged, or is of another network.
    """
    if network.weights is None:
        return
    path = _weights_file(network.name, network.weights)
    try:
        network.load_weights(_read_state_dict(path))
        if not all(weights.isfinite().all() for weights in network.state_dict().values()):
            raise ValueError("not every number in it is finite")
    except (ValueError, RuntimeError) as error:
        if missing := re.search(r'Missing key\(s\) in state_dict: "(.+?)"', str(error)):
            error = ValueError(f"it has no {missing[1]}")
        fetched = "" if str(path) == network.weights else f", or delete {path} to fetch it anew"
        remedy = f"give a file of torchvision's{fetched}"
        if "size mismatch for encoder.pos_embedding" in str(error):  # of a transformer
            remedy = "give the --model.network.image_size that they were trained with; leave it out for torchvision's"
        problem = " ".join(str(error).split())
        raise UserError(
            f"--model.network.weights {network.weights}: no weights of {network.name}: {problem}; {remedy}"
        ) from None


def _read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read the names and tensors of a file: all of a state dict, or those of the backbone of a run's checkpoint.

    Raises:
        ValueError: the file has something else.
    """
    try:
        state = torch.load(path, "cpu", weights_only=True)
    # torch.load has no exception of its own; its exception depends on where a file is damaged.
    except Exception as error:
        unsafe = "Unsupported global" in str(error)
        problem = "it holds more than tensors: save the network's state_dict()"
        raise ValueError(problem if unsafe else "it is no file of torch's, or damaged") from None
    named = _checked_names(state)
    if "state_dict" in named:
        return _backbone_weights(_checked_names(named["state_dict"]), path)
    if all(name.startswith("module.") for name in named):
        raise ValueError(
            "its names begin with module., as DataParallel's do: save that network's own module.state_dict()"
        )
    return named


def _checked_names(state: Any) -> dict[str, Any]:
    if not (isinstance(state, dict) and state and all(isinstance(name, str) for name in state)):
        raise ValueError("it holds no tensors by name: save a network's state_dict()")
    return state


def _backbone_weights(state: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """The weights of the backbone in a checkpoint of TorchvisionModel, under torchvision's names; changes `state`."""
    for name in [name for name in state if not name.startswith("network.backbone.")]:
        del state[name]
    if not state:
        raise ValueError("its state_dict is not TorchvisionModel's: save that of a network of torchvision alone")
    check_digest(path)
    for prefix in (
        "network.",
        "backbone.",
    ):  # one after the other: together they would lose the version of the backbone
        consume_prefix_in_state_dict_if_present(state, prefix)
    return state


def _weights_file(name: str, weights: str) -> Path:
    """The path of a weights file. A file of torchvision has torchvision's name, and is fetched if it is missing."""
    entries: Any = get_model_weights(name)
    entry = entries.DEFAULT if weights == "default" else entries.__members__.get(weights)
    if entry is None:
        if not Path(weights).is_file():
            names = ", ".join(("default", *(known.name for known in entries)))
            raise UserError(f"--model.network.weights {weights}: there is no such file; give one, or {names}")
        return Path(weights)
    path = Path(torch.hub.get_dir(), "checkpoints", Path(entry.url).name)
    if not path.exists():
        first_digits = path.stem.rpartition("-")[2]  # of its SHA-256 sum: torchvision ends the names of its files so
        file = RemoteFile([entry.url], first_digits, "sha256")
        file.fetch(path, f"--model.network.weights {weights}", "give the path of a file")
    return path
