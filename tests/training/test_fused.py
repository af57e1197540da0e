"""Fused updates of torch's optimizers: where the hardware gains by them, and nobody has chosen."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from project.checkpoints.files import read
from project.cli.main import main
from project.system.hardware import fuses_updates
from project.training.fused import use_fused_updates

CHECKPOINT = Path("lightning_logs/mlp/version_0/checkpoints/last.ckpt")


def fused(optimizer: torch.optim.Optimizer) -> list[bool | None]:
    use_fused_updates(optimizer)
    return [group.get("fused") for group in optimizer.param_groups]


def test_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = [torch.nn.Parameter(torch.zeros(2))]
    assert fused(torch.optim.Adam(weights)) == [None]
    assert [device for device in ("cpu", "mps", "cuda") if fuses_updates(device)] == ["cuda"]
    monkeypatch.setattr("project.training.fused.fuses_updates", lambda device: device == "cpu")
    for kind in (torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD):
        assert fused(kind(weights)) == [True]
        assert fused(kind(weights, fused=False)) == [False]
        assert fused(kind(weights, foreach=True)) == [None]
    assert fused(torch.optim.Adagrad(weights)) == [None]  # torch has it for a CPU only
    assert fused(torch.optim.Rprop(weights)) == [None]


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
