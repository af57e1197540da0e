"""Tensors in YAML and on the command line."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from project.cli.experiment import ExperimentCLI
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


OBJECTS = """
import torch
from lightning.pytorch import Callback

class Size:
    def __init__(self, side: int):
        self.side = side

class Sizes(Callback):
    def __init__(self, size: Size = Size(3), other=Size(4), dtype: torch.dtype = torch.float32, side: int = 5):
        print("sizes", size.side, other.side, dtype, side)
"""


def test_defaults_that_yaml_cannot_contain(
    digits: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Lightning's Timer has an enum; the class here has objects of its own."""
    Path("objects.py").write_text(OBJECTS)
    callbacks = ["--trainer.callbacks", "Timer", "--trainer.callbacks+=objects.Sizes", "--trainer.callbacks.side=6"]
    main(["fit", *digits(), *FEW, *callbacks])
    assert "sizes 3 4 torch.float32 6" in capsys.readouterr().out
    written = yaml.safe_load((RUN / "config.yaml").read_text())["trainer"]["callbacks"]
    assert [callback["init_args"] for callback in written] == [{"duration": None, "verbose": True}, {"side": 6}]
    main(["fit", "--config", str(RUN / "config.yaml")])
    assert "sizes 3 4 torch.float32 6" in capsys.readouterr().out
    assert losses(RUN) == losses(RUN.with_name("version_1"))
    with pytest.raises(SystemExit):
        main(["fit", *digits(), *callbacks, "--print_config"])
    assert "class_path: objects.Sizes" in capsys.readouterr().out


def test_predictions_of_no_batch(digits: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    main(["fit", *digits(), *FEW])
    capsys.readouterr()
    main(["predict", *digits(), "--ckpt_path", "last", "--trainer.limit_predict_batches", "0"])
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err
    assert not list(RUN.rglob("*.predictions.csv"))


def test_commands_of_one_process_share_a_parser_and_no_option(
    digits: Callable[..., list[str]], error: Callable[..., str]
) -> None:
    found, parsers = [], []

    class Parsed(ExperimentCLI):
        def before_instantiate_classes(self) -> None:
            found.append(self.config)
            parsers.append(self.command_parser)
            raise SystemExit

    others = ["--model.optimizer=SGD", "--model.optimizer.momentum=0.5", "--trainer.callbacks+=Timer", "--threads=3"]
    for options in ([], [*others, "--data.curriculum={16: 0.5}", "--trainer.max_epochs=7"], []):
        with pytest.raises(SystemExit):
            Parsed(["fit", *digits(), *options], cleanup=None)  # type: ignore[arg-type]
    assert parsers == [parsers[0]] * 3
    assert found[0] == found[2] != found[1]
    for printed in ("--print_config", "--print_config=skip_default", "--seed_everything=1"):
        assert "--lr: no such option" in error("fit", *digits(), printed, "--lr", "0.1")
