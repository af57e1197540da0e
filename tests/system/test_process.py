"""A command leaves the process that it runs in as it was."""

import io
import logging
import os
import platform
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from project.cli.main import main
from project.training.classifier import Classifier
from tests.conftest import REPOSITORY


def state() -> dict[str, Any]:
    names = ("lightning.pytorch", "lightning.fabric", "lightning", "tensorboard", "project", "")
    return {
        "filters": list(warnings.filters),
        "hooks": (threading.excepthook, sys.excepthook, sys.unraisablehook, warnings.showwarning),
        "levels": {name: logging.getLogger(name).level for name in names},
        "handlers": {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)},
        "path": list(sys.path),
    }


def test_a_call_is_as_quiet_as_the_command(
    digits: Callable[..., list[str]], recwarn: pytest.WarningsRecorder, caplog: pytest.LogCaptureFixture
) -> None:
    logger = logging.getLogger("lightning.pytorch")
    logger.addHandler(caplog.handler)
    main(["fit", *digits(), "--trainer.max_steps", "2"])
    main(["test", "--ckpt_path", "last"])
    logger.removeHandler(caplog.handler)
    assert [str(warning.message) for warning in recwarn] == []
    assert caplog.messages == []


def interrupt(*args: object) -> None:
    raise KeyboardInterrupt


def terminate(*args: Any, step: Callable[..., Any] = Classifier.training_step) -> Any:
    os.kill(os.getpid(), signal.SIGTERM)
    return step(*args)


@pytest.mark.parametrize(
    ("words", "step"),
    [
        (["fit"], None),
        (["fit"], interrupt),
        (["fit"], terminate),
        (["fit", "--no_such_option"], None),
        (["fit", "--model.network", "mine.Mine"], None),
        (["test", "--ckpt_path", "last"], None),
    ],
)
def test_a_call_leaves_the_process_as_it_was(
    digits: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch, words: list[str], step: Any
) -> None:
    def changed(*args: object) -> None:
        raise AssertionError

    monkeypatch.setattr("project.system.process.keep_freed_memory", changed)
    if step is not None:
        monkeypatch.setattr(Classifier, "training_step", step)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job is started without it
    before = state()
    with suppress(SystemExit, KeyboardInterrupt):
        main([words[0], *digits(), "--trainer.max_steps", "2", *words[1:]])
    assert state() == before


def test_a_letter_that_the_terminal_lacks_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("project.cli.main.keep_freed_memory", lambda: None)
    path = Path("lightning_logs/caf\xe9/version_0/checkpoints/last.ckpt")
    path.parent.mkdir(parents=True)
    path.touch()
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, "ascii"))
    with pytest.raises(SystemExit):  # the file is empty
        main(["export", "--to", "pt2", "--ckpt_path", "caf\xe9"], own_process=True)
    assert written.getvalue().startswith(b"checkpoint lightning_logs/caf\\xe9/version_0")


PROGRAM = """
import gc, logging, runpy, sys, threading, warnings
from project.system import memory
before = list(warnings.filters)
sys.argv = ["main.py", "fit", "--help"]
try:
    runpy.run_path(r"{script}", run_name="__main__")
except SystemExit:
    print("calls", memory.keep_freed_memory.cache_info().misses)
    print("level", logging.getLogger("lightning.pytorch").level)
    print("hook", threading.excepthook.__module__)
    print("filters", warnings.filters != before)
    print("unused", [name for name in ("scipy.stats", "sklearn", "onnx", "tensorboard") if name in sys.modules])
    print("garbage", gc.isenabled(), gc.get_freeze_count() > 100_000)
    from scipy.signal import windows
    import scipy.signal
    print("signal", scipy.signal.find_peaks([0, 2, 1])[0], windows is scipy.signal.windows, scipy.signal.convolve)

def fail():
    raise OSError("in a thread")

class _AsyncWriterThread(threading.Thread):  # as TensorBoard calls its writer's
    pass

for kind in (_AsyncWriterThread, threading.Thread):
    thread = kind(target=fail)
    thread.start()
    thread.join()
"""


@pytest.mark.parametrize("script", ["main.py"])
def test_the_door_sets_up_its_process(script: str) -> None:
    program = PROGRAM.format(script=REPOSITORY / "scripts" / script)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    *_, calls, level, hook, filters, unused, garbage, signals = done.stdout.splitlines()
    assert [calls, level, hook, filters] == ["calls 1", "level 30", "hook project.system.process", "filters True"]
    assert garbage == "garbage True True"
    assert unused == "unused []" or find_spec("transformers")  # torchmetrics imports it, and it imports scikit-learn
    assert signals.startswith("signal [1] True <function convolve")  # it is imported when it is used
    assert done.stderr.count("OSError: in a thread") == 1  # the writer's is reported where it is written to


MEMORY = """
import resource
from project.system.memory import keep_freed_memory

def new_pages():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [b"1" * 2**20 for _ in range(256)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

keep_freed_memory()
new_pages()
print(new_pages())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is set")
def test_a_steps_memory_is_the_last_ones() -> None:
    done = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 1000  # 256 MiB are 65536 pages of 4 KiB
