"""Which run a command means, from its options alone."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from project.checkpoints.files import read, write
from project.runs import directories
from project.runs.plan import RunOptions, RunPlan, newest_whole, plan_evaluation, plan_fit
from project.system.errors import UserError

DATA = {"class_names": ["a", "b"], "image_shape": [1, 8, 8], "mean": [0.5], "std": [0.5]}


def checkpoint(path: Path, step: int) -> None:
    described = {"format": 1, "network": {}, "loss": {}, "data": DATA}
    training = {"optimizer_states": [], "lr_schedulers": []}
    write({"state_dict": {}, "epoch": 0, "global_step": step, "loops": {}, **described, **training}, path)


def test_the_run_to_resume_is_the_newest_that_began(tmp_path: Path) -> None:
    assert directories.newest_run(tmp_path, "net") is None
    made = [directories.create_run(tmp_path, "net", {"config.yaml": ""}) for _ in range(11)]
    (tmp_path / "net/version_20").mkdir()
    assert directories.newest_run(tmp_path, "net") == made[10]
    assert directories.newest_run(tmp_path, "other", [made[3] / "config.yaml"]) == made[3]


def newest(run: Path) -> Path:
    found = newest_whole(run)
    assert found is not None
    assert found[1] == read(found[0])
    return found[0]


def test_the_newest_whole_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert newest_whole(tmp_path) is None
    last, previous, best = (tmp_path / f"checkpoints/{name}.ckpt" for name in ("last", "previous", "best"))
    for step, path in enumerate((previous, best, last), 1):
        checkpoint(path, step)
    assert newest(tmp_path) == last
    assert capsys.readouterr().out == ""
    last.write_bytes(last.read_bytes()[:-100])
    assert newest(tmp_path) == best
    assert "last.ckpt: not a whole checkpoint" in (said := capsys.readouterr().out)
    assert said.endswith(f"going on from {best}, step 2\n")
    best.unlink()
    last.unlink()
    assert newest(tmp_path) == previous
    previous.write_bytes(b"")
    with pytest.raises(UserError, match="there is no such file"):
        newest_whole(tmp_path)


def plan(root: Path, ckpt_path: str | None = None, **options: Any) -> RunPlan:
    with ExitStack() as cleanup:
        return plan_fit(RunOptions(root, name="net", ckpt_path=ckpt_path, **options), cleanup)


def test_a_new_run(tmp_path: Path) -> None:
    directories.create_run(tmp_path, "net", {"config.yaml": ""})
    assert plan(tmp_path) == RunPlan("net", tmp_path)


def test_last_goes_on_in_the_newest_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--ckpt_path last: there is no run in .*net; start one without"):
        plan(tmp_path, "last")
    run = directories.create_run(tmp_path, "net", {"config.yaml": ""})
    assert plan(tmp_path, "last") == RunPlan("net", tmp_path, run)  # it had no checkpoint yet
    checkpoint(last := run / "checkpoints/last.ckpt", 7)
    assert plan(tmp_path, "last") == RunPlan("net", tmp_path, run, last, read(last), 7)
    held = directories.lock_run(run)
    with pytest.raises(UserError, match="another process is training"):
        plan(tmp_path, "last")
    held.release()
    plan(tmp_path, "last")
    directories.lock_run(run).release()  # the plan's own lock was given back


@pytest.mark.parametrize("name", ["best", "a file"])
def test_another_checkpoint_begins_a_new_run(tmp_path: Path, name: str) -> None:
    run = directories.create_run(tmp_path, "net", {"config.yaml": ""})
    checkpoint(best := run / "checkpoints/best.ckpt", 3)
    assert plan(tmp_path, str(best) if name == "a file" else name) == RunPlan(
        "net", tmp_path, None, best, read(best), 3
    )


def test_a_run_that_is_long_enough(tmp_path: Path) -> None:
    run = directories.create_run(tmp_path, "net", {"config.yaml": ""})
    checkpoint(run / "checkpoints/last.ckpt", 30)
    (run / "results.json").write_text(json.dumps({"epochs": 3, "steps": 30}))
    for limits, done in (({"max_epochs": 3}, "3 epochs"), ({"max_epochs": 9, "max_steps": 30}, "30 steps")):
        with pytest.raises(UserError, match=f"has finished its {done}; give a larger --trainer.max_epochs"):
            plan(tmp_path, "last", **limits)
    assert plan(tmp_path, "last", max_epochs=4).first_step == 30
    with pytest.raises(UserError, match=r"--trainer.max_steps 20: .*last.ckpt is at 30; give at least that number"):
        plan(tmp_path, str(run / "checkpoints/last.ckpt"), max_steps=20)


def test_a_job_that_slurm_has_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, _ = (
        directories.create_run(tmp_path, "net", {"config.yaml": "", "environment.yaml": f"job: '{job}'\n"})
        for job in (7, 8)
    )
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert plan(tmp_path).resumed is None
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert plan(tmp_path).resumed == ours
    monkeypatch.setenv("SLURM_JOB_ID", "9")
    assert plan(tmp_path).resumed is None


def test_evaluation_needs_a_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="predict needs trained weights: give --ckpt_path with a checkpoint file"):
        plan_evaluation("predict", RunOptions(tmp_path, name="net"))
    run = directories.create_run(tmp_path, "net", {"config.yaml": ""})
    checkpoint(best := run / "checkpoints/best.ckpt", 3)
    found = plan_evaluation("test", RunOptions(tmp_path, configs=[run / "config.yaml"], ckpt_path="best"))
    assert (found.checkpoint_path, found.resumed) == (best, None)
