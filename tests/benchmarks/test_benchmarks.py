"""Every benchmark is run once, small, and writes what it prints; timings are not judged."""

import json
import os
import statistics
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torchvision import datasets

from project.benchmarks import article, cost, loader, overhead, safety, sets, startup, step, threads, use
from project.benchmarks.fitting import CONFIGS, fit_arguments
from project.benchmarks.report import summary
from project.benchmarks.seeds import CLOCKS
from project.data import ImageFolder

# They start many processes. Their functions have tests that start none.
starts_processes = pytest.mark.skipif(not os.environ.get("BENCHMARKS"), reason="set BENCHMARKS to run each benchmark")
SMALL = ["--trainer.accelerator", "cpu", "--trainer.max_epochs", "1"]
TINY = ["--data.batch_size", "20", "--data.val_size", "20"]


def written_so_far(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path(f"lightning_logs/benchmarks/{name}.json").read_text())
    return content


def written(name: str) -> dict[str, Any]:
    content = written_so_far(name)
    assert content["machine"]["cores"] >= 1
    return content


def test_peak_memory_is_of_the_process_alone() -> None:
    memory = b"1" * 2**30  # of the process that starts the other
    program = "from project.system.memory import peak_gib; print(peak_gib())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert len(memory) == 2**30
    assert 0.005 < float(done.stdout) < 0.5


def test_article_network() -> None:
    network = article.article_network()
    assert sum(weights.numel() for weights in network.parameters()) == 299_434
    assert network(torch.randn(2, 3, 32, 32)).shape == (2, 10)


def test_interval() -> None:
    mean, deviation, half = summary([{"seed": 0, "x": 1.0}, {"seed": 1, "x": 3.0}], ["x"])
    assert (mean["x"], deviation["x"]) == (2, pytest.approx(2**0.5))
    assert half["x"] == pytest.approx(12.706, abs=1e-3)  # t of one degree of freedom times sqrt(2) / sqrt(2)


@pytest.mark.slow
@starts_processes
def test_seeds(benchmark_script: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["seeds", "--config", str(CONFIGS / "mlp.yaml"), "--config", str(CONFIGS / "data/digits.yaml"), *SMALL]
    benchmark_script.main([*command, "--seeds", "2"])
    measured = written("mlp-digits")
    assert [run["seed"] for run in measured["runs"]] == [0, 1]
    for run in measured["runs"]:
        assert json.loads((Path(run["run"]) / "results.json").read_text())["test/accuracy"] == run["test/accuracy"]
        assert run["train_seconds"] < run["fit_seconds"] < run["process_seconds"]
        assert 0.1 < run["peak_gib"] < 4
    mean = statistics.mean(run["test/accuracy"] for run in measured["runs"])
    assert f"{mean:.4g}" in capsys.readouterr().out


def test_seeds_go_on_where_they_were(benchmark_script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    seeds: list[str] = []

    def fit(arguments: list[str]) -> dict[str, Any]:
        seeds.append(arguments[-1])
        return {"test/accuracy": 0.5, **dict.fromkeys(CLOCKS, 1.0)}

    monkeypatch.setattr("project.benchmarks.seeds.fit_in_new_process", fit)
    command = ["seeds", "--config", str(CONFIGS / "mlp.yaml"), "--seeds"]
    benchmark_script.main([*command, "1"])
    file = Path("lightning_logs/benchmarks/mlp.json")
    file.write_text(json.dumps({**json.loads(file.read_text()), "finished": False}))
    benchmark_script.main([*command, "2"])
    assert seeds == ["0", "1"]
    benchmark_script.main([*command, "1"])  # finished: measured anew
    assert seeds == ["0", "1", "0"]


def test_seeds_of_other_options_have_a_file_of_their_own(
    benchmark_script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fit(arguments: list[str]) -> dict[str, Any]:
        return {"test/accuracy": 0.6 if "0.0005" in arguments else 0.5, **dict.fromkeys(CLOCKS, 1.0)}

    monkeypatch.setattr("project.benchmarks.seeds.fit_in_new_process", fit)
    command = ["seeds", "--config", str(CONFIGS / "mlp.yaml"), "--seeds", "1"]
    learning_rate = ["--model.optimizer.lr", "0.0005"]
    for _ in range(2):
        benchmark_script.main(command)
        capsys.readouterr()
        benchmark_script.main([*command, *learning_rate])
        assert "--model.optimizer.lr 0.0005" in capsys.readouterr().out
    plain, other = written("mlp"), written("mlp-2")
    assert plain["command"] == ["fit", *command[1:3]]
    assert other["command"] == [*plain["command"], *learning_rate]
    assert [file["runs"][0]["test/accuracy"] for file in (plain, other)] == [0.5, 0.6]
    assert len(list(Path("lightning_logs/benchmarks").iterdir())) == 2


def test_article(cifar10_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fit(arguments: list[str]) -> dict[str, Any]:
        speed = "speed" in arguments[2]
        views = {"test/accuracy_mirror_shift": 0.945} if speed else {}
        return {"test/accuracy": 0.93 if speed else 0.84, **views, "train_seconds": 5.0 if speed else 2.0}

    monkeypatch.setattr("project.benchmarks.seeds.fit_in_new_process", fit)
    article.measure(str(cifar10_dir), 2, [], epochs=2)
    rows = written("article")["rows"]
    assert [row["experiment"] for row in rows[1:]] == ["convnet.yaml", "speed61.yaml", "speed71.yaml", "speed.yaml"]
    program = written("article")["program"]
    assert len(program) == 2
    assert all(epoch["seconds"] > 0 and 0 <= epoch["test/accuracy"] <= 1 for epoch in program)
    assert rows[0]["train_seconds"] == pytest.approx(5 * sum(epoch["seconds"] for epoch in program))
    assert rows[1]["times faster"] == pytest.approx(rows[0]["train_seconds"] / 2)
    targets = {row["test accuracy"]: row for row in written("article-targets")["rows"]}
    assert targets["61.2%"]["plain"] == 2
    assert targets["90.0%"]["plain"] == 5
    assert targets["94.0%"]["plain"] is None
    assert targets["94.0%"]["with test-time augmentation"] == 5
    assert len(list(Path("lightning_logs/benchmarks").iterdir())) == 2


def test_step(cifar10_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step, "STEPS", {"mlp": 4})
    monkeypatch.setattr(step, "matrix_products", partial(step.matrix_products, side=64, turns=2))
    step.measure(str(cifar10_dir), None, 4, TINY)
    rows = {(row["experiment"], row["part"]): row for row in written("step")["rows"]}
    layers = [3072 * 128, 128 * 64, 64 * 10]  # the first one's input needs no gradient
    convolutions = [3 * 64 * 30**2, 64 * 128 * 13**2, 128 * 128 * 4**2, 128 * 64 * 2**2]
    article = [9 * 16 * places for places in convolutions] + [16 * 64 * 32, 16 * 32 * 10]
    mlp = [20 * layer for layer in layers]
    for name, multiplications, steps in (("mlp", mlp, 90), (step.PROGRAM, article, 130)):  # of ten epochs
        forward, backward = sum(multiplications), 2 * sum(multiplications) - multiplications[0]
        expected = {"forward": 2e-9 * forward, "backward": 2e-9 * backward, "step": 2e-9 * (forward + backward)}
        assert {part: rows[name, part]["GFLOP"] for part in expected} == pytest.approx(expected)
        whole, product = rows[name, "step"], [rows[name, f"float32 product {when}"] for when in ("before", "after")]
        assert sum(rows[name, part]["share of the step"] for part in step.PARTS) == pytest.approx(1)
        assert min(rows[name, part]["ms"] for part in step.PARTS) > 0
        assert whole["all steps, s"] == pytest.approx(steps * whole["ms"] / 1000)
        assert whole["GFLOP/s"] == pytest.approx(whole["GFLOP"] / whole["ms"] * 1000)
        mean = statistics.mean(row["GFLOP/s"] for row in product)
        assert whole["share of the product"] == pytest.approx(whole["GFLOP/s"] / mean)


def test_overhead(cifar10_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overhead, "in_new_process", overhead.seconds_of)  # a new one would not take the tiny CIFAR-10
    overhead.measure(str(cifar10_dir), turns=1, sizes=[20], steps=3)
    (row,) = written("overhead")["rows"]
    assert row["fit over by hand"] == pytest.approx(row["fit, ms a step"] / row["by hand, ms a step"])
    assert row["share outside arithmetic"] < 1


def test_loader(cifar10_dir: Path) -> None:
    loader.measure(str(cifar10_dir), turns=1, files=50, images=240, epochs=1, batches=1)
    measured = written("loader")
    *theirs, ours, plain, batched, single = (row["images per second"] for row in measured["rows"])
    assert len(theirs) == 3
    assert min(plain, batched, single) > 0
    assert measured["ours_over_best_dataloader"] == pytest.approx(ours / max(theirs))
    rows = written("loader_files")["rows"]
    assert [row["workers"] for row in rows] == [1, 2, 1, 2]
    for row in rows:
        assert row["ours over torchvision's"] * row["torchvision's"] == pytest.approx(row["ours, images per second"])
    epochs = written("loader_epochs")
    assert epochs["steps"] == 1
    assert [row["over from memory"] > 0 for row in epochs["rows"]] == [True, True, True]


@pytest.mark.slow
@starts_processes
def test_use() -> None:
    use.measure(images=20, turns=1)
    rows = written("use")["rows"]
    network, files, speed, _, few, many, memory, torch_import, first_line, start, *others = (
        row["measured"] for row in rows
    )
    assert speed == pytest.approx(files / network)
    assert memory == pytest.approx(many / few)
    assert start == pytest.approx(first_line / torch_import)
    assert 0.1 < few < 4
    assert min(files, torch_import, *others) > 0
    assert [row["figure"] for row in rows if "validation images" in row["figure"]] == [
        f"equal answers of {form} on 2 validation images" for form in ("onnx", "pt2", "safetensors")
    ]


@pytest.mark.slow
@starts_processes
def test_startup() -> None:
    configs = [CONFIGS / "mlp.yaml", CONFIGS / "data/digits.yaml"]
    startup.measure_fit(fit_arguments(configs, ["--pictures", "false"]), 1)
    for kind in ("startup", "startup-resumed"):
        row = written(kind)["rows"][0]
        assert sum(row[part] for part in startup.PARTS) == pytest.approx(row["whole"])
        assert all(row[part] > 0 for part in startup.PARTS)


@pytest.mark.slow
@starts_processes
def test_resume(benchmark_script: ModuleType) -> None:
    benchmark_script.main(["resume", "--kills", "1", "--lanes", "1"])
    *_, every = written("resume")["rows"]
    assert every.items() >= {"runs": 1, "the same bits": 1, "differences": 0, "rows lost": 0}.items()
    assert [name for name in Path("lightning_logs/benchmarks/resume").iterdir() if name.is_dir()] == []


def test_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each generated set is read as the real one is; a start is replaced by the load of the data."""
    for kind, name in ((datasets.CIFAR100, "train_list test_list meta"), (datasets.MNIST, "resources")):
        for attribute in name.split():
            monkeypatch.setattr(kind, attribute, getattr(kind, attribute))  # put back at the end
    monkeypatch.setattr(datasets.SVHN, "split_list", datasets.SVHN.split_list)
    for kind, *_ in sets.SETS.values():
        monkeypatch.setattr(kind, "training_images", kind.training_images)

    def start(name: str, directory: Path, configs: list[Path], options: list[str]) -> dict[str, float]:
        sets.accept(name, directory)
        images = {"data_dir": str(directory / "images"), "image_size": 16}
        module = sets.SETS[name].kind(directory, batch_size=1) if name else ImageFolder(**images, batch_size=1)
        module.prepare_data()
        module.setup("test")
        count = len(module.train) + len(module.val) + len(module.test)
        return {"step": count, "peak": module.num_classes}

    monkeypatch.setattr(sets, "start", start)
    sets.measure(files=400, divisor=100)
    found = [(row["seconds to the first step"], row["peak MiB"]) for row in written("sets")["rows"]]
    assert found == [(600, 100), (700, 10), (732 + 260, 10)]
    assert [row["at the second start"] for row in written("sets-files")["rows"]] == [40, 400]


@pytest.mark.slow
@starts_processes
def test_a_start_on_files(tmp_path: Path) -> None:
    row = sets._start_on_files(400, tmp_path)
    assert 0 < row["a worker's own MiB"] < row["MiB"] <= row["peak MiB"]


def test_damage(benchmark_script: ModuleType) -> None:
    benchmark_script.main(["damage", "--files", "2", "--disks", "0"])
    assert [(row["tried"], row["refused in one line"]) for row in written("damage")["rows"]] == [(1, 1), (1, 1)]


def test_safety(cifar10_dir: Path) -> None:
    safety.measure(str(cifar10_dir), 1, ["--trainer.accelerator", "cpu", *TINY])
    *parts, every = written("safety")["rows"]
    assert {row["part"] for row in parts} == set(safety.PARTS)
    assert sum(row["share of the step"] for row in parts) == pytest.approx(every["share of the step"])
    assert 0 < every["share of the step"] < 1


def test_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    def fit(arguments: list[str]) -> dict[str, Any]:
        options = dict(zip(arguments[1::2], arguments[2::2], strict=True))
        images = 50_000 - int(options["--data.val_size"])
        return {"train_seconds": images * int(options["--trainer.max_epochs"]) / 1000, "peak_gib": 1.5}

    monkeypatch.setattr("project.benchmarks.cost.fit_in_new_process", fit)
    cost.measure("data", turns=1)
    rows = written("cost")["rows"]
    assert [row["train_seconds"] for row in rows] == [12.5, 25, 50, 25, 50]
    assert [row["times that of half"] for row in rows] == [None, 2, 2, 2, 2]


def test_threads(benchmark_script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fit is replaced: it takes twice the time with more than one thread."""

    def fit(arguments: list[str], variables: dict[str, str]) -> dict[str, float]:
        assert arguments[arguments.index("--trainer.max_epochs") + 1] == "2"
        return {"train_seconds": 4 if variables == {"OMP_NUM_THREADS": "1"} else 8}

    monkeypatch.setattr(threads, "fit_in_new_process", fit)
    monkeypatch.setattr(threads, "NEIGHBOURS", {"alone": [], "beside a loop": threads.LOOP})
    benchmark_script.main(["threads", "--turns", "1", "--epochs", "2"])
    one, default, *_ = written("threads")["rows"]
    assert one == {"": "one thread", "alone, s": 2, "beside a loop, s": 2}
    assert default == {"": "OpenMP's default", "alone, s": 4, "beside a loop, s": 4}
