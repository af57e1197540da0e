"""Tensors in YAML and on the command line."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from project.cli.main import main
from tests.cli.test_options import FEW, RUN, losses

WEIGHTS = [1, 0.1, 1, 1, 1, 1, 1, 1, 1, 2]
COSTS = """
import torch

class Costs(torch.nn.Module):
    def __init__(self, table: torch.Tensor, scale: torch.Tensor | None = None):
        super().__init__()
        self.register_buffer("table", table)
        self.scale = scale

    def forward(self, logits, labels):
        assert self.scale is None
        return (self.table[labels] * logits.softmax(1)).sum(1).mean()
"""


def saved_loss(run: Path) -> dict[str, torch.Tensor]:
    state = torch.load(run / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
    return {name: value for name, value in state.items() if name.startswith("loss.")}


@pytest.mark.parametrize("option", ["--model.loss.weight", "--model.loss.init_args.weight"])
def test_class_weights(digits: Callable[..., list[str]], option: str) -> None:
    main(["fit", *digits(epochs=2), *FEW, option, str(WEIGHTS)])
    assert torch.equal(saved_loss(RUN)["loss.weight"], torch.tensor(WEIGHTS))
    assert yaml.safe_load((RUN / "config.yaml").read_text())["model"]["loss"]["init_args"]["weight"] == WEIGHTS
    main(["fit", "--config", str(RUN / "config.yaml")])
    main(["fit", *digits(), *FEW])
    again, plain = (losses(RUN.with_name(name)) for name in ("version_1", "version_2"))
    assert losses(RUN) == again
    assert losses(RUN) != plain
    resumed = ["--config", str(RUN / "config.yaml"), "--trainer.max_steps", "5", "--ckpt_path", "last"]
    main(["fit", *resumed])
    assert losses(RUN)[:3] == again
    assert len(losses(RUN)) == 5
    main(["test", "--config", str(RUN / "config.yaml"), "--ckpt_path", "last"])


def test_a_table_of_costs_in_a_file(digits: Callable[..., list[str]]) -> None:
    Path("costs.py").write_text(COSTS)
    table = (1 - torch.eye(10)).tolist()
    loss = {"class_path": "costs.Costs", "init_args": {"table": table}}
    Path("costs.yaml").write_text(yaml.safe_dump({"model": {"loss": loss}}))
    main(["fit", *digits(), *FEW, "--config", "costs.yaml"])
    assert torch.equal(saved_loss(RUN)["loss.table"], torch.tensor(table))


@pytest.mark.parametrize("value", ["many", "3", "[a]", "[1, [2]]", "{a: 1}", "[1, .nan]", "[[]"])
def test_not_a_tensor(digits: Callable[..., list[str]], error: Callable[..., str], value: str) -> None:
    line = error("fit", *digits(), "--model.loss.weight", value)
    assert line == f"--model.loss.weight {value}: expected a list of finite numbers, as in '[1, 0.5]'"


def test_weights_of_too_few_classes(digits: Callable[..., list[str]], error: Callable[..., str]) -> None:
    line = error("fit", *digits(), "--model.loss.weight", "[1, 2]")
    assert "--model.loss torch.nn.CrossEntropyLoss: weight tensor should be defined either for all 10 classes" in line
