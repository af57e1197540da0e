"""Fused updates of torch's optimizers: where the hardware gains by them, and nobody has chosen."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from project.checkpoints.files import read
from project.cli.main import main
from project.system.hardware import fuses_updates
from project.training.fused import match_memory_order, skip_graph_check, use_fused_updates

CHECKPOINT = Path("lightning_logs/mlp/version_0/checkpoints/last.ckpt")


def fused(optimizer: torch.optim.Optimizer) -> list[bool | None]:
    use_fused_updates(optimizer)
    return [group.get("fused") for group in optimizer.param_groups]


def test_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = [torch.nn.Parameter(torch.zeros(2))]
    assert [device for device in ("cpu", "mps", "cuda") if fuses_updates(device)] == ["cpu", "cuda"]
    for kind in (torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD):
        assert fused(kind(weights)) == [True]
        assert fused(kind(weights, fused=False)) == [False]
        assert fused(kind(weights, foreach=True)) == [None]
    assert fused(torch.optim.Adagrad(weights)) == [None]  # torch has it for a CPU only
    assert fused(torch.optim.Rprop(weights)) == [None]
    monkeypatch.setattr("project.training.fused.fuses_updates", lambda device: device != "cpu")
    assert fused(torch.optim.Adam(weights)) == [None]


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD])
def test_updates_are_the_same(kind: type[torch.optim.Optimizer]) -> None:
    """Also with gradients in another memory order than the weights, for which torch's fused updates are wrong."""
    torch.manual_seed(0)
    first, gradient = torch.randn(2, 8, 6, 3, 3)
    ends = []
    for is_fused in (True, False):
        weights = torch.nn.Parameter(first.to(memory_format=torch.channels_last))
        optimizer = kind([weights], lr=0.01, weight_decay=0.1, fused=is_fused)  # type: ignore[call-arg]
        for factor in (1, -2, 3):
            weights.grad = factor * gradient
            match_memory_order(optimizer)
            optimizer.step()
        ends.append(weights.detach())
    torch.testing.assert_close(*ends)


def test_no_step_looks_for_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = torch.nn.Parameter(torch.ones(2))
    weights.grad = torch.ones(2)
    optimizer = torch.optim.AdamW([weights])
    skip_graph_check(optimizer)
    monkeypatch.delattr("torch.accelerator.current_accelerator")
    optimizer.step()
    assert weights.tolist() == pytest.approx([0.99899, 0.99899])


@pytest.mark.parametrize("first", [True, False])
def test_a_run_goes_on_where_the_hardware_is_other(
    digits: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch, first: bool
) -> None:
    for epochs, is_fused in ((1, first), (2, not first)):
        monkeypatch.setattr("project.training.fused.fuses_updates", lambda device, value=is_fused: value)
        words = ["--trainer.limit_train_batches", "4", *(["--ckpt_path", "last"] if epochs == 2 else [])]
        main(["fit", *digits(epochs=epochs), *words])
        (state,) = read(CHECKPOINT)["optimizer_states"]
        assert [group["fused"] for group in state["param_groups"]] == [True if is_fused else None]
        assert state["state"][0]["step"].item() == 4 * epochs
    assert read(CHECKPOINT)["settings"]["model"]["optimizer"]["init_args"]["fused"] is None
