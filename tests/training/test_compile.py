"""A compiled step trains as one that is not, and its checkpoints are the same."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from project.callbacks import compilation, stopwatch
from project.callbacks.compilation import compile_optimizers
from project.checkpoints.files import read
from project.cli.main import main
from project.optim import MuonSGD
from project.runs.results import read_results
from project.training import compiled as compiled_steps
from project.training import recorded
from project.training.classifier import Classifier
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


@pytest.fixture
def at_steps(monkeypatch: pytest.MonkeyPatch, graphs: list[torch.fx.GraphModule]) -> list[int]:
    """The number of graphs before each step."""
    counts: list[int] = []
    original = Classifier.training_step
    monkeypatch.setattr(Classifier, "training_step", lambda *args: (counts.append(len(graphs)), original(*args))[1])
    return counts


def test_compiled(digits: Callable[..., list[str]], at_steps: list[int], stop_at: Callable[..., None]) -> None:
    """Finetuning has a graph for the frozen backbone, and one for the time after it, before the first step."""
    words = [*digits(epochs=2), "--trainer.limit_train_batches", "5", "--model.lr_scheduler", "null"]
    words += ["--trainer.callbacks+=Finetuning", "--checkpoints.every_n_steps", "3"]
    main(["fit", *words])
    assert at_steps == [0] * 10
    stop_at(7, [*words, "--model.compile", "true"])
    assert at_steps[10:] == [2] * 7
    main(["fit", *words, "--model.compile", "default", "--ckpt_path", "last"])
    torch.testing.assert_close(weights(SECOND / "last.ckpt"), weights(FIRST / "last.ckpt"), rtol=0, atol=0)
    main(["predict", *words, "--ckpt_path", str(SECOND / "best.ckpt")])
    main(["test", *words, "--model.compile", "true", "--ckpt_path", str(FIRST / "best.ckpt")])


def test_all_sizes_are_compiled_before_the_first_step(
    cifar10_dir: Path,
    at_steps: list[int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Network and loss are one graph for each size; neither weights, buffers nor averages change by it.

    With one thread and AVX512 they have the same bits. Else a compiled network's gradients are summed in another order:
    with AVX2 alone, the weights differed by 2.4e-6 with one thread and by 2.6e-5 with two.
    """
    words = ["--config", str(CONFIGS / "speed.yaml"), "--data.data_dir", str(cifar10_dir), "--data.batch_size", "40"]
    words += ["--model.network.widths", "[8, 8, 8]", "--trainer.max_epochs", "2", "--trainer.accelerator", "cpu"]
    words += ["--trainer.callbacks+=AveragedWeights", "--trainer.precision", "32"]
    plain, compiled = (Path(f"lightning_logs/speed/version_{number}") for number in (0, 1))
    main(["fit", *words])
    assert "compiled" not in capsys.readouterr().out
    a_graph_takes_100_seconds(monkeypatch)
    main(["fit", *words, "--model.compile", "true"])
    assert "compiled for images of 24x24 and 28x28 and 32x32 pixels in 300.0 s" in capsys.readouterr().out
    assert at_steps == [0] * 10 + [3] * 10
    states = (weights(run / "checkpoints/last.ckpt") for run in (plain, compiled))
    with_one_thread = 0 if torch.backends.cpu.get_cpu_capability() == "AVX512" else 1e-5
    torch.testing.assert_close(*states, rtol=0, atol=with_one_thread if torch.get_num_threads() == 1 else 2e-4)
    first, second = (read_results(run) or {} for run in (plain, compiled))
    assert "compile_seconds" not in first
    assert second["compile_seconds"] == pytest.approx(300, abs=1)
    assert second["train_seconds"] < 100 < 300 < second["fit_seconds"]
    assert first["test/accuracy_mirror_shift"] == second["test/accuracy_mirror_shift"]


def a_graph_takes_100_seconds(patched: pytest.MonkeyPatch) -> None:
    """On the clocks of the run. All else takes a thousandth of a second."""
    clock, original = SimpleNamespace(seconds=0.0), compilation._run

    def perf_counter() -> float:
        clock.seconds += 0.001
        return float(clock.seconds)

    def run(*args: Any) -> int:
        clock.seconds += 100
        return original(*args)

    patched.setattr(compilation, "_run", run)
    for module in (compilation, stopwatch):
        patched.setattr(module, "time", SimpleNamespace(perf_counter=perf_counter))


def test_mode_that_torch_has_not(digits: Callable[..., list[str]], error: Callable[..., str]) -> None:
    line = error("fit", *digits(), "--model.compile", "fast")
    assert "--model.compile fast" in line
    assert "reduce-overhead" in line


@pytest.fixture
def recordings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of replays of each recording: on a CPU, a replay runs the step again into the recorded tensors."""
    replays: list[int] = []

    def record(run: Callable[[], Any], pool: Any) -> tuple[Callable[[], None], Any]:
        (outputs, gradients), number = run(), len(replays)
        replays.append(0)

        def replay() -> None:
            replays[number] += 1
            new_outputs, new_gradients = run()
            for static, new in zip((*outputs, *gradients), (*new_outputs, *new_gradients), strict=True):
                static.copy_(new)

        return replay, (outputs, gradients)

    monkeypatch.setattr(recorded, "record", record)
    monkeypatch.setattr(recorded, "memory_pool", lambda: None)
    monkeypatch.setattr(compiled_steps, "can_record", lambda model, images: True)
    return replays


@pytest.mark.parametrize("batches", [1, 2])
def test_recorded(
    batches: int, digits: Callable[..., list[str]], recordings: list[int], graphs: list[torch.fx.GraphModule]
) -> None:
    """Each state of the network has a recording, made before the first step; the weights are the same."""
    words = [*digits(epochs=2), "--trainer.limit_train_batches", "4", "--trainer.accumulate_grad_batches", str(batches)]
    words += ["--trainer.callbacks+=Finetuning", "--trainer.callbacks+=GradientNorm"]
    main(["fit", *words])
    main(["fit", *words, "--model.compile", "reduce-overhead"])
    states = (weights(run / "last.ckpt") for run in (FIRST, SECOND))
    torch.testing.assert_close(*states, rtol=0, atol=0 if batches == 1 else 1e-6)
    assert recordings == [2 + 4, 2 + 4]
    logged = ((run.parent / "metrics.csv").read_text() for run in (FIRST, SECOND))
    assert len({text.count("GradientNorm") for text in logged}) == 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_recorded_on_a_gpu(digits: Callable[..., list[str]]) -> None:
    words = [*digits(), "--trainer.accelerator", "gpu", "--trainer.devices", "1", "--trainer.precision", "32"]
    main(["fit", *words])
    main(["fit", *words, "--model.compile", "reduce-overhead"])
    states = (weights(run / "last.ckpt") for run in (FIRST, SECOND))
    torch.testing.assert_close(*states, rtol=0, atol=1e-3)  # GPUs add in another order


def test_a_recording_is_for_one_gpu_without_a_scaler() -> None:
    cases = (("cuda", 1, None, True), ("cpu", 1, None, False), ("cuda", 2, None, False), ("cuda", 1, object(), False))
    for device, world_size, scaler, expected in cases:
        images: Any = SimpleNamespace(device=torch.device(device))
        trainer = SimpleNamespace(world_size=world_size, precision_plugin=SimpleNamespace(scaler=scaler))
        assert recorded.can_record(SimpleNamespace(trainer=trainer), images) is expected


def test_muon_compiled(graphs: list[torch.fx.GraphModule]) -> None:
    torch.manual_seed(0)
    shapes = ((4, 6), (3, 4, 2, 2), (4, 2, 3), (2, 4))
    values, gradients = ([torch.randn(shape) for shape in shapes] for _ in range(2))
    moved = []
    for compiled in (False, True):
        parameters = [torch.nn.Parameter(value.clone()) for value in values]
        optimizer = MuonSGD(parameters)
        device = torch.device("cuda" if compiled else "cpu")
        trainer: Any = SimpleNamespace(strategy=SimpleNamespace(root_device=device), optimizers=[optimizer])
        compile_optimizers(trainer)
        count = len(graphs)
        assert (count > 0) == compiled
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        optimizer.step()
        moved.append([parameter.detach() for parameter in parameters])
    assert len(graphs) == count
    torch.testing.assert_close(*moved, rtol=0, atol=0)
