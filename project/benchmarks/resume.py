"""Runs of random settings are killed at random moments and resumed, and must end as if nothing had happened."""

import multiprocessing
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from project.benchmarks.comparison import differences, points, rows
from project.benchmarks.report import OUTPUT, report, save
from project.benchmarks.runs import CONFIGS, MAIN
from project.system.process import settle

# Processes that have imported everything once are forked, so that a trial takes seconds.
CONTEXT = multiprocessing.get_context("forkserver")
MOMENTS = ("any", "any", "any", "validation", "last batch", "while a checkpoint is written")
EXPERIMENTS: dict[str, list[str]] = {
    "mlp": [],
    "dropout": ["--model.network", f"{__name__}.DropoutNetwork"],
    "convnet": ["--model.network.widths", "[8, 16, 16, 8]"],
    "speed": ["--model.network.widths", "[8, 8, 8]", "--data.curriculum", "{16: 0.4, 24: 0.8}"],
}
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


def resume(kills: int, lanes: int = 2) -> None:
    """`kills` kills, `lanes` at a time, each with settings and a moment drawn from its number."""
    CONTEXT.set_forkserver_preload(["project.cli.main", "project.benchmarks.resume"])
    folder = OUTPUT.absolute() / "resume"
    trials: list[Settings] = []
    with ThreadPoolExecutor(lanes) as pool:
        outcomes = pool.map(lambda n: trial(folder / str(n), drawn(n), random.Random(-n - 1)), range(kills))
        try:
            for number, outcome in enumerate(outcomes, 1):
                trials.append(outcome)
                print(f"run {number} of {kills}: {outcome}", flush=True)
                save("resume", {"finished": False, "trials": trials})
        except KeyboardInterrupt:
            pool.shutdown(cancel_futures=True)
            raise
    table = []
    for moment in sorted(set(MOMENTS)):
        chosen = [one for one in trials if one["moment"] == moment]
        table.append({"killed at": moment, **_counted(chosen)})
    table.append({"killed at": "all", **_counted(trials)})
    report("resume", table, finished=True, trials=trials)


def _counted(trials: Sequence[Settings]) -> dict[str, int]:
    return {
        "runs": len(trials),
        "kills": sum(one["kills"] for one in trials),
        "the same bits": sum(not one["differences"] for one in trials),
        "differences": sum(len(one["differences"]) for one in trials),
        "rows lost": sum(one["rows lost"] for one in trials),
        "rows doubled": sum(one["rows doubled"] for one in trials),
    }


def drawn(number: int) -> Settings:
    """The settings of a trial."""
    draw = random.Random(number)
    return {
        "experiment": draw.choice(list(EXPERIMENTS)),
        "batch_size": draw.choice([16, 32, 50]),
        "accumulate": draw.choice([1, 1, 2, 3]),
        "precision": draw.choice(["32-true", "bf16-mixed"]),
        "averaging": draw.choice([False, True]),
        "plateau": draw.choice([False, True]),
        "every_n_steps": draw.choice([None, 1, 5, 17]),
        "val_check_interval": draw.choice([1.0, 1.0, 0.5]),
        "processes": draw.choices([1, 2], [15, 1])[0],
        "moment": draw.choice(MOMENTS),
        "seed": draw.randrange(1000),
    }


def words_of(settings: Settings) -> list[str]:
    """What follows `main.py` for the settings of a trial: three epochs on the digits."""
    name = settings["experiment"]
    words = ["fit", "--config", str(CONFIGS / f"{'mlp' if name == 'dropout' else name}.yaml")]
    words += ["--config", str(CONFIGS / "data/digits.yaml"), *EXPERIMENTS[name], "--data.shift", "2"]
    words += ["--data.batch_size", str(settings["batch_size"]), "--data.flip", "random"]
    words += ["--seed_everything", str(settings["seed"]), "--trainer.max_epochs", "3", "--trainer.accelerator", "cpu"]
    words += ["--trainer.precision", settings["precision"], "--trainer.log_every_n_steps", "3"]
    words += ["--trainer.accumulate_grad_batches", str(settings["accumulate"])]
    words += ["--trainer.val_check_interval", str(settings["val_check_interval"])]
    if settings["averaging"]:
        words += ["--trainer.callbacks", "AveragedWeights", "--trainer.callbacks.decay", "0.9"]
    if settings["plateau"]:
        words += ["--model.lr_scheduler", "Plateau", "--model.lr_scheduler.patience", "0"]
    if settings["every_n_steps"]:
        words += ["--checkpoints.every_n_steps", str(settings["every_n_steps"])]
    if settings["processes"] > 1:
        words += ["--trainer.strategy", "ddp", "--trainer.devices", str(settings["processes"])]
    return words


def trial(folder: Path, settings: Settings, draw: random.Random) -> Settings:
    """A run that is left alone, and one that is killed, up to three times, and resumed; what differs between them."""
    words = words_of(settings)
    shutil.rmtree(folder, ignore_errors=True)
    started = time.monotonic()
    assert run(words, folder / "whole") == 0
    seconds = time.monotonic() - started
    kills = 0
    for attempt in range(3):
        moment = (settings["moment"], draw.randrange(1, 4)) if attempt == 0 else ("any", 0)
        code = _continued(words, folder / "killed", moment, draw.random() * seconds)
        assert code in (0, -signal.SIGKILL), f"{folder}: exit code {code}"
        kills += code == -signal.SIGKILL
        if code == 0 or (kills and draw.random() < 0.7):
            break
    if not (_only_run(folder / "killed") / "results.json").exists():
        assert _continued(words, folder / "killed") == 0
    pair = [_only_run(folder / part) for part in ("whole", "killed")]
    found = differences(*pair)
    lost, doubled = (rows(*pair)[place] + points(*pair)[place] for place in (0, 1))
    if not found:  # else it stays to be looked at
        shutil.rmtree(folder)
    outcome = {"differences": found, "rows lost": len(lost), "rows doubled": len(doubled)}
    return {**settings, "kills": kills, **outcome}


def _continued(words: list[str], folder: Path, *how: Any) -> int:
    return run([*words, "--ckpt_path", "last"] if _begun(folder) else words, folder, *how)


def _begun(folder: Path) -> bool:
    return any(folder.glob("lightning_logs/*/version_0"))


def _only_run(folder: Path) -> Path:
    """Raises ValueError where a resumed run has made a directory of its own."""
    (path,) = folder.glob("lightning_logs/*/version_*") if _begun(folder) else [folder]
    return path


def run(words: Sequence[str], folder: Path, moment: tuple[str, int] = ("", 0), seconds: float | None = None) -> int:
    """The exit code of main.py in a process of its own, killed after `seconds` where the moment is `any`."""
    folder.mkdir(parents=True, exist_ok=True)
    process: ForkServerProcess = CONTEXT.Process(target=_run, args=(list(words), folder, *moment))
    process.start()
    if moment[0] == "any":
        process.join(seconds)
        if process.pid is not None and process.is_alive():
            with suppress(ProcessLookupError):  # it has not made its group yet: nothing of the run has begun
                os.killpg(process.pid, signal.SIGKILL)
            process.kill()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def _run(words: list[str], folder: Path, moment: str, count: int) -> None:
    from project.cli.main import main

    as_from_a_shell(words, folder)
    _kill_at(moment, count)
    main(words)


def as_from_a_shell(words: list[str], folder: Path) -> None:
    """Let this process look as if `main.py words` had been typed in `folder`, with its output in a log beside it."""
    os.setsid()  # a kill reaches the processes that it starts
    log = os.open(folder.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.chdir(folder)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    sys.argv = [str(MAIN), *words]
    settle()


def _kill_at(moment: str, count: int) -> None:
    """Let this process kill itself the `count`th time that something is done."""
    from project.system import files
    from project.training.classifier import Classifier

    calls = 0

    def kill(when: bool = True) -> None:
        nonlocal calls
        calls += when
        if calls == count:
            os.killpg(os.getpid(), signal.SIGKILL)

    def before(owner: Any, name: str, when: Callable[..., bool]) -> None:
        original = getattr(owner, name)

        def wrapped(*args: Any) -> Any:
            kill(when(*args))
            return original(*args)

        setattr(owner, name, wrapped)

    if moment == "validation":
        before(Classifier, "validation_step", lambda *args: True)
    if moment == "last batch":
        before(Classifier, "training_step", lambda self, batch, number: number + 1 == self.trainer.num_training_batches)
    if moment == "while a checkpoint is written":
        before(files, "synchronise", lambda path: path.is_file())
