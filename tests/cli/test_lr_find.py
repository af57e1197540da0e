"""main.py lr_find: the option to paste, and the curve."""

import csv
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from project.cli.main import main
from project.search.rates import smoothed, steepest
from project.system.errors import UserError
from tests.conftest import CONFIGS
from tests.data_sets import write_image_folder


def test_the_steepest_fall_of_a_known_curve() -> None:
    losses = [2.0] * 20 + [1.8, 1.4, 1.0, 0.8, 0.7] + [0.65] * 10
    curve = [(10 ** (place / 10), loss) for place, loss in enumerate(losses)]
    assert smoothed(curve)[:20] == pytest.approx([2.0] * 20)
    assert 20 <= [factor for factor, _ in curve].index(steepest(curve)) <= 26
    with pytest.raises(UserError, match="the loss never falls"):
        steepest([(factor, 2.0 + factor) for factor, _ in curve])


@pytest.mark.parametrize("optimizer", ["AdamW", "MuonSGD"])
def test_rates_to_paste(optimizer: str, digits: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    words = ["lr_find", *digits(), "--steps", "60"]
    given = {"model.optimizer.lr": 0.002}
    if optimizer == "MuonSGD":
        given = {"model.optimizer.lr": 0.2, "model.optimizer.vector_lr": 0.1, "model.optimizer.head_lr": 0.04}
        words += ["--model.optimizer", "MuonSGD", *(f"--{name}={value}" for name, value in given.items())]
    result = main(words)
    factors = [value / given[name] for name, value in result.figures.items()]
    assert result.figures.keys() == given.keys()
    assert factors == pytest.approx([factors[0]] * len(given), rel=0.1)  # rounded to two digits
    assert 0.001 < factors[0] < 20
    assert f"--model.optimizer.lr {result.figures['model.optimizer.lr']:g}" in capsys.readouterr().out
    with Path("lr_find_mlp/curve.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert float(rows[0]["model.optimizer.lr"]) == pytest.approx(0.001 * given["model.optimizer.lr"])
    assert float(rows[0]["loss"]) == pytest.approx(2.3, abs=0.3)
    assert sorted(path.name for path in Path().rglob("*")) == ["curve.csv", "curve.png", "lr_find_mlp"]


def test_a_compiled_network_on_a_folder_of_images(monkeypatch: pytest.MonkeyPatch) -> None:
    write_image_folder(Path("images"), count=30)
    words = ["--config", str(CONFIGS / "mlp.yaml"), "--config", str(CONFIGS / "data/image_folder.yaml")]
    words += ["--data.data_dir", "images", "--data.image_size", "8", "--data.batch_size", "4", "--data.workers", "0"]
    words += ["--trainer.accelerator", "cpu", "--steps", "20"]
    plain = main(["lr_find", *words, "--output", "plain"])
    graphs: list[Any] = []

    def backend(graph: Any, inputs: Any) -> Any:  # torch's own needs a C++ compiler
        graphs.append(graph)
        return graph.forward

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    compiled = main(["lr_find", *words, "--output", "compiled", "--model.compile", "true"])
    assert len(graphs) == 1
    assert compiled.figures == plain.figures
    assert Path("compiled/curve.csv").read_text() == Path("plain/curve.csv").read_text()


def test_mistakes(error: Callable[..., str]) -> None:
    assert error("lr_find", "--lowest", "0") == "--lowest 0.0: give a number above 0 and below --highest 100.0"
    assert error("lr_find", "--lowest", "nan") == "--lowest nan: give a number"
    assert error("lr_find", "--highest", ".inf") == "--highest inf: give a finite number"
    assert error("lr_find", "--steps", "5") == "--steps 5: give a number from 20 to 100000"
    Path("there").mkdir()
    assert error("lr_find", "--output", "there").startswith("--output there: it exists; name another")
    assert error("lr_find", "--name", "").startswith("--name '': give the name of one directory")
    Path("lr_find_mine").mkdir()
    assert error("lr_find", "--name", "mine").startswith("--output lr_find_mine: it exists; name another")
