"""Muon against the singular value decomposition, and the kinds of parameters each in its own way."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from project.networks import WhitenedConvNet
from project.optim import MuonSGD
from project.optim.muon import COEFFICIENTS, orthogonalize


def matrix(rows: int, columns: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """U, V and singular values from 0.3 to 1 of a known matrix."""
    torch.manual_seed(0)
    rank = min(rows, columns)
    left, right = (torch.linalg.qr(torch.randn(size, rank))[0] for size in (rows, columns))
    return left, right, torch.linspace(0.3, 1, rank)


@pytest.mark.parametrize("shape", [(6, 40), (40, 6), (16, 16)])
@pytest.mark.parametrize("iterations", [1, 3, 5])
def test_singular_values_follow_the_polynomial(shape: tuple[int, int], iterations: int) -> None:
    left, right, values = matrix(*shape)
    moved = orthogonalize((left * values @ right.T)[None], iterations)[0]
    expected = values / values.norm()
    for _ in range(iterations):
        first, third, fifth = COEFFICIENTS
        expected = first * expected + third * expected**3 + fifth * expected**5
    torch.testing.assert_close(left.T @ moved @ right, expected.diag(), atol=0.06, rtol=0)  # bfloat16 has 8 bits
    if iterations == 5:
        assert torch.linalg.svdvals(moved).sub(1).abs().max() < 0.35


def test_a_batch_is_its_matrices() -> None:
    batch = torch.randn(3, 8, 20)
    torch.testing.assert_close(orthogonalize(batch, 3), torch.cat([orthogonalize(one[None], 3) for one in batch]))


def test_parameters_are_sorted_by_kind() -> None:
    network = WhitenedConvNet(10, widths=(16, 16, 32))
    hidden, vectors, head = MuonSGD(network.parameters(), lr=0.2, vector_lr=0.3, head_lr=0.4).param_groups
    assert [weights.ndim for weights in hidden["params"]] == [4] * 6
    assert [weights.ndim for weights in vectors["params"]] == [1] * 6
    assert head["params"] == [network.head.weight]
    assert [group["lr"] for group in (hidden, vectors, head)] == [0.2, 0.3, 0.4]


def test_a_hidden_step() -> None:
    """The norm is sqrt(rows) before the step; equal shapes share one batch and keep their own steps."""
    network = nn.Sequential(nn.Linear(9, 6), nn.Linear(9, 6), nn.Linear(6, 2))
    before = [layer.weight.detach().clone() for layer in network]
    optimizer = MuonSGD(network.parameters(), lr=0.1, momentum=0.0, iterations=5)
    for sign, layer in zip((1, -1), network, strict=False):
        left, right, values = matrix(*layer.weight.shape)
        layer.weight.grad = sign * (left * values @ right.T)
    optimizer.step()
    for sign, layer, old in zip((1, -1), network, before, strict=False):
        step = (old * 6**0.5 / old.norm() - layer.weight) / 0.1
        along = left.T @ step @ right * sign
        torch.testing.assert_close(along, torch.eye(6), atol=0.35, rtol=0)


def test_vectors_and_head_are_torchs_sgd() -> None:
    torch.manual_seed(0)
    ours, theirs = nn.Linear(5, 3), nn.Linear(5, 3)
    theirs.load_state_dict(ours.state_dict())
    optimizers = [
        MuonSGD(ours.parameters(), vector_lr=0.1, head_lr=0.2, sgd_momentum=0.9, weight_decay=0.01),
        torch.optim.SGD(
            [
                {"params": [theirs.weight], "lr": 0.2, "weight_decay": 0.05},
                {"params": [theirs.bias], "lr": 0.1, "weight_decay": 0.1},
            ],
            momentum=0.9,
            nesterov=True,
        ),
    ]
    for _ in range(4):
        inputs = torch.randn(16, 5)
        for network, optimizer in zip((ours, theirs), optimizers, strict=True):
            optimizer.zero_grad()
            network(inputs).square().mean().backward()
            optimizer.step()
    torch.testing.assert_close(ours.weight, theirs.weight)
    torch.testing.assert_close(ours.bias, theirs.bias)


def test_state_is_saved_whole() -> None:
    torch.manual_seed(0)
    networks = [nn.Sequential(nn.Linear(6, 9), nn.Linear(9, 2)) for _ in range(2)]
    networks[1].load_state_dict(networks[0].state_dict())
    first, second = (MuonSGD(network.parameters()) for network in networks)
    inputs = torch.randn(3, 16, 6)

    def step(network: nn.Module, optimizer: MuonSGD, batch: torch.Tensor) -> None:
        optimizer.zero_grad()
        network(batch).square().mean().backward()
        optimizer.step()

    step(networks[0], first, inputs[0])
    networks[1].load_state_dict(networks[0].state_dict())
    second.load_state_dict(deepcopy(first.state_dict()))
    for batch in inputs[1:]:
        step(networks[0], first, batch)
        step(networks[1], second, batch)
    for ours, theirs in zip(networks[0].parameters(), networks[1].parameters(), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": 0}, "lr 0 must be above 0"),
        ({"head_lr": -1}, "head_lr -1 must be above 0"),
        ({"iterations": 0}, "iterations 0 must be above 0"),
        ({"momentum": 1}, "momentum 1 must be at least 0 and below 1"),
        ({"weight_decay": -0.1}, "weight_decay -0.1 must be at least 0"),
    ],
)
def test_options_out_of_range(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MuonSGD(nn.Linear(2, 2).parameters(), **options)
