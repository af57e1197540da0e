"""The weights that libraries have for their networks: finding, fetching and reading their files."""

import re
from pathlib import Path
from typing import Any

import torch
from torchvision.models import get_model_weights

from project.data.download import RemoteFile
from project.networks.pretrained_network import PretrainedNetwork
from project.networks.timm_model import TimmModel
from project.networks.torchvision_model import TorchvisionModel
from project.system.errors import UserError


def load_weights(network: PretrainedNetwork) -> None:
    """Put into `network` the weights of its library that it was made to begin from.

    Raises:
        UserError: their file is not there and cannot be fetched, is damaged, or is for another image size.
    """
    if network.weights is None:
        return None
    if isinstance(network, TimmModel):
        return network.load_default_weights()
    assert isinstance(network, TorchvisionModel)
    path = _weights_file(network.name, network.weights)
    try:
        network.load_weights(torch.load(path, "cpu", weights_only=True))
    # torch.load has no exception of its own; its exception depends on where a file is damaged.
    except Exception as error:
        problem = " ".join(str(error).split())
        remedy = f"delete {path} to fetch it anew"
        if "size mismatch for encoder.pos_embedding" in problem:  # of a transformer
            remedy = "give the --model.network.image_size that they were trained with; leave it out for torchvision's"
        elif missing := re.search(r'Missing key\(s\) in state_dict: "(.+?)"', problem):
            problem = f"it has no {missing[1]}"
        elif not isinstance(error, RuntimeError) or "Error(s) in loading state_dict" not in problem:
            problem = f"{path} is damaged"
        raise UserError(
            f"--model.network.weights {network.weights}: no weights of {network.name}: {problem}; {remedy}"
        ) from None


def _weights_file(name: str, weights: str) -> Path:
    """The path of the file, which has torchvision's name and is fetched if it is missing."""
    entries: Any = get_model_weights(name)
    entry = entries.DEFAULT if weights == "default" else entries.__members__.get(weights)
    if entry is None:
        names = " or ".join(("default", *(known.name for known in entries)))
        problem = f"torchvision has no such weights of {name}; give {names}, or a file or a run as --model.weights"
        raise UserError(f"--model.network.weights {weights}: {problem}")
    path = Path(torch.hub.get_dir(), "checkpoints", Path(entry.url).name)
    if not path.exists():
        first_digits = path.stem.rpartition("-")[2]  # of its SHA-256 sum: torchvision ends the names of its files so
        file = RemoteFile([entry.url], first_digits, "sha256")
        file.fetch(path, f"--model.network.weights {weights}", "give a file as --model.weights")
    return path
