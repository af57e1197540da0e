"""The first weights of any network: the tensors of a file whose names and shapes fit."""

import re
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from project.checkpoints.files import check_digest
from project.networks.protocol import NormalisesImages
from project.system.text import shortened_list

# How torchvision's files of DenseNet name what its modules now call norm1 or conv2.
OLD_NAME = re.compile(r"(denselayer\d+\.(?:norm|conv))\.(?=[12]\.)")
INSIDE = ("state_dict", "model")  # the keys under which programs save the tensors among other values
State = dict[str, Tensor]


@dataclass(frozen=True)
class TakenWeights:
    """What a network took from a file."""

    names: tuple[str, ...]
    """Of the network's tensors that were in the file."""
    new: tuple[str, ...]
    """The network's other tensors, each with its shape, and with that in the file."""
    unused: tuple[str, ...]
    """The tensors of the file that the network does not have."""

    def __str__(self) -> str:
        text = f"{len(self.names)} of {len(self.names) + len(self.new)} tensors are taken"
        parts = (("new", self.new), ("not used", self.unused))
        return "; ".join((text, *(f"{title}: {shortened_list(names)}" for title, names in parts if names)))


def take_weights(network: nn.Module, state: Mapping[str, Tensor]) -> TakenWeights:
    """Copy the tensors that fit into `network`, parameters and buffers. The others stay as they are.

    A prefix that most of the names have, such as `module.` or `backbone.`, may differ.

    Args:
        network: The network, whose lazy parameters have their shapes.
        state: Tensors by name.

    Raises:
        ValueError: no matrix or convolution fits, or a tensor that fits has numbers that are not finite.
    """
    own = _loadable(network)
    sources = _sources(own, state)
    fitting = {name: state[source] for name, source in sources.items() if state[source].shape == own[name].shape}
    if not any(weights.ndim > 1 for weights in fitting.values()):
        problem = f"its first is {_first_matrix(state)}, the network's {_first_matrix(own)}"
        raise ValueError(f"none of its tensors fits the network: {problem}; give weights of such a network")
    for name, weights in fitting.items():
        if not weights.isfinite().all():
            raise ValueError(f"{sources[name]} has numbers that are not finite")
    with torch.no_grad():
        for name, weights in fitting.items():
            own[name].copy_(weights)
    new = [
        f"{name} {list(own[name].shape)}" + (f" (file: {list(state[sources[name]].shape)})" if name in sources else "")
        for name in own
        if name not in fitting and (name in sources or not name.endswith("num_batches_tracked"))  # old files lack it
    ]
    used = set(sources.values())
    return TakenWeights(tuple(fitting), tuple(new), tuple(name for name in state if name not in used))


def read_weights(path: Path) -> tuple[State, bool]:
    """Read the tensors of a checkpoint, of a state dict, or of a safetensors file. No code from the file is run.

    Returns:
        The tensors by name, and whether they are averages over the steps of a run.

    Raises:
        ValueError: the file is missing, damaged, or has no tensors by name.
    """
    if not path.is_file():
        raise ValueError("there is no such file")
    content = _safetensors(path) if path.suffix == ".safetensors" else _torch_file(path)
    inside = next((content[key] for key in INSIDE if isinstance(content.get(key), dict)), content)
    state = {OLD_NAME.sub(r"\1", name): value for name, value in inside.items() if isinstance(value, Tensor)}
    if not state:
        raise ValueError("it has no tensors by name; save a network's state_dict()")
    return state, "averaging_state" in content  # Lightning's WeightAveraging writes it


def _safetensors(path: Path) -> dict[str, Any]:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError:
        raise ValueError("to read it, install safetensors: pip install -e '.[export]'") from None
    try:
        return dict(load_file(path))
    except SafetensorError as error:
        raise ValueError(f"it is no whole safetensors file ({error})") from None


def _torch_file(path: Path) -> dict[str, Any]:
    try:
        content = torch.load(path, "cpu", weights_only=True)
    # torch.load has no exception of its own; its exception depends on where a file is damaged.
    except Exception as error:
        unsafe = "Unsupported global" in str(error)
        problem = "it has more than tensors; save the network's state_dict()"
        raise ValueError(problem if unsafe else "it is no file of torch's, or damaged") from None
    if zipfile.is_zipfile(path):
        try:
            check_digest(path)
        except ValueError as error:
            raise ValueError(f"{error}; give another, such as best") from None
    if not (isinstance(content, dict) and all(isinstance(name, str) for name in content)):
        raise ValueError("it has no tensors by name; save a network's state_dict()")
    return content


def _loadable(network: nn.Module) -> State:
    """The network's tensors, but for buffers of its own that it computes from the data's mean and std."""
    computed = dict(network.named_buffers(recurse=False)) if isinstance(network, NormalisesImages) else {}
    state: Mapping[str, Any] = network.state_dict()
    return {name: value for name, value in state.items() if name not in computed and isinstance(value, Tensor)}


def _sources(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> dict[str, str]:
    """The name in the file of each tensor of the network that is there, with the prefixes by which most fit."""

    def sources(prefix: str, other: str) -> dict[str, str]:
        names = ((name, other + name.removeprefix(prefix)) for name in own if name.startswith(prefix))
        return {name: source for name, source in names if source in state}

    def fitting(pairs: Mapping[str, str]) -> int:
        return sum(own[name].shape == state[source].shape for name, source in pairs.items())

    return max((sources(prefix, other) for prefix in _prefixes(own) for other in _prefixes(state)), key=fitting)


def _prefixes(names: Iterable[str]) -> list[str]:
    """The prefixes, up to a dot, that at least half of the names have; the shortest first."""
    names = list(names)
    counts = Counter(name[: dot.end()] for name in names for dot in re.finditer(r"\.", name))
    return ["", *sorted((prefix for prefix, count in counts.items() if 2 * count >= len(names)), key=len)]


def _first_matrix(tensors: Mapping[str, Tensor]) -> str:
    """The name and the shape of the first matrix or convolution; of the first tensor, if there is none."""
    name = min(tensors, key=lambda name: tensors[name].ndim < 2)
    return f"{name} {list(tensors[name].shape)}"
