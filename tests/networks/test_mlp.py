"""What layers, a nonlinearity and the chain rule do."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from project.figures.backpropagation import gradients_by_autograd, gradients_by_formulas
from project.networks import MLP

XOR = torch.tensor([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]]).view(4, 1, 1, 2)
LABELS = torch.tensor([0, 1, 1, 0])
ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "relu": lambda values: values.clamp(min=0),
    "tanh": lambda values: 1 - 2 / ((2 * values).exp() + 1),
    "sigmoid": lambda values: 1 / (1 + (-values).exp()),
    "gelu": lambda values: values * (1 + (values / 2**0.5).erf()) / 2,
    "none": lambda values: values,
}


def learned(network: nn.Module) -> float:
    """The share of XOR's four points that the network gets right after full-batch descent."""
    optimizer = torch.optim.Adam(network.parameters(), lr=0.05)
    for _ in range(300):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(XOR), LABELS).backward()
        optimizer.step()
    return (network(XOR).argmax(1) == LABELS).double().mean().item()


@pytest.mark.parametrize("seed", range(3))
def test_a_stack_of_linear_layers_is_linear(seed: int) -> None:
    torch.manual_seed(seed)
    stack = MLP(3, (1, 2, 2), hidden=[16, 8], activation="none").double()
    first, second = (torch.randn(7, 1, 2, 2, dtype=torch.float64) for _ in range(2))
    zero = stack(torch.zeros(1, 1, 2, 2, dtype=torch.float64))
    torch.testing.assert_close(stack(first + second) - zero, stack(first) - zero + stack(second) - zero)
    assert learned(MLP(2, (1, 1, 2), hidden=[16, 8], activation="none")) < 1


@pytest.mark.parametrize("seed", range(3))
def test_with_relu_it_solves_xor(seed: int) -> None:
    torch.manual_seed(seed)
    assert learned(MLP(2, (1, 1, 2), hidden=[16])) == 1


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activation(activation: str) -> None:
    torch.manual_seed(0)
    network, images = MLP(3, (1, 2, 2), hidden=[5], activation=activation), torch.randn(7, 1, 2, 2)
    first, last = (layer for layer in network if isinstance(layer, nn.Linear))
    expected = last(ACTIVATIONS[activation](first(images.flatten(1))))
    torch.testing.assert_close(network(images), expected)


def test_relu_on_the_logits_cuts_them() -> None:
    torch.manual_seed(0)
    images = torch.randn(50, 3, 4, 4)
    assert (MLP(5, (3, 4, 4))(images) < 0).any()
    assert (MLP(5, (3, 4, 4), relu_on_logits=True)(images) >= 0).all()


@pytest.mark.parametrize("hidden", [[], [7], [8, 6, 5]])
def test_backpropagation_gradients_by_formulas_is_autograds(hidden: list[int]) -> None:
    torch.manual_seed(0)
    network = MLP(4, (1, 3, 3), hidden=hidden).double()
    images, labels = torch.randn(10, 1, 3, 3, dtype=torch.float64), torch.randint(4, (10,))
    with torch.no_grad():
        ours = gradients_by_formulas(network, images, labels)
    theirs = gradients_by_autograd(network, images, labels)
    assert len(ours) == len(theirs) == 2 * len(hidden) + 2
    for hand, torchs in zip(ours, theirs, strict=True):
        torch.testing.assert_close(hand, torchs, rtol=1e-12, atol=1e-14)
