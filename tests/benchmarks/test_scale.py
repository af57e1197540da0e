"""The benchmark scale: what it computes compared with numbers by hand, and a small run of what it measures."""

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torchvision.models import ResNet50_Weights

from project.benchmarks import scale
from project.benchmarks.many_processes import Job, computed, limits, ring_seconds
from tests.benchmarks.test_benchmarks import SMALL, TINY, starts_processes, written

# A step computes for 0.1 s, of which 0.05 s can hide the exchange.
JOB = Job("job", batch=100, seconds=1e-3, hidden=0.5, gradients=1e8, link=1e9, latency=0.001, critical=800, file=1e5)


def test_ring_all_reduce() -> None:
    assert ring_seconds(100e6, 8, 25e9) == pytest.approx(0.007)  # 14 messages of 12.5 MB
    assert ring_seconds(100e6, 8, 25e9, 1e-5) == pytest.approx(0.00714)
    assert ring_seconds(100e6, 1, 25e9, 1e-5) == 0


def test_many_processes() -> None:
    rows = {row["processes"]: row for row in computed(JOB)}
    assert (rows[1]["step, ms"], rows[1]["efficiency"]) == (pytest.approx(100), 1)
    eight = rows[8]  # the exchange is 14 messages of 12.5 ms and 1 ms, less 50 ms that the computation hides
    assert eight["exchange, ms"] == pytest.approx(189)
    assert eight["step, ms"] == pytest.approx(239)
    assert eight["images per second"] == 3347  # 800 / 0.239
    assert eight["efficiency"] == pytest.approx(100 / 239)
    assert eight["batch over critical batch"] == 1
    assert eight["GB/s of files"] == pytest.approx(0.08 / 0.239)


def test_limits() -> None:
    (exchange, batch, both, size, data, storage, cores) = (
        row["job"] for row in limits([JOB], decoded=250, assumed={"storage": 1, "cores": 16})[1:]
    )
    # The exchange of two processes takes 102 ms. A step of 167 images hides 83.5 ms; the rest is a tenth of 185.5 ms.
    assert JOB.smallest_batch(2) == 167
    assert (exchange, batch) == (2, 8)
    # Each of four processes needs 6 (25 + 1) / (1/2 + 1/9) = 256 images, each of three 4 (33.3 + 1) / 0.611 = 225.
    assert (both, size) == (3, 266)
    assert data == pytest.approx(100)
    assert (storage, cores) == (pytest.approx(10), pytest.approx(4))


def test_noise_scale() -> None:
    # |G|^2 is estimated as (2 * 4 - 5) / 1 = 3. A batch of 10 images adds a noise of 5 - 3 = 2.
    assert scale.noise_scale(torch.tensor([[3.0, 0], [1, 0]]), 10).item() == pytest.approx(10 * 2 / 3)


def test_scale(
    cifar10_dir: Path, benchmark_script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fit(arguments: list[str]) -> dict[str, Any]:
        processes = int(arguments[arguments.index("--trainer.devices") + 1])
        assert (processes == 2) == any(word.endswith("ddp.yaml") for word in arguments)
        return {"train_seconds": 0.3, "steps": 3, "peak_gib": 1.5}

    monkeypatch.setattr(scale, "fit_in_new_process", fit)
    monkeypatch.setattr(scale.multiprocessing, "spawn", lambda function, words, _: function(0, 1, *words[1:]))
    benchmark_script.main(
        ["scale", "--turns", "1", "--files", "50", "--epochs", "1", "--data.data_dir", str(cifar10_dir), *SMALL, *TINY]
    )
    tables = written("scale")
    fits = tables["Fits of convnet.yaml, one thread for each process"]
    assert [round(row["images per second"]) for row in fits] == [1250, 2500, 1240]
    assert [row["times one process"] for row in fits] == pytest.approx([1, 2, 0.992])
    (noise,) = tables["Noise scale of convnet.yaml"]
    assert noise["noise scale, images"] > 0
    resnet, meta = tables["Networks"][1], ResNet50_Weights.IMAGENET1K_V1.meta
    assert resnet["parameters"] == meta["num_params"]
    assert resnet["GFLOP of an image, forward"] == pytest.approx(2 * meta["_ops"], rel=0.001)  # a multiply-add is two
    assert resnet["backward"] == pytest.approx(4 * meta["_ops"] - 0.236, rel=0.001)  # no gradient of the images
    output = capsys.readouterr().out
    for title, rows in tables.items():
        if isinstance(rows, list) and title != "command":
            assert f"\n### {title}\n\n| {' | '.join(rows[0])} |\n| ---" in output
    assert "| --gpu_link | 25 | GB/s between GPUs" in output
    assert [tables["Limits"][0][name] for name in ("convnet.yaml", "ResNet-50")] == [125, 256]


@pytest.mark.slow
@starts_processes
def test_exchange_of_two_processes() -> None:
    (row,) = scale.measure_exchanges([1.0])
    assert row["GB/s of each process"] == pytest.approx(1 / row["ms"])
