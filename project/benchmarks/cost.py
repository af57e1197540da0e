"""How seconds and memory grow with images and epochs."""

from collections.abc import Sequence

from project.benchmarks.report import report
from project.benchmarks.runs import CONFIGS, fit
from project.data import CIFAR10


def cost(
    data_dir: str, turns: int, images: Sequence[int] = (12_500, 25_000, 50_000), further: Sequence[str] = ()
) -> None:
    """convnet.yaml on more and more images and for more and more epochs; each figure the least of `turns` runs."""
    sizes = [(count, 1) for count in images] + [(images[0], epochs) for epochs in (2, 4)]
    best: dict[tuple[int, int], tuple[float, float]] = {}
    for turn in range(turns):
        for number, size in enumerate(sizes, 1):
            print(f"turn {turn + 1} of {turns}, run {number} of {len(sizes)}", flush=True)
            taken = _measure(data_dir, *size, further)
            best[size] = min(best.get(size, taken), taken)
    rows = []
    for (count, epochs), (seconds, gib) in best.items():
        half = best.get((count // 2, epochs)) or best.get((count, epochs // 2))
        ratio = None if half is None else seconds / half[0]
        row = {"images": count, "epochs": epochs, "train_seconds": seconds, "over half of it": ratio, "peak_gib": gib}
        rows.append(row)
    report("cost", rows, turns=turns, command=list(further))


def _measure(data_dir: str, images: int, epochs: int, further: Sequence[str]) -> tuple[float, float]:
    """Training seconds and peak memory in GiB of a run on `images` images, without validation."""
    words = ["--data.data_dir", data_dir, "--data.val_size", str(CIFAR10.training_images - images)]
    words += ["--trainer.max_epochs", str(epochs), "--trainer.limit_val_batches", "0"]
    words += ["--trainer.limit_test_batches", "1", *further]
    results = fit([str(CONFIGS / "convnet.yaml")], words)
    return results["train_seconds"], results["peak_gib"]
