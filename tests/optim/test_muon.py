"""Muon against numbers worked out by hand and torch's own, and the kinds of parameters each in its own way."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from project.networks import WhitenedConvNet
from project.optim import MuonSGD, muon
from project.optim.muon import orthogonalize


def matrix(rows: int, columns: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """U, V and singular values from 0.3 to 1 of a known matrix."""
    torch.manual_seed(0)
    rank = min(rows, columns)
    left, right = (torch.linalg.qr(torch.randn(size, rank))[0] for size in (rows, columns))
    return left, right, torch.linspace(0.3, 1, rank)


@pytest.fixture(params=[True, False], ids=["bfloat16", "float32"])
def native(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the hardware is said to compute bfloat16 natively."""
    monkeypatch.setattr(muon, "computes_bfloat16", lambda device: request.param and device == "cpu")
    return bool(request.param)


@pytest.fixture
def precisions(monkeypatch: pytest.MonkeyPatch) -> set[torch.dtype]:
    """What orthogonalize multiplies in."""
    seen: set[torch.dtype] = set()
    original = torch.baddbmm

    def baddbmm(current: torch.Tensor, *others: torch.Tensor, **factors: float) -> torch.Tensor:
        seen.add(current.dtype)
        return original(current, *others, **factors)

    monkeypatch.setattr(torch, "baddbmm", baddbmm)
    return seen


def test_two_singular_values_by_hand() -> None:
    # 3 and 4 are 0.6 and 0.8 of their norm; 3.4445 x - 4.7750 x^3 + 2.0315 x^5 makes these of them, and these of these.
    once, twice = [1.19326944, 0.97648192], [0.91191771, 0.72111759]
    matrices = torch.tensor([3.0, 4.0], dtype=torch.float64).diag()[None]
    torch.testing.assert_close(orthogonalize(matrices, 1)[0].diag().tolist(), once, atol=1e-12, rtol=0)
    torch.testing.assert_close(orthogonalize(matrices, 2)[0].diag().tolist(), twice, atol=1e-8, rtol=0)


@pytest.mark.parametrize("shape", [(6, 40), (40, 6), (16, 16)])
@pytest.mark.parametrize("iterations", [1, 3, 5])
def test_singular_values_follow_the_polynomial(shape: tuple[int, int], iterations: int, native: bool) -> None:
    left, right, values = matrix(*shape)
    moved = orthogonalize((left * values @ right.T)[None], iterations)[0]
    expected = values / values.norm()
    for _ in range(iterations):
        expected = 3.4445 * expected - 4.7750 * expected**3 + 2.0315 * expected**5
    precise = 0.06 if native else 1e-4  # bfloat16 has 8 bits
    torch.testing.assert_close(left.T @ moved @ right, expected.diag(), atol=precise, rtol=0)
    if iterations == 5:
        assert torch.linalg.svdvals(moved).sub(1).abs().max() < 0.35


@pytest.mark.parametrize(
    ("weights", "fast", "slow"),
    [
        (torch.float32, torch.bfloat16, torch.float32),
        (torch.bfloat16, torch.bfloat16, torch.float32),
        (torch.float64, torch.float64, torch.float64),
    ],
)
def test_precision_is_what_the_hardware_computes(
    native: bool, precisions: set[torch.dtype], weights: torch.dtype, fast: torch.dtype, slow: torch.dtype
) -> None:
    moved = orthogonalize(torch.randn(2, 8, 20).to(weights), 3)
    assert moved.dtype == weights
    assert precisions == {fast if native else slow}


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


def test_two_steps_by_hand() -> None:
    """Nesterov's momentum: g2 + 0.5 (0.5 g1 + g2), which is diag(3, 4)."""
    hidden, head = (nn.Parameter(torch.eye(2, dtype=torch.float64)) for _ in range(2))
    optimizer = MuonSGD([hidden, head], lr=0.1, momentum=0.5, iterations=1)
    hidden.grad = torch.tensor([12.0, 0.0], dtype=torch.float64).diag()
    optimizer.step()
    # The singular value 1 becomes 3.4445 - 4.7750 + 2.0315 = 0.701; the identity has the norm sqrt(2) already.
    torch.testing.assert_close(hidden.diag().tolist(), [1 - 0.0701, 1.0], atol=1e-12, rtol=0)
    hidden.grad = torch.tensor([0.0, 8 / 3], dtype=torch.float64).diag()
    optimizer.step()
    scale = (2 / (0.9299**2 + 1)) ** 0.5
    expected = [0.9299 * scale - 0.119326944, scale - 0.097648192]
    torch.testing.assert_close(hidden.diag().tolist(), expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize("shape", [(6, 20), (20, 6)])
def test_hidden_steps_are_torchs_muon(monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int]) -> None:
    """torch's computes in bfloat16, does not rescale the weights and moves tall ones by sqrt(rows / columns) more.

    Its momentum is an average, half our sum at a momentum of 0.5, which no bit of a direction shows.
    """
    monkeypatch.setattr(muon, "computes_bfloat16", lambda device: True)
    torch.manual_seed(0)
    ours = nn.Parameter(torch.randn(shape))
    theirs = deepcopy(ours)
    rows, columns = shape
    scale = max(1, rows / columns) ** 0.5
    optimizers = [
        MuonSGD([ours, nn.Parameter(torch.zeros(1, 1))], lr=0.1, momentum=0.5, iterations=5),
        torch.optim.Muon([theirs], lr=0.1 / scale, momentum=0.5, weight_decay=0),
    ]
    for _ in range(4):
        ours.grad = theirs.grad = torch.randn(shape)
        with torch.no_grad():
            theirs.mul_(rows**0.5 / theirs.norm())
        for optimizer in optimizers:
            optimizer.step()
        torch.testing.assert_close(ours, theirs, atol=2e-3, rtol=0)


def test_a_matrix_of_zeros_learns() -> None:
    network = nn.Sequential(nn.Linear(9, 16, bias=False), nn.Linear(16, 2, bias=False))
    nn.init.zeros_(network[0].weight)
    optimizer = MuonSGD(network.parameters(), lr=0.1, momentum=0.6)
    norms = []
    for _ in range(2):
        optimizer.zero_grad()
        (network(torch.eye(9)) - 1).square().mean().backward()
        before = network[0].weight.detach().clone()
        optimizer.step()
        norms.append(before.norm().item())
        assert network[0].weight.isfinite().all()
    assert norms[0] == 0 < norms[1]


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
