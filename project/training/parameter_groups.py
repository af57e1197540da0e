"""Parameter groups for fine-tuning: learning rates by layer, and which weights decay."""

import re
from collections import defaultdict
from dataclasses import dataclass

from torch import nn
from torch.optim import Optimizer

from project.networks.depth import distances
from project.system.errors import UserError

POSITION = re.compile(r"pos_embed|position")  # in torchvision's and timm's names of position embeddings


@dataclass(frozen=True)
class ParameterGroups:
    """How the parameters of a network are divided into groups of an optimizer."""

    rate: float
    """Learning rate of the backbone, as a fraction of that of the heads."""
    layer_decay: float
    """Learning rate of each layer of the backbone, as a fraction of that of the next."""
    vector_decay: bool
    """Whether weight decay applies to biases, normalisation, tokens and position embeddings, too."""

    def divide(self, optimizer: Optimizer, network: nn.Module) -> None:
        """Divide the only group of the optimizer. The first group has the full learning rate.

        Raises:
            UserError: the optimizer has groups of its own.
        """
        if len(optimizer.param_groups) > 1:
            name = type(optimizer).__name__
            raise UserError(
                f"--model.optimizer {name}: has groups of its own; Finetuning needs one without, such as AdamW"
            )
        (group,) = optimizer.param_groups
        distance = distances(network)
        vectors = {weights for name, weights in network.named_parameters() if _is_vector(name, weights)}
        parts: dict[tuple[float, bool], list[nn.Parameter]] = defaultdict(list)
        for weights in group["params"]:
            rate = self.rate * self.layer_decay ** distance[weights] if weights in distance else 1.0
            parts[rate, self.vector_decay or weights not in vectors].append(weights)
        optimizer.param_groups.clear()
        for (rate, decays), weights in sorted(parts.items(), key=lambda part: part[0], reverse=True):
            without_decay = {} if decays or "weight_decay" not in group else {"weight_decay": 0.0}
            optimizer.add_param_group({**group, **without_decay, "params": weights, "lr": rate * group["lr"]})


def _is_vector(name: str, weights: nn.Parameter) -> bool:
    """Whether it has one value for each channel, as bias, normalisation and class token do, or for each position."""
    return sum(size > 1 for size in weights.shape) <= 1 or POSITION.search(name) is not None
