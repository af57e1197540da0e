"""What a user reads of a checkpoint that is missing, damaged, of something else, or finished."""

from collections.abc import Callable
from itertools import cycle
from pathlib import Path

import pytest
import torch

from project.cli.main import main
from tests.cli.test_errors import DIGITS, QUICK


@pytest.mark.parametrize("command", ["test", "validate", "predict"])
def test_random_weights_are_never_scored(error: Callable[..., str], command: str) -> None:
    for words in ([], DIGITS):
        assert error(command, *words).startswith(f"{command} needs trained weights: give --ckpt_path with a checkpoint")


@pytest.mark.parametrize("option", ["top", "all_classes", "device"])
def test_an_option_of_predict_images_without_images(error: Callable[..., str], option: str) -> None:
    line = error("predict", *DIGITS, "--ckpt_path", "best", f"--{option}", "2")
    assert line == f"--{option}: an option of predict --images; give --images with image files or folders"


@pytest.mark.parametrize("name", ["last", "best"])
def test_nothing_to_resume(error: Callable[..., str], name: str) -> None:
    assert "no run in lightning_logs/mlp" in error("fit", *QUICK, "--ckpt_path", name)
    assert not list(Path().glob("lightning_logs/*/*"))


def test_missing_checkpoint(error: Callable[..., str]) -> None:
    assert "there is no such file" in error("fit", *QUICK, "--ckpt_path", "none.ckpt")


def test_finished_run(error: Callable[..., str], finished_run: Callable[..., None]) -> None:
    finished_run()
    assert "has finished its 1 epochs" in error("fit", *QUICK, "--ckpt_path", "last")


def test_run_finished_by_its_steps(error: Callable[..., str]) -> None:
    words = [*QUICK, "--trainer.max_epochs", "3", "--trainer.max_steps", "5"]
    main(["fit", *words])
    assert "has finished its 5 steps" in error("fit", *words, "--ckpt_path", "last")


def test_less_than_was_done_is_asked_for(error: Callable[..., str]) -> None:
    main(["fit", *QUICK, "--trainer.max_epochs", "2"])
    Path("lightning_logs/mlp/version_0/results.json").unlink()
    assert "last.ckpt is at 2; give at least that" in error("fit", *QUICK, "--ckpt_path", "last")
    steps = ["--trainer.max_epochs", "2", "--trainer.max_steps", "5"]
    assert "last.ckpt is at 24" in error("fit", *QUICK, *steps, "--ckpt_path", "last")


def test_broken_checkpoints(error: Callable[..., str], finished_run: Callable[..., None]) -> None:
    finished_run()
    whole = Path("lightning_logs/mlp/version_0/checkpoints/last.ckpt").read_bytes()
    for broken in (whole[: len(whole) // 2], b"", b"not a checkpoint"):
        Path("broken.ckpt").write_bytes(broken)
        assert "--ckpt_path broken.ckpt: not a whole checkpoint" in error("test", *QUICK, "--ckpt_path", "broken.ckpt")
    for other in ({"weights": 1}, torch.zeros(1)):
        torch.save(other, "other.ckpt")
        assert "--ckpt_path other.ckpt: it has no state_dict, which" in error(
            "fit", *QUICK, "--ckpt_path", "other.ckpt"
        )


def test_checkpoints_of_another_project(error: Callable[..., str], finished_run: Callable[..., None]) -> None:
    finished_run()
    whole = torch.load("lightning_logs/mlp/version_0/checkpoints/last.ckpt", weights_only=True)

    def line(command: str, **changed: object) -> str:
        changed = whole | changed
        torch.save({key: value for key, value in changed.items() if value is not None}, "other.ckpt")
        return error(command, *QUICK, "--trainer.max_epochs", "2", "--ckpt_path", "other.ckpt")

    keys = ("state_dict", "epoch", "global_step", "loops", "network", "loss", "data")
    for key, command in zip(keys, cycle(["fit", "test", "predict"]), strict=False):
        expected = f"--ckpt_path other.ckpt: it has no {key}, which every checkpoint of this project has; give best"
        assert expected in line(command, **{key: None})
    for key in ("optimizer_states", "lr_schedulers"):
        expected = f"--ckpt_path other.ckpt: it has no {key}, which training needs; give best, last or"
        assert expected in line("fit", **{key: None})
    other_shape = {**whole["data"], "image_shape": [3, 8, 8]}
    assert "(its images have the shape [3, 8, 8], the data's [3, 32, 32])" in line("test", data=other_shape)
    assert line("test", format=2).startswith("--ckpt_path other.ckpt: a newer version of this project wrote it;")
    assert line("test", format=None).startswith("--ckpt_path other.ckpt: an older version of this project wrote it,")
    assert "it has no format, which every" in line("test", format=None, given_options=None)
    assert len(list(Path("lightning_logs/mlp").iterdir())) == 1


def test_checkpoint_of_another_network(error: Callable[..., str], finished_run: Callable[..., None]) -> None:
    finished_run()
    wider = error("test", *QUICK, "--model.network.hidden", "[9]", "--ckpt_path", "best")
    assert "a checkpoint of another network or other data (the network has no network.5.weight)" in wider
    other = error("test", *QUICK, "--model.network.hidden", "[9,9]", "--ckpt_path", "best")
    assert "network.1.weight is [128, 3072] in it and [9, 3072] in the network" in other


def test_checkpoint_of_other_data(error: Callable[..., str], finished_run: Callable[..., None]) -> None:
    finished_run()
    assert "its class 0 is 0, the data's airplane" in error(
        "test", *QUICK, "--data", "project.data.CIFAR10", "--ckpt_path", "best"
    )


def test_checkpoint_of_other_classes(error: Callable[..., str]) -> None:
    two = [*QUICK, "--data.val_size", "9", "--data.classes"]
    main(["fit", *two, "[0, 1]"])
    for command in (["test"], ["predict"], ["fit", "--trainer.max_epochs", "2"]):
        line = error(command[0], *two, "[0, 7]", *command[1:], "--ckpt_path", "last")
        assert "a checkpoint of another network or other data (its class 1 is 1, the data's 7)" in line
    main(["test", *two, "[0, 1]", "--ckpt_path", "last"])


class Malicious:
    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return Path.touch, (Path("harm"),)  # type: ignore[return-value]


@pytest.mark.parametrize("command", ["fit", "validate", "test", "predict"])
def test_malicious_checkpoint_runs_nothing(error: Callable[..., str], command: str) -> None:
    torch.save({"state_dict": {}, "global_step": 1, "harm": Malicious()}, "harm.ckpt")
    assert "not a whole checkpoint" in error(command, *QUICK, "--ckpt_path", "harm.ckpt")
    assert not Path("harm").exists()


def test_malicious_last_checkpoint_runs_nothing(error: Callable[..., str], finished_run: Callable[..., None]) -> None:
    finished_run()
    folder = Path("lightning_logs/mlp/version_0/checkpoints")
    for path in folder.iterdir():
        torch.save({"state_dict": {}, "global_step": 1, "harm": Malicious()}, path)
    assert "not a whole checkpoint" in error("fit", *QUICK, "--trainer.max_epochs", "2", "--ckpt_path", "last")
    assert not Path("harm").exists()
