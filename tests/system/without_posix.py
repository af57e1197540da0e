"""A fit, its resume and a test, without the names that Windows or macOS has not. Its arguments are the words of a fit.

At its end, a step of MuonSGD shows which precision the processor computes.

Modules of others come first: they use the names of the system on which they are imported.
"""

import contextlib
import os
import signal
import sys

import filelock  # noqa: F401
import lightning.pytorch.trainer.connectors.signal_connector as lightning_signals
import torch
import torchvision.transforms.v2  # noqa: F401

POSIX = {
    signal: ("SIGUSR1", "SIGUSR2", "SIGPIPE", "SIGALRM", "SIGHUP", "alarm", "setitimer"),
    os: ("sysconf", "wait4", "getuid", "sched_getaffinity", "mkfifo", "getloadavg", "nice", "killpg", "fork"),
}


def remove_posix() -> None:
    for module, names in POSIX.items():
        for name in names:
            with contextlib.suppress(AttributeError):
                delattr(module, name)
    for name in ("fcntl", "resource", "termios", "pwd", "grp"):
        sys.modules[name] = None  # type: ignore[assignment]
    if hasattr(os, "process_cpu_count"):  # Python 3.13; where there is no affinity, it counts the cores
        os.process_cpu_count = os.cpu_count
    sys.platform = "darwin"
    lightning_signals._IS_WINDOWS = True
    # which would otherwise restore the handler of SIGKILL, as Windows has no such signal
    lightning_signals._SignalConnector._get_current_signal_handlers = staticmethod(dict)  # type: ignore[assignment]


def precisions_of_muon() -> set[torch.dtype]:
    from project.optim import MuonSGD

    original, seen = torch.baddbmm, set[torch.dtype]()
    torch.baddbmm = lambda current, *others, **factors: seen.add(current.dtype) or original(current, *others, **factors)
    hidden, head = (torch.nn.Parameter(torch.ones(2, 2)) for _ in range(2))
    hidden.grad = torch.ones(2, 2)
    MuonSGD([hidden, head]).step()
    return seen


if __name__ == "__main__":
    remove_posix()
    from project.cli.main import main
    from project.runs.directories import is_training, lock_run

    words = sys.argv[1:]
    main(["fit", *words, "--trainer.max_steps", "4"], own_process=True)
    run = main(["fit", *words, "--trainer.max_steps", "8", "--ckpt_path", "last"], own_process=True).directory
    main(["test", "--ckpt_path", "last"], own_process=True)
    main(["compare"], own_process=True)
    with lock_run(run):
        print("training:", is_training(run))
    print("training:", is_training(run))
    with contextlib.suppress(SystemExit):
        main(["fit", "--model.network", "json.Net"], own_process=True)
    print("help:", "project.cli.help" in sys.modules)  # takes time, and only --help needs it
    print("muon:", *precisions_of_muon())
