"""Files of checkpoints: when they are written, that they are whole, and what happens where they cannot be."""

import errno
import gc
import os
import stat
import sys
import weakref
from collections import Counter
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from project.callbacks import checkpoints as kept
from project.checkpoints import files as checkpoints
from project.cli.main import main
from project.system import files
from project.system.errors import UserError
from project.training.classifier import Classifier
from tests.conftest import STEPS

DATA = {"class_names": ["a", "b"], "image_shape": [1, 8, 8], "mean": [0.5], "std": [0.5]}
CHECKPOINT = {"global_step": 1, "epoch": 0, "loops": {}, "format": 1, "network": {}, "loss": {}, "data": DATA}

RUN = Path("lightning_logs/mlp/version_0")


@pytest.fixture
def saved_steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The step of each checkpoint that is written."""
    steps: list[int] = []
    original = checkpoints.write

    def write(checkpoint: dict[str, Any], path: Path) -> None:
        steps.append(checkpoint["global_step"])
        original(checkpoint, path)

    monkeypatch.setattr("project.training.checkpoint_io.write", write)
    return steps


def test_by_epoch_and_by_steps(digits: Callable[..., list[str]], saved_steps: list[int]) -> None:
    main(["fit", *digits(epochs=2)])
    assert saved_steps == [STEPS, 2 * STEPS]
    saved_steps.clear()
    main(["fit", *digits(epochs=2), "--checkpoints.every_n_steps", "11"])
    assert saved_steps == [11, STEPS, 22, 2 * STEPS]


def test_by_minutes(digits: Callable[..., list[str]], saved_steps: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each reading of the clock is 20 s after the one before: one at each step and one at each checkpoint."""
    monkeypatch.setattr(kept, "time", SimpleNamespace(monotonic=count(0, 20).__next__))
    main(["fit", *digits(), "--data.batch_size", "32", "--checkpoints.every_n_minutes", "3"])
    assert saved_steps == [9, 18, 27, 36, 39]


def test_gradients_that_add_up_are_not_cut(digits: Callable[..., list[str]], saved_steps: list[int]) -> None:
    main(["fit", *digits(), "--checkpoints.every_n_steps", "2", "--trainer.accumulate_grad_batches", "5"])
    assert saved_steps == [2, 3]


def test_old_ones_are_pruned(digits: Callable[..., list[str]]) -> None:
    main(["fit", *digits(), "--checkpoints.every_n_steps", "3"])
    files = sorted(path.name for path in (RUN / "checkpoints").iterdir())
    assert files == ["best.ckpt", "last.ckpt", "previous.ckpt"]
    steps = [checkpoints.read(RUN / f"checkpoints/{name}")["global_step"] for name in files]
    assert steps == [STEPS, STEPS, STEPS - STEPS % 3 if STEPS % 3 else STEPS - 3]


def test_no_checkpoints(digits: Callable[..., list[str]]) -> None:
    main(["fit", *digits(), "--trainer.enable_checkpointing", "false"])
    assert not list(RUN.rglob("*.ckpt"))


def test_a_file_changed_in_any_bit_is_not_whole(tmp_path: Path) -> None:
    file, changed = tmp_path / "whole.ckpt", tmp_path / "changed.ckpt"
    checkpoints.write({**CHECKPOINT, "state_dict": {"a": torch.arange(9.0)}}, file)
    assert torch.equal(checkpoints.read(file)["state_dict"]["a"], torch.arange(9.0))
    content = file.read_bytes()
    for bit in range(0, 8 * len(content), 5):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        changed.write_bytes(flipped)
        with pytest.raises(UserError, match="not a whole checkpoint"):
            checkpoints.read(changed)
    for size in range(0, len(content), 50):
        changed.write_bytes(content[:size])
        with pytest.raises(UserError, match="not a whole checkpoint"):
            checkpoints.read(changed)


def test_a_power_cut_leaves_the_old_file_or_the_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[int | str] = []
    synchronise, replace = os.fsync, Path.replace

    def fsync(descriptor: int) -> None:
        status = os.fstat(descriptor)
        done.append("folder" if stat.S_ISDIR(status.st_mode) else status.st_size)
        synchronise(descriptor)

    def rename(path: Path, target: Path) -> Path:
        done.append("name")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", rename)
    checkpoints.write({"state_dict": {"a": torch.arange(9.0)}}, tmp_path / "whole.ckpt")
    assert done == [(tmp_path / "whole.ckpt").stat().st_size, "name", "folder"]  # all of its bytes come first


def test_torchs_own_file_is_read_and_checked(tmp_path: Path) -> None:
    file = tmp_path / "plain.ckpt"
    torch.save({**CHECKPOINT, "state_dict": {"a": torch.arange(999.0)}}, file)
    assert checkpoints.read(file)["global_step"] == 1
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(UserError, match=r"the checksum of .* differs"):
        checkpoints.read(file)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES])
def test_what_cannot_be_written_leaves_the_last_good_one(
    digits: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], code: int
) -> None:
    written = 0

    def synchronise(path: Path) -> None:
        nonlocal written
        written += path.is_file()
        if written == 3:
            raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patched:
        patched.setattr(files, "synchronise", synchronise)
        with pytest.raises(SystemExit) as stopped:
            main(["fit", *digits(epochs=4)])
    assert stopped.value.code == 2
    line = capsys.readouterr().err
    assert line.startswith("error: lightning_logs/mlp/version_0/checkpoints/new.ckpt cannot be written")
    assert os.strerror(code) in line
    assert sorted(path.name for path in (RUN / "checkpoints").iterdir()) == ["best.ckpt", "last.ckpt", "previous.ckpt"]
    assert checkpoints.read(RUN / "checkpoints/last.ckpt")["global_step"] == 2 * STEPS
    main(["fit", *digits(epochs=4), "--ckpt_path", "last"])
    assert checkpoints.read(RUN / "checkpoints/last.ckpt")["global_step"] == 4 * STEPS


def test_last_falls_back_to_one_that_is_whole(
    digits: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    main(["fit", *digits(epochs=3)])
    last = RUN / "checkpoints/last.ckpt"
    weights = checkpoints.read(last)["state_dict"]
    last.unlink()  # best may be the same file
    last.write_bytes((RUN / "checkpoints/previous.ckpt").read_bytes()[:-1000])
    (RUN / "checkpoints/best.ckpt").unlink()
    (RUN / "results.json").unlink()
    main(["fit", *digits(epochs=3), "--ckpt_path", "last"])
    printed = capsys.readouterr().out
    assert "last.ckpt: not a whole checkpoint" in printed
    assert f"going on from lightning_logs/mlp/version_0/checkpoints/previous.ckpt, step {2 * STEPS}" in printed
    again = checkpoints.read(last)["state_dict"]
    assert all(torch.equal(weights[name], again[name]) for name in weights)


@pytest.mark.parametrize(
    ("words", "read"),
    [
        (["fit", "--trainer.max_epochs", "2", "--ckpt_path", "last"], ["last", "best"]),  # best for the final test
        (["fit", "--trainer.max_epochs", "2", "--ckpt_path", "best"], ["best", "best"]),  # another's, then its own
        (["test", "--ckpt_path", "last"], ["last"]),
        (["validate", "--ckpt_path", "best"], ["best"]),
        (["predict", "--ckpt_path", str(RUN / "checkpoints/previous.ckpt")], ["previous"]),
    ],
)
def test_a_checkpoint_is_read_once_and_not_kept(
    digits: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch, words: list[str], read: list[str]
) -> None:
    main(["fit", *digits(), "--checkpoints.every_n_steps", "10"])
    calls: Counter[str] = Counter()
    weights: list[weakref.ref[Any]] = []
    kept: list[Any] = []
    load, check = torch.load, checkpoints.check_digest

    def counted_load(path: Path, *args: Any, **options: Any) -> Any:
        calls[f"load {path.stem}"] += 1
        checkpoint = load(path, *args, **options)
        weights.extend(weakref.ref(value) for value in checkpoint["state_dict"].values())
        return checkpoint

    def counted_check(path: Path) -> None:
        calls[f"digest {path.stem}"] += 1
        check(path)

    def step(self: Classifier, batch: Any, batch_idx: int) -> Any:
        if batch_idx < 2:  # a collection takes half a second
            gc.collect()
        kept.extend(value for reference in weights if (value := reference()) is not None)
        return original(self, batch, batch_idx)

    name = {"fit": "training_step", "test": "test_step", "validate": "validation_step", "predict": "predict_step"}
    original = getattr(Classifier, name[words[0]])
    monkeypatch.setattr(torch, "load", counted_load)
    monkeypatch.setattr(checkpoints, "check_digest", counted_check)
    monkeypatch.setattr(Classifier, name[words[0]], step)
    main([words[0], *digits(), *words[1:]])
    assert calls == Counter(f"{call} {file}" for call in ("load", "digest") for file in read)
    assert len(weights) > 0
    assert kept == []


def test_a_file_that_cannot_be_written_leaves_nothing_to_complain_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """From 3.13 on Python says so where memory is freed that somebody still looks at."""
    said: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", said.append)
    Path("file").touch()
    try:
        checkpoints.write({"state_dict": {}}, Path("file/last.ckpt"))
    except UserError as error:
        error.args = (error,)  # which the garbage collector frees, and with it the frames of its traceback
    gc.collect()
    assert said == []
