"""The benchmark of a GPU, as far as it runs on a CPU."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch.autograd import DeviceType

from project.benchmarks import gpu
from project.benchmarks.fitting import CONFIGS
from project.runs.results import Result
from tests.benchmarks.test_benchmarks import TINY, written


def test_gpus_benchmark_on_a_cpu(cifar10_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    narrow = ["--model.network.widths", "[8, 8, 8]", "--data.curriculum", "{24: 0.5}", *TINY]
    monkeypatch.setattr(gpu, "STEPS", 4)
    monkeypatch.setattr(gpu, "fit_in_new_process", lambda *_: {"process_seconds": 9.0, "fit_seconds": 5.0})
    configs = [str(CONFIGS / "speed.yaml")]
    gpu.measure(str(cifar10_dir), 1, configs, [*narrow, "--trainer.max_epochs", "1"], accelerator="cpu")
    row, content = written("gpu")["rows"][0], written("gpu")
    assert content["milliseconds_a_step"] > 0 == content["waits_a_step"]
    assert content["seconds_outside_the_fit"] == 4
    assert row["train_seconds"] < row["fit_seconds"] < row["with test"]
    assert 0 <= row["test/accuracy_mirror_shift"] <= 1


def test_figures_of_a_profile() -> None:
    """Ten steps of 8 ms, in which the GPU works for 2 ms. An operator's row repeats the time of its kernels."""
    rows = [
        SimpleNamespace(key=key, count=count, self_device_time_total=time, device_type=device, is_user_annotation=marks)
        for key, count, time, device, marks in (
            ("aten::mm", 20, 19_000, DeviceType.CPU, False),
            ("a kernel", 20, 19_000, DeviceType.CUDA, False),
            ("Memcpy HtoD (Pinned -> Device)", 5, 1_000, DeviceType.CUDA, False),
            ("training_step", 10, 80_000, DeviceType.CUDA, True),
            ("cudaStreamSynchronize", 30, 0, DeviceType.CPU, False),
            ("cudaDeviceSynchronize", 1, 0, DeviceType.CPU, False),  # of the profiler
        )
    ]
    figures = gpu._figures(rows, 0.008)
    assert figures == pytest.approx(
        {
            "milliseconds_a_step": 8,
            "milliseconds_of_kernels_a_step": 2,
            "busy_share_of_the_gpu": 0.25,
            "waits_a_step": 3,
            "copies_from_the_host_a_step": 0.5,
        }
    )


def test_each_run_on_a_gpu_has_a_peak_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    takes = iter([4, 3, 2, 1])  # GiB of the run that warms up, the two that are counted, and the profiled one
    peak = 0

    def run(arguments: list[str]) -> Result:
        nonlocal peak
        peak = max(peak, next(takes) * 2**30)
        return Result(figures={"test/accuracy": 0.9, "train_seconds": 1.0, "fit_seconds": 2.0})

    def reset() -> None:
        nonlocal peak
        peak = 0

    monkeypatch.setattr("project.benchmarks.fitting.main", run)
    replaced = {"is_available": lambda: True, "get_device_name": lambda: "a GPU", "reset_peak_memory_stats": reset}
    for name, function in {**replaced, "max_memory_allocated": lambda: peak}.items():
        monkeypatch.setattr(torch.cuda, name, function)
    monkeypatch.setattr(gpu, "fit_in_new_process", lambda *_: {"process_seconds": 9.0, "fit_seconds": 5.0})
    gpu.measure("data", 2)
    assert [row["peak_gib"] for row in written("gpu")["rows"][:2]] == [3, 2]
