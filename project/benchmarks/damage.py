"""Load checkpoints that were cut or changed, and train on disks that become full."""

import random
import shutil
import subprocess
from pathlib import Path
from typing import Any

from project.benchmarks.comparison import differences
from project.benchmarks.processes import run_main
from project.benchmarks.report import OUTPUT, report
from project.benchmarks.resume import arguments_of, random_settings, run_or_resume
from project.checkpoints.files import read

SETTINGS = {
    **random_settings(0),
    **{"experiment": "mlp", "every_n_steps": 20, "precision": "32-true", "plateau": False, "pictures": False},
    **{"transforms": "null", "mix": "null", "source": "memory", "balance": "none"},
}
MEBIBYTES = (2.0, 18.0)  # least and largest size of a disk. A run of SETTINGS takes about 15


def measure(files: int, disks: int) -> None:
    """Report `files` damaged checkpoints (half are cut, half have one bit changed) and `disks` runs on small disks."""
    directory = OUTPUT.absolute() / "damage"
    shutil.rmtree(directory, ignore_errors=True)
    arguments = arguments_of(SETTINGS)
    assert run_main(arguments, directory / "whole") == 0
    (whole,) = (directory / "whole").glob("lightning_logs/*/version_0")
    rows = [_load_damaged(kind, files // 2, directory, whole, arguments) for kind in ("cut", "one bit changed")]
    report("damage", rows)
    if disks:
        report("disk-full", [_small_disks(disks, directory, whole, arguments)])
    shutil.rmtree(directory)


def _load_damaged(kind: str, count: int, directory: Path, whole: Path, arguments: list[str]) -> dict[str, Any]:
    content = (whole / "checkpoints/last.ckpt").read_bytes()
    rng = random.Random(kind)
    outcomes = {"refused in one line": 0, "loaded": 0, "ended otherwise": 0}
    for number in range(1, count + 1):
        damaged = bytearray(content)
        bit = rng.randrange(8 * len(content))
        if kind == "cut":
            del damaged[bit // 8 :]
        else:
            damaged[bit // 8] ^= 1 << bit % 8
        file = directory / f"{kind.replace(' ', '-')}-{number}.ckpt"
        file.write_bytes(damaged)
        outcomes[_outcome(["validate", *arguments[1:], "--ckpt_path", str(file)], directory / file.stem)] += 1
        file.unlink()
        print(f"{kind}: {number} of {count}, {outcomes}", flush=True)
    return {"checkpoints": kind, "tried": count, **outcomes}


def _outcome(arguments: list[str], directory: Path) -> str:
    code = run_main(arguments, directory)
    output = directory.with_suffix(".log").read_text("utf-8")
    directory.with_suffix(".log").unlink()
    if code == 0:
        return "loaded"
    in_one_line = code == 2 and output.startswith("error: ") and output.count("\n") == 1
    return "refused in one line" if in_one_line else "ended otherwise"


def _small_disks(count: int, directory: Path, whole: Path, arguments: list[str]) -> dict[str, Any]:
    """Train on file systems in memory of random size. The resumed run has a larger one. Needs the right to mount."""
    row = {"tried": count, "filled up": 0, "one error line": 0, "last.ckpt whole": 0, "the same bits": 0}
    rng = random.Random(0)
    for number in range(1, count + 1):
        disk = directory / f"disk-{number}"
        disk.mkdir()
        _mount(disk, f"size={1024 * rng.uniform(*MEBIBYTES):.0f}k")
        try:
            code, log = run_main(arguments, disk), disk.with_suffix(".log")
            row["filled up"] += code != 0
            output = log.read_text("utf-8")
            row["one error line"] += code == 2 and output.count("error: ") == 1 and "Traceback" not in output
            last = next(disk.rglob("last.ckpt"), None)
            row["last.ckpt whole"] += last is None or bool(read(last))
            _mount(disk, "remount,size=64m")
            if code:
                assert run_or_resume(arguments, disk) == 0
            row["the same bits"] += not differences(whole, next(disk.glob("lightning_logs/*/version_0")))
        finally:
            subprocess.run(["umount", str(disk)], check=True)
        print(f"disk {number} of {count}: {row}", flush=True)
    return row


def _mount(directory: Path, options: str) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(directory)], check=True)
