"""A compiled step trains as one that is not, and its checkpoints are the same."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from project.checkpoints.files import read
from project.cli.main import main
from project.optim import MuonSGD
from project.runs.results import read_results
from project.training.classifier import Classifier
from project.training.compiled import compile_step
from tests.conftest import CONFIGS

FIRST, SECOND = (Path(f"lightning_logs/mlp/version_{number}/checkpoints") for number in (0, 1))


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> list[torch.fx.GraphModule]:
    """The graphs that are compiled, by a backend that runs them as they are: torch's own needs a C++ compiler."""
    seen: list[torch.fx.GraphModule] = []
    original = torch.compile

    def backend(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Callable[..., Any]:
        seen.append(graph)
        return graph.forward

    def compile(function: Any, mode: str = "", dynamic: bool | None = None) -> Any:
        return original(function, backend=backend, dynamic=dynamic)

    torch.compiler.reset()
    monkeypatch.setattr(torch, "compile", compile)
    return seen


def weights(path: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = read(path)["state_dict"]
    return state


def test_compiled(digits: Callable[..., list[str]], graphs: list[torch.fx.GraphModule]) -> None:
    words = [*digits(epochs=2), "--trainer.limit_train_batches", "5", "--model.lr_scheduler", "null"]
    main(["fit", *words])
    assert graphs == []
    main(["fit", *words, "--model.compile", "true", "--trainer.max_epochs", "1"])
    assert len(graphs) == 1
    main(["fit", *words, "--model.compile", "default", "--ckpt_path", "last"])
    torch.testing.assert_close(weights(SECOND / "last.ckpt"), weights(FIRST / "last.ckpt"), rtol=0, atol=0)
    main(["test", *words, "--ckpt_path", str(SECOND / "best.ckpt")])
    main(["test", *words, "--model.compile", "true", "--ckpt_path", str(FIRST / "best.ckpt")])


def test_all_sizes_are_compiled_before_the_first_step(
    cifar10_dir: Path,
    graphs: list[torch.fx.GraphModule],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Network and loss are one graph for each size; neither weights, buffers nor averages change by it."""
    at_steps: list[int] = []
    original = Classifier.training_step
    monkeypatch.setattr(Classifier, "training_step", lambda *args: (at_steps.append(len(graphs)), original(*args))[1])
    words = ["--config", str(CONFIGS / "speed.yaml"), "--data.data_dir", str(cifar10_dir), "--data.batch_size", "40"]
    words += ["--model.network.widths", "[8, 8, 8]", "--trainer.max_epochs", "2", "--trainer.accelerator", "cpu"]
    words += ["--trainer.callbacks+=AveragedWeights", "--trainer.precision", "32"]
    plain, compiled = (Path(f"lightning_logs/speed/version_{number}") for number in (0, 1))
    main(["fit", *words])
    assert "compiled" not in capsys.readouterr().out
    main(["fit", *words, "--model.compile", "true"])
    assert "compiled for images of 24x24 and 28x28 and 32x32 pixels in" in capsys.readouterr().out
    assert at_steps == [0] * 10 + [3] * 10
    states = (weights(run / "checkpoints/last.ckpt") for run in (plain, compiled))
    torch.testing.assert_close(*states, rtol=0, atol=0)
    first, second = (read_results(run) or {} for run in (plain, compiled))
    assert "compile_seconds" not in first
    assert second["compile_seconds"] < second["fit_seconds"]
    assert first["test/accuracy_mirror_shift"] == second["test/accuracy_mirror_shift"]


def test_mode_that_torch_has_not(digits: Callable[..., list[str]], error: Callable[..., str]) -> None:
    line = error("fit", *digits(), "--model.compile", "fast")
    assert "--model.compile fast" in line
    assert "reduce-overhead" in line


def test_outputs_of_a_cuda_graph_are_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    output = torch.zeros(())
    monkeypatch.setattr(torch, "compile", lambda function, mode, dynamic: function)
    for mode, expected in (("default", 2.0), ("max-autotune-no-cudagraphs", 2.0), ("reduce-overhead", 1.0)):
        step = compile_step(lambda model, images, labels: (output.copy_(images),), mode)  # type: ignore[arg-type]
        first, _ = (step(None, torch.tensor(value), output)[0] for value in (1.0, 2.0))
        assert first.item() == expected


def test_muon_compiled(graphs: list[torch.fx.GraphModule]) -> None:
    torch.manual_seed(0)
    shapes = ((4, 6), (3, 4, 2, 2), (4, 2, 3), (2, 4))
    values, gradients = ([torch.randn(shape) for shape in shapes] for _ in range(2))
    moved = []
    for compiled in (False, True):
        parameters = [torch.nn.Parameter(value.clone()) for value in values]
        optimizer = MuonSGD(parameters)
        if compiled:
            optimizer.compile()
            count = len(graphs)
            assert count > 0
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        optimizer.step()
        moved.append([parameter.detach() for parameter in parameters])
    assert len(graphs) == count
    torch.testing.assert_close(*moved, rtol=0, atol=0)
