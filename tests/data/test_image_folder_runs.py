"""A run on a folder of images, stopped and resumed, is the run that was not; its workers end with it."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from project.benchmarks.comparison import differences
from project.cli.main import main
from project.training.classifier import Classifier
from tests.conftest import CONFIGS, REPOSITORY
from tests.data_sets import write_image_folder

WHOLE, RESUMED = Path("lightning_logs/mlp/version_0"), Path("lightning_logs/mlp/version_1")
OPTIONS = ["--data.data_dir", "images", "--data.image_size", "16", "--data.batch_size", "4", "--data.shift", "2"]
CONFIG = ["--config", str(CONFIGS / "mlp.yaml"), "--config", str(CONFIGS / "data/image_folder.yaml")]
TRANSFORMS = ["--data.transforms", "[{class_path: RandomResizedCrop, init_args: {size: 16}}, RandomErasing]"]
TRANSFORMS += ["--data.mix", "{mixup: 0.4, cutmix: 1, each: image}"]
WORDS = ["fit", *CONFIG, *OPTIONS, *TRANSFORMS, "--trainer.accelerator", "cpu", "--trainer.log_every_n_steps", "1"]


@pytest.fixture(autouse=True)
def folder() -> None:
    write_image_folder(Path("images"), count=20)


def children() -> set[int]:
    """The processes that this one has started and that still are."""
    return set(map(int, Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()))


def test_stopped_and_resumed(monkeypatch: pytest.MonkeyPatch) -> None:
    original, before = Classifier.training_step, children()

    def training_step(self: Classifier, batch: object, batch_idx: int) -> torch.Tensor:
        if self.global_step == 12:  # in the second epoch of nine steps
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self, batch, batch_idx)  # type: ignore[arg-type]

    main([*WORDS, "--trainer.max_epochs", "3", "--data.workers", "0"])
    with monkeypatch.context() as patched:
        patched.setattr(Classifier, "training_step", training_step)
        with pytest.raises(SystemExit) as stopped:
            main([*WORDS, "--trainer.max_epochs", "3", "--data.workers", "2"])
    assert stopped.value.code == 143
    main([*WORDS, "--trainer.max_epochs", "3", "--data.workers", "1", "--ckpt_path", "last"])
    assert differences(WHOLE, RESUMED) == []
    assert children() <= before  # a process of an earlier test may have ended meanwhile


def test_validation_in_the_middle_and_limits_change_nothing_of_the_weights() -> None:
    more = ["--trainer.max_epochs", "2", "--trainer.limit_train_batches", "7"]
    main([*WORDS, *more, "--data.workers", "0"])
    main([*WORDS, *more, "--data.workers", "2", "--trainer.val_check_interval", "3"])
    ours, theirs = (torch.load(run / "checkpoints/last.ckpt", weights_only=True) for run in (WHOLE, RESUMED))
    assert ours["global_step"] == theirs["global_step"] == 14
    assert all(torch.equal(weights, theirs["state_dict"][name]) for name, weights in ours["state_dict"].items())


def alive(group: int) -> set[int]:
    """The processes of a group that have not ended."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, its_group = path.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(its_group) == group and state != "Z":
            found.add(int(path.parent.name))
    return found


def ignores(process: int, signum: int) -> bool:
    """Whether a process ignores a signal, as a worker does once it is ready."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False
    mask = next(line.split()[1] for line in status.splitlines() if line.startswith("SigIgn:"))
    return bool(int(mask, 16) >> (signum - 1) & 1)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_workers_leave_signals_to_the_run_and_end_with_it() -> None:
    command = [sys.executable, str(REPOSITORY / "scripts/main.py"), *WORDS, "--trainer.max_epochs", "100000"]
    command += ["--pictures", "false"]
    with subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        assert run.stdout is not None
        assert any(line.startswith(b"epoch") for line in run.stdout)
        while not (workers := {one for one in alive(run.pid) - {run.pid} if ignores(one, signal.SIGTERM)}):
            time.sleep(0.01)
        for worker in workers:
            with contextlib.suppress(ProcessLookupError):  # its epoch is over
                os.kill(worker, signal.SIGTERM)
        assert any(line.startswith(b"epoch") for line in run.stdout)
        run.kill()
        assert run.stderr is not None
        assert run.stderr.read() == b""
    for _ in range(600):  # a busy machine lets them end late
        if not alive(run.pid):
            break
        time.sleep(0.1)
    assert alive(run.pid) == set()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent has ended")
def test_a_worker_whose_parent_was_killed_before_it_began() -> None:
    program = "import os; from project.data.decoding import _follow_parent"
    for parent in ("os.getppid()", "os.getppid() + 1"):
        program += f"; _follow_parent({parent}, 0); print('works', flush=True)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "works\n"
