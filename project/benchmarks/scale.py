"""One and two processes of convnet.yaml measured, and more processes computed, as Markdown for docs/scale.md."""

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, distributed, multiprocessing, nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import resnet50

from project.benchmarks.fitting import CONFIGS, fit_arguments, fit_in_new_process, fit_in_this_process
from project.benchmarks.image_folders import SIDE, decoded_per_second
from project.benchmarks.many_processes import ASSUMPTIONS, Job, computed, limits
from project.benchmarks.report import machine, markdown, save
from project.networks import ConvNet
from project.runs.environment import cpu_name

BATCH_SIZE = 125  # convnet.yaml's
FITS = ((1, BATCH_SIZE), (2, BATCH_SIZE), (2, BATCH_SIZE // 2))  # processes and the batch size of each
NOISE_BATCHES = 40
WITHOUT_EVALUATION = ("--trainer.limit_val_batches", "0", "--trainer.limit_test_batches", "1")
EXCHANGES = 21

Row = dict[str, Any]


def measure(
    data_dir: str, turns: int, steps: int, files: int, epochs: int, fit_options: Sequence[str] = (), **assumed: float
) -> None:
    """Print the tables of docs/scale.md.

    Args:
        data_dir: Directory of CIFAR-10.
        turns: Number of fits of each kind; the median counts.
        steps: Number of steps of each fit.
        files: Number of JPEG files that are decoded.
        epochs: Number of epochs at whose beginning the noise scale is measured.
        fit_options: More options of main.py fit.
        assumed: A value for each of the ASSUMPTIONS.
    """
    options = ["--data.data_dir", data_dir, "--trainer.accelerator", "cpu", "--pictures", "false", *fit_options]
    convnet = counted("convnet.yaml", partial(ConvNet, 10, batch_norm=True), 32)
    resnet = counted("ResNet-50", resnet50, SIDE)
    fits = measure_fits(options, steps, turns)
    exchanges = measure_exchanges([convnet["MB of gradients"], resnet["MB of gradients"]])
    noise = measure_noise(options, epochs)
    decoded = decoded_per_second(files)
    jobs = convnet_job(convnet, fits[0], noise[-1]["noise scale, images"], assumed), resnet_job(resnet, assumed)
    tables = {
        "Fits of convnet.yaml, one thread for each process": fits,
        "All-reduce between two processes on this machine, and nothing else": exchanges,
        "Noise scale of convnet.yaml": noise,
        "JPEG files of 500 x 375 pixels": [{"files per second of one worker": decoded}],
        "Networks": [convnet, resnet],
        "Assumptions": [
            {"option": f"--{name}", "value": assumed[name], "meaning": text} for name, (_, text) in ASSUMPTIONS.items()
        ],
        **{f"Computed: {job.name}": computed(job) for job in jobs},
        "Limits": limits(jobs, decoded, assumed),
    }
    print(*(f"\n### {title}\n\n{markdown(rows)}" for title, rows in tables.items()), sep="\n")
    print(f"\nMeasured on {cpu_name()} with torch {torch.__version__}.")
    print(save("scale", {"machine": machine(), **tables, "command": list(fit_options)}))


def counted(name: str, make: Callable[[], nn.Module], side: int) -> Row:
    """Count the parameters, and the floating-point operations of an image of `side` pixels, without computing them."""
    with torch.device("meta"):
        network, images = make(), torch.empty(2, 3, side, side)
    with FlopCounterMode(display=False) as forward:
        logits = network(images)
    with FlopCounterMode(display=False) as backward:
        logits.sum().backward()
    parameters = sum(weights.numel() for weights in network.parameters())
    flops = [counter.get_total_flops() / len(images) / 1e9 for counter in (forward, backward)]
    row = {"network": name, "parameters": parameters, "MB of gradients": 4 * parameters / 1e6}
    return {**row, "GFLOP of an image, forward": flops[0], "backward": flops[1]}


def convnet_job(network: Row, fit: Row, noise: float, assumed: Mapping[str, float]) -> Job:
    """One core for each process. It also does the exchange, so the exchange hides behind nothing."""
    link, latency = assumed["cpu_link"] * 1e9, assumed["latency"] / 1e6
    seconds = 1 / fit["images per second"]
    return Job(network["network"], BATCH_SIZE, seconds, 0, 1e6 * network["MB of gradients"], link, latency, noise)


def resnet_job(network: Row, assumed: Mapping[str, float]) -> Job:
    """One GPU for each process. It exchanges gradients during the backward pass."""
    link, latency = assumed["gpu_link"] * 1e9, assumed["latency"] / 1e6
    forward, backward = network["GFLOP of an image, forward"], network["backward"]
    seconds = (forward + backward) / 1000 / (assumed["tflops"] * assumed["share"])
    hidden = backward / (forward + backward)
    gradients, file = 1e6 * network["MB of gradients"], 1000 * assumed["image_kb"]
    batch, critical = assumed["gpu_batch"], assumed["critical"]
    return Job(network["network"], batch, seconds, hidden, gradients, link, latency, critical, file)


def measure_fits(options: Sequence[str], steps: int, turns: int) -> list[Row]:
    """Fits of convnet.yaml in one and two processes with one thread each."""
    results: dict[tuple[int, int], list[Row]] = {kind: [] for kind in FITS}
    for turn in range(1, turns + 1):
        for kind, fits in results.items():
            fits.append(_fit(options, steps, *kind))
        print(f"fits, turn {turn} of {turns}", flush=True)
    rows: list[Row] = []
    for (processes, size), fits in results.items():
        seconds = statistics.median(fit["train_seconds"] / fit["steps"] for fit in fits)
        row = {"processes": processes, "batch size of each": size, "ms a step": 1000 * seconds}
        row |= {"images per second": (speed := processes * size / seconds)}
        row |= {"times one process": speed / (rows[0] if rows else row)["images per second"]}
        rows.append({**row, "peak GiB of the first process": max(fit["peak_gib"] for fit in fits)})
    return rows


def _fit(options: Sequence[str], steps: int, processes: int, size: int) -> Row:
    configs = [CONFIGS / "convnet.yaml", CONFIGS / "trainer/ddp.yaml"][:processes]
    words = [*options, "--threads", "1", "--trainer.devices", str(processes), "--data.batch_size", str(size)]
    words += [
        "--trainer.max_steps",
        str(steps),
        "--trainer.limit_val_batches",
        "0",
        "--trainer.limit_test_batches",
        "1",
    ]
    with tempfile.TemporaryDirectory() as root:
        return fit_in_new_process(fit_arguments(configs, [*words, "--trainer.default_root_dir", root]))


def measure_exchanges(sizes: Sequence[float], processes: int = 2) -> list[Row]:
    """The all-reduce of `sizes` MB by gloo: the median of EXCHANGES."""
    with tempfile.TemporaryDirectory() as directory:
        multiprocessing.spawn(_exchange, (processes, directory, sizes), processes)  # type: ignore[attr-defined, no-untyped-call]
        seconds = json.loads(Path(directory, "seconds").read_text("utf-8"))
    pairs = zip(sizes, seconds, strict=True)
    return [{"MB": size, "ms": 1000 * value, "GB/s of each process": size / 1000 / value} for size, value in pairs]


def _exchange(rank: int, processes: int, directory: str, sizes: Sequence[float]) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", f"file://{directory}/start", rank=rank, world_size=processes)
    medians = [statistics.median(_exchange_seconds(int(1e6 * size / 4)) for _ in range(EXCHANGES)) for size in sizes]
    if rank == 0:
        Path(directory, "seconds").write_text(json.dumps(medians), "utf-8")
    distributed.destroy_process_group()


def _exchange_seconds(count: int) -> float:
    gradients = torch.zeros(count)
    distributed.barrier()
    started = time.perf_counter()
    distributed.all_reduce(gradients)
    return time.perf_counter() - started


def measure_noise(options: Sequence[str], epochs: int) -> list[Row]:
    """The noise scale at the beginning of each epoch of convnet.yaml."""
    print(f"noise scale, {epochs} epochs", flush=True)
    words = [*options, "--trainer.max_epochs", str(epochs), "--trainer.callbacks", f"{__name__}.NoiseScale"]
    words += ["--trainer.devices", "1", *WITHOUT_EVALUATION]
    _, metrics = fit_in_this_process(fit_arguments([CONFIGS / "convnet.yaml"], words))
    scales = [row["noise_scale"] for row in metrics if "noise_scale" in row]
    return [{"after epoch": epoch, "noise scale, images": scale} for epoch, scale in enumerate(scales)]


class NoiseScale(Callback):
    """Logs noise_scale at the beginning of each epoch, over its first NOISE_BATCHES batches."""

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        model: Any = pl_module
        gradients = []
        assert trainer.train_dataloader is not None
        for images, labels in islice(trainer.train_dataloader, NOISE_BATCHES):
            with trainer.precision_plugin.forward_context():
                *_, loss = model.training_losses(images, labels)
            parts = torch.autograd.grad(loss, list(model.parameters()))
            gradients.append(torch.cat([part.flatten() for part in parts]))
        pl_module.log("noise_scale", noise_scale(torch.stack(gradients), len(images)))


def noise_scale(gradients: Tensor, batch_size: int) -> Tensor:
    """The batch size whose noise is as large as the gradient itself, from gradients [B, P] of B batches.

    Source: McCandlish et al., "An Empirical Model of Large-Batch Training" (2018), appendix A.1, with the mean of all
    batches as the large batch.
    """
    count = len(gradients)
    single, mean = gradients.square().sum(1).mean(), gradients.mean(0).square().sum()
    squared_gradient = (count * mean - single) / (count - 1)
    return batch_size * (single - squared_gradient) / squared_gradient
