"""How seconds and memory grow with images and epochs."""

from collections.abc import Sequence

from project.benchmarks.fitting import CONFIGS, fit_arguments, fit_in_new_process
from project.benchmarks.report import report
from project.data import CIFAR10

SIZES = ((12_500, 1), (25_000, 1), (50_000, 1), (12_500, 2), (12_500, 4))  # images and epochs


def measure(data_dir: str, turns: int, fit_options: Sequence[str] = ()) -> None:
    """Report seconds and memory of convnet.yaml for more images and more epochs. Each is the least of `turns` runs."""
    best: dict[tuple[int, int], tuple[float, float]] = {}
    for turn in range(turns):
        for number, size in enumerate(SIZES, 1):
            print(f"turn {turn + 1} of {turns}, run {number} of {len(SIZES)}", flush=True)
            seconds_and_gib = _fit(data_dir, *size, fit_options)
            best[size] = min(best.get(size, seconds_and_gib), seconds_and_gib)
    rows = []
    for (images, epochs), (seconds, gib) in best.items():
        half = best.get((images // 2, epochs)) or best.get((images, epochs // 2))
        ratio = None if half is None else seconds / half[0]
        row = {"images": images, "epochs": epochs, "train_seconds": seconds, "times that of half": ratio}
        rows.append({**row, "peak_gib": gib})
    report("cost", rows, turns=turns, command=list(fit_options))


def _fit(data_dir: str, images: int, epochs: int, fit_options: Sequence[str]) -> tuple[float, float]:
    """Training seconds and peak memory in GiB of a run on `images` images, without validation."""
    options = ["--data.data_dir", data_dir, "--data.val_size", str(CIFAR10.training_images - images)]
    options += ["--trainer.max_epochs", str(epochs), "--trainer.limit_val_batches", "0"]
    options += ["--trainer.limit_test_batches", "1", *fit_options]
    results = fit_in_new_process(fit_arguments([CONFIGS / "convnet.yaml"], options))
    return results["train_seconds"], results["peak_gib"]
