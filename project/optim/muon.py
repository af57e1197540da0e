"""Muon for matrices and convolutions, stochastic gradient descent for the rest, as one optimizer."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.sgd import sgd

from project.system.hardware import computes_bfloat16

# Of the quintic iteration whose slope at 0 is steepest (Jordan, "Muon", 2024): three iterations bring singular
# values from 0.01 to 1 between 0.40 and 1.20, five between 0.68 and 1.13.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)


class MuonSGD(Optimizer):
    """Sorts a network's parameters by kind and steps each kind in its own way.

    Hidden matrices and convolutions, all parameters of two or more dimensions but the last of them: Muon (Jordan,
    2024), a step of Nesterov momentum whose singular values are brought near 1. Each is first rescaled to the norm
    sqrt(rows), which suits weights that a normalisation follows; zeros stay zeros until their step. The last matrix is
    the head. It and all vectors (biases, normalisation) take SGD with Nesterov momentum and other learning rates.
    Groups: hidden, vectors, head.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 0.24,
        momentum: float = 0.6,
        iterations: int = 3,
        vector_lr: float = 0.1,
        head_lr: float = 0.1,
        sgd_momentum: float = 0.85,
        weight_decay: float = 0.0,
    ) -> None:
        """Sort the parameters. Those without requires_grad do not change.

        Args:
            params: Parameters of the network, those of the head last.
            lr: Learning rate of hidden matrices and convolutions: the length of a step in each singular direction;
                above 0.
            momentum: Momentum of hidden matrices and convolutions; at least 0, below 1.
            iterations: Number of Newton-Schulz iterations in each step; at least 1.
            vector_lr: Learning rate of biases and normalisation; above 0.
            head_lr: Learning rate of the last matrix; above 0.
            sgd_momentum: Momentum of vectors and head; at least 0, below 1.
            weight_decay: Share that vectors and head lose in a step at their full learning rate; at least 0, below 1.
                Momentum makes it about 1 / (1 - sgd_momentum) times that.
        """
        _check({"lr": lr, "vector_lr": vector_lr, "head_lr": head_lr, "iterations": iterations}, above=0)
        _check({"momentum": momentum, "sgd_momentum": sgd_momentum, "weight_decay": weight_decay}, below=1)
        learned = [parameter for parameter in params if parameter.requires_grad]
        vectors = [parameter for parameter in learned if parameter.ndim < 2]
        matrices = [parameter for parameter in learned if parameter.ndim >= 2]
        plain = {"momentum": sgd_momentum, "iterations": 0}
        groups: list[dict[str, Any]] = [
            {"params": matrices[:-1]},
            {"params": vectors, "lr": vector_lr, "weight_decay": weight_decay / vector_lr, **plain},
            {"params": matrices[-1:], "lr": head_lr, "weight_decay": weight_decay / head_lr, **plain},
        ]
        defaults = {"lr": lr, "momentum": momentum, "iterations": iterations, "weight_decay": 0.0}
        super().__init__([group for group in groups if group["params"]], defaults)
        self._move = _rescale_and_orthogonalize

    @torch.no_grad()
    def compile(self) -> None:
        """Compile the iterations of hidden matrices and convolutions.

        It pays on a GPU, which otherwise waits for the many small operations between the matrix products.
        """
        self._move = torch.compile(_rescale_and_orthogonalize, dynamic=False)
        for group in self.param_groups:
            if group["iterations"]:
                weights, momenta = ([weights.detach().clone() for weights in group["params"]] for _ in range(2))
                self._move(weights, momenta, group["iterations"], _precision(momenta[0]))

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            (self._muon if group["iterations"] else self._sgd)(parameters, group)
        return loss

    def _sgd(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        buffers = [self.state[parameter].get("momentum_buffer") for parameter in parameters]
        settings = {name: group[name] for name in ("lr", "momentum", "weight_decay")}
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        sgd(parameters, gradients, buffers, **settings, dampening=0, nesterov=group["momentum"] > 0, maximize=False)
        for parameter, buffer in zip(parameters, buffers, strict=True):
            self.state[parameter]["momentum_buffer"] = buffer

    def _muon(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        buffers = [self._buffer(parameter) for parameter in parameters]
        torch._foreach_mul_(buffers, group["momentum"])
        torch._foreach_add_(buffers, gradients)
        momenta = list(torch._foreach_add(gradients, buffers, alpha=group["momentum"]))  # Nesterov's
        weights = [parameter.detach() for parameter in parameters]
        moves = self._move(weights, momenta, group["iterations"], _precision(momenta[0]))
        torch._foreach_mul_(moves, group["lr"])
        torch._foreach_sub_(weights, moves)

    def _buffer(self, parameter: Tensor) -> Tensor:
        state = self.state[parameter]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        buffer: Tensor = state["momentum_buffer"]
        return buffer


def orthogonalize(matrices: Tensor, iterations: int) -> Tensor:
    """Bring the singular values of `matrices` [B, R, C] near 1 and keep their vectors, all matrices at once.

    Newton and Schulz's iteration as an odd polynomial, in bfloat16 where the hardware computes it natively, which is
    precise enough (Jordan, 2024), and else in float32: emulated, bfloat16 takes 28 times as long on a CPU with AVX2.
    Matrices in float64 stay so.
    """
    return _iterate(matrices, iterations, _precision(matrices))


def _rescale_and_orthogonalize(
    weights: list[Tensor], momenta: list[Tensor], iterations: int, precision: torch.dtype
) -> list[Tensor]:
    """Rescale weights to the norm sqrt(rows), and return their moves: those of equal shape are computed together."""
    moves = list(momenta)
    for places in _alike(weights).values():
        matrices = torch.stack([momenta[place].flatten(1) for place in places])
        for place, move in zip(places, _iterate(matrices, iterations, precision), strict=True):
            norm = weights[place].norm()
            weights[place].mul_(len(weights[place]) ** 0.5 / torch.where(norm > 0, norm, 1.0))
            moves[place] = move.view(weights[place].shape)
    return moves


def _iterate(matrices: Tensor, iterations: int, precision: torch.dtype) -> Tensor:
    wide = matrices if matrices.shape[1] <= matrices.shape[2] else matrices.mT
    current = wide.to(precision)
    current = current / current.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    first, third, fifth = COEFFICIENTS
    for _ in range(iterations):
        gram = current @ current.mT
        factor = torch.baddbmm(gram, gram, gram, beta=third, alpha=fifth)
        current = torch.baddbmm(current, factor, current, beta=first)
    return (current if wide is matrices else current.mT).to(matrices.dtype)


def _alike(weights: list[Tensor]) -> dict[tuple[int, int], list[int]]:
    """The places of the weights that have the same shape as matrices."""
    alike = defaultdict(list)
    for place, matrix in enumerate(weights):
        alike[len(matrix), matrix[0].numel()].append(place)
    return alike


def _precision(matrices: Tensor) -> torch.dtype:
    if matrices.dtype == torch.float64:
        return torch.float64
    return torch.bfloat16 if computes_bfloat16(matrices.device.type) else torch.float32


def _check(values: dict[str, float], above: float | None = None, below: float | None = None) -> None:
    for name, value in values.items():
        if above is not None and not value > above:
            raise ValueError(f"MuonSGD's {name} {value} must be above {above}")
        if below is not None and not 0 <= value < below:
            raise ValueError(f"MuonSGD's {name} {value} must be at least 0 and below {below}")
