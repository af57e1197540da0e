"""Kill runs with random settings at random moments, resume them, and compare them with runs that were not killed."""

import shutil
import signal
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

from PIL import Image
from sklearn.datasets import load_digits
from torch import Tensor, nn

from project.benchmarks.comparison import differences, lost_and_doubled
from project.benchmarks.fitting import CONFIGS, fit_arguments
from project.benchmarks.processes import run_main
from project.benchmarks.report import OUTPUT, report, save
from project.runs.results import read_results

MOMENTS = ("any", "any", "any", "validation", "last batch", "while a checkpoint is written")
EXPERIMENTS: dict[str, list[str]] = {
    "mlp": [],
    "dropout": ["--model.network", f"{__name__}.DropoutNetwork"],
    "convnet": ["--model.network.widths", "[8, 16, 16, 8]"],
    "speed": ["--model.network.widths", "[8, 8, 8]", "--data.curriculum", "{16: 0.4, 24: 0.8}"],
}
TRANSFORMS = (
    "null",
    "[RandomHorizontalFlip, {class_path: RandomCrop, init_args: {size: 32, padding: 4}}, RandomErasing]",
    "[{class_path: RandomResizedCrop, init_args: {size: 32}}, TrivialAugmentWide, RandomErasing]",
)
MIXES = ("null", "null", "{mixup: 0.2}", "{cutmix: 1, probability: 0.5}", "{mixup: 0.2, cutmix: 1, each: image}")
BALANCES = ("none", "oversample", "weights")
FILES, TABLE = OUTPUT / "digits", OUTPUT / "digits.csv"  # the digits as PNG files; the classes of some of them
SOURCES = ("memory", "folders", "table")  # folders: the files' folders are their classes
Settings = dict[str, Any]


class DropoutNetwork(nn.Module):
    """A network that is random in training."""

    def __init__(self, num_classes: int, image_shape: tuple[int, int, int]) -> None:
        super().__init__()
        inputs = image_shape[0] * image_shape[1] * image_shape[2]
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Dropout(0.2), nn.Linear(inputs, 32), nn.ReLU(), nn.Dropout(), nn.Linear(32, num_classes)
        )

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.layers(images)
        return logits


def measure(kills: int, lanes: int = 2) -> None:
    """Report `kills` trials, `lanes` at a time. The number of a trial sets its random settings and moment."""
    write_digits(FILES, TABLE)
    directory = OUTPUT.absolute() / "resume"
    trials: list[Settings] = []
    with ThreadPoolExecutor(lanes) as pool:
        outcomes = pool.map(lambda n: trial(directory / str(n), random_settings(n), Random(-n - 1)), range(kills))
        try:
            for number, outcome in enumerate(outcomes, 1):
                trials.append(outcome)
                print(f"run {number} of {kills}: {outcome}", flush=True)
                save("resume", {"finished": False, "trials": trials})
        except KeyboardInterrupt:
            pool.shutdown(cancel_futures=True)
            raise
    rows = [{"trials": name, **_totals(group)} for name, group in {**_groups(trials), "all": trials}.items()]
    report("resume", rows, finished=True, trials=trials)


def _groups(trials: Sequence[Settings]) -> dict[str, list[Settings]]:
    """The trials by the moment of the first kill, and those with each kind of training data."""
    groups = {f"killed at: {moment}": [trial for trial in trials if trial["moment"] == moment] for moment in MOMENTS}
    for name in ("transforms", "mix"):
        groups[name] = [trial for trial in trials if trial[name] != "null"]
    for balance in BALANCES[1:]:
        groups[f"balance {balance}"] = [trial for trial in trials if trial["balance"] == balance]
    groups["labels from a table"] = [trial for trial in trials if trial["source"] == "table"]
    groups["files, with other workers and in_memory after each kill"] = [
        trial for trial in trials if trial["source"] != "memory"
    ]
    return groups


def _totals(trials: Sequence[Settings]) -> dict[str, int]:
    return {
        "runs": len(trials),
        "kills": sum(trial["kills"] for trial in trials),
        "the same bits": sum(not trial["differences"] for trial in trials),
        "differences": sum(len(trial["differences"]) for trial in trials),
        "rows lost": sum(trial["rows lost"] for trial in trials),
        "rows doubled": sum(trial["rows doubled"] for trial in trials),
    }


def random_settings(number: int) -> Settings:
    """The settings of the trial with this number."""
    rng = Random(number)
    return {
        "experiment": rng.choice(list(EXPERIMENTS)),
        "batch_size": rng.choice([16, 32, 50]),
        "accumulate": rng.choice([1, 1, 2, 3]),
        "precision": rng.choice(["32-true", "bf16-mixed"]),
        "averaging": rng.choice([False, True]),
        "plateau": rng.choice([False, True]),
        "every_n_steps": rng.choice([None, 1, 5, 17]),
        "val_check_interval": rng.choice([1.0, 1.0, 0.5]),
        "processes": rng.choices([1, 2], [15, 1])[0],
        "moment": rng.choice(MOMENTS),
        "seed": rng.randrange(1000),
        "pictures": rng.choice([False, False, False, True]),  # they take longer than the training
        "transforms": rng.choice(TRANSFORMS),
        "mix": rng.choice(MIXES),
        "source": rng.choice(SOURCES),
        "balance": rng.choice(BALANCES),
    }


def arguments_of(settings: Settings) -> list[str]:
    """The arguments of main.py for the settings of a trial: three epochs on the digits."""
    name = settings["experiment"]
    configs = [CONFIGS / f"{'mlp' if name == 'dropout' else name}.yaml", CONFIGS / "data/digits.yaml"]
    arguments = fit_arguments(configs, [*EXPERIMENTS[name], "--data.shift", "2"])
    arguments += ["--data.batch_size", str(settings["batch_size"]), "--data.flip", "random"]
    arguments += ["--seed_everything", str(settings["seed"]), "--trainer.accelerator", "cpu"]
    arguments += ["--pictures", str(settings["pictures"]).lower()]
    arguments += [
        "--trainer.max_epochs",
        "3",
        "--trainer.precision",
        settings["precision"],
        "--trainer.log_every_n_steps",
        "3",
    ]
    arguments += ["--trainer.accumulate_grad_batches", str(settings["accumulate"])]
    arguments += ["--trainer.val_check_interval", str(settings["val_check_interval"])]
    arguments += [f"--data.{name}={settings[name]}" for name in ("transforms", "mix", "balance")]
    if settings["source"] != "memory":
        arguments += ["--data", "ImageFolder", "--data.data_dir", str(FILES.absolute()), "--data.image_size", "32"]
    if settings["source"] == "table":
        arguments += ["--data.labels", str(TABLE.absolute())]
    if settings["averaging"]:
        arguments += ["--trainer.callbacks", "AveragedWeights", "--trainer.callbacks.decay", "0.9"]
    if settings["plateau"]:
        arguments += ["--model.lr_scheduler", "Plateau", "--model.lr_scheduler.patience", "0"]
    if settings["every_n_steps"]:
        arguments += ["--checkpoints.every_n_steps", str(settings["every_n_steps"])]
    if settings["processes"] > 1:
        arguments += ["--trainer.strategy", "ddp", "--trainer.devices", str(settings["processes"])]
    return arguments


def write_digits(directory: Path, table: Path) -> None:
    """Write scikit-learn's digits as PNG files in a folder for each class.

    The table has a part of them, of higher digits fewer: all of 0, 1 and 2, a quarter of 9.
    """
    digits, rows = load_digits(), ["file,class"]
    for number, (image, label) in enumerate(zip(digits.images, digits.target.tolist(), strict=True)):
        file = directory / str(label) / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((image * 255 / 16).astype("uint8")).save(file)
        rows += [f"{label}/{file.name},digit {label}"] * (number % (1 + label // 3) == 0)
    table.write_text("\n".join(rows))


def trial(directory: Path, settings: Settings, rng: Random) -> Settings:
    """Compare a run that is not killed with a run that is killed, up to three times, and resumed."""
    arguments = arguments_of(settings)
    shutil.rmtree(directory, ignore_errors=True)
    started = time.monotonic()
    assert run_main(arguments, directory / "whole") == 0
    seconds = time.monotonic() - started
    kills = _kill_and_resume(arguments, directory / "killed", settings["moment"], seconds, rng)
    pair = [_only_run(directory / part) for part in ("whole", "killed")]
    lines = differences(*pair)
    lost, doubled = (sum(map(len, records)) for records in zip(*lost_and_doubled(*pair).values(), strict=True))
    if not lines:  # otherwise the runs stay, so that somebody can look at them
        shutil.rmtree(directory)
    return {**settings, "kills": kills, "differences": lines, "rows lost": lost, "rows doubled": doubled}


def _kill_and_resume(arguments: list[str], directory: Path, moment: str, seconds: float, rng: Random) -> int:
    """Finish a run that is killed up to three times, first at this moment. Return how often it was killed."""
    kills, workers = 0, rng.randrange(3)
    for attempt in range(3):
        event = (moment, rng.randrange(1, 4)) if attempt == 0 else ("any", 0)
        code = run_or_resume(_with_workers(arguments, workers + attempt), directory, event, rng.random() * seconds)
        assert code in (0, -signal.SIGKILL), f"{directory}: exit code {code}"
        kills += code == -signal.SIGKILL
        if code == 0 or (kills and rng.random() < 0.7):
            break
    if read_results(_only_run(directory)) is None:
        assert run_or_resume(_with_workers(arguments, workers + attempt + 1), directory) == 0
    return kills


def _with_workers(arguments: list[str], number: int) -> list[str]:
    """The arguments with 0, 1 or 2 workers, and files decoded for each batch or once, if the data is files."""
    options = ["--data.workers", str(number % 3), "--data.in_memory", ("false", "auto")[number % 2]]
    return [*arguments, *options] if "ImageFolder" in arguments else arguments


def run_or_resume(arguments: list[str], directory: Path, *kill: Any) -> int:
    """Resume the run in this directory, or start one. Return the exit code of `run_main`."""
    return run_main([*arguments, "--ckpt_path", "last"] if list(_runs(directory)) else arguments, directory, *kill)


def _runs(directory: Path) -> Iterator[Path]:
    return directory.glob("lightning_logs/*/version_*")


def _only_run(directory: Path) -> Path:
    """The only run directory. Raises ValueError if a resumed run has made another one."""
    (path,) = list(_runs(directory)) or [directory]
    return path
