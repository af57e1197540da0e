"""What becomes of checkpoints that were cut or changed, and of runs whose disk fills up."""

import random
import shutil
import subprocess
from pathlib import Path
from typing import Any

from project.benchmarks.comparison import differences
from project.benchmarks.report import OUTPUT, report
from project.benchmarks.resume import CONTEXT, drawn, run, words_of
from project.checkpoints.files import read

SETTINGS = {**drawn(0), "experiment": "mlp", "every_n_steps": 20, "precision": "32-true", "plateau": False}
MEBIBYTES = (2.0, 18.0)  # of a disk; a run of SETTINGS takes about 15


def damage(files: int, disks: int) -> None:
    """`files` damaged checkpoints, half of them cut, half with a bit changed; `disks` runs on a disk that is small."""
    CONTEXT.set_forkserver_preload(["project.cli.main", "project.benchmarks.resume"])
    folder = OUTPUT.absolute() / "damage"
    shutil.rmtree(folder, ignore_errors=True)
    words = words_of(SETTINGS)
    assert run(words, folder / "whole") == 0
    (whole,) = (folder / "whole").glob("lightning_logs/*/version_0")
    rows = [_damaged(kind, files // 2, folder, whole, words) for kind in ("cut", "one bit changed")]
    report("damage", rows)
    if disks:
        report("disk-full", [_small_disks(disks, folder, whole, words)])
    shutil.rmtree(folder)


def _damaged(kind: str, count: int, folder: Path, whole: Path, words: list[str]) -> dict[str, Any]:
    content = (whole / "checkpoints/last.ckpt").read_bytes()
    draw = random.Random(kind)
    outcomes = {"refused in one line": 0, "loaded": 0, "ended otherwise": 0}
    for number in range(1, count + 1):
        damaged = bytearray(content)
        place = draw.randrange(8 * len(content))
        if kind == "cut":
            del damaged[place // 8 :]
        else:
            damaged[place // 8] ^= 1 << place % 8
        file = folder / f"{kind.replace(' ', '-')}-{number}.ckpt"
        file.write_bytes(damaged)
        outcomes[_outcome(["validate", *words[1:], "--ckpt_path", str(file)], folder / file.stem)] += 1
        file.unlink()
        print(f"{kind}: {number} of {count}, {outcomes}", flush=True)
    return {"checkpoints": kind, "tried": count, **outcomes}


def _outcome(words: list[str], folder: Path) -> str:
    code = run(words, folder)
    said = folder.with_suffix(".log").read_text()
    folder.with_suffix(".log").unlink()
    if code == 0:
        return "loaded"
    return (
        "refused in one line"
        if code == 2 and said.startswith("error: ") and said.count("\n") == 1
        else "ended otherwise"
    )


def _small_disks(count: int, folder: Path, whole: Path, words: list[str]) -> dict[str, Any]:
    """Each a file system in memory, of a size that is drawn; larger for the resumed run. Needs the right to mount."""
    row = {"tried": count, "filled up": 0, "one error line": 0, "last.ckpt whole": 0, "the same bits": 0}
    draw = random.Random(0)
    for number in range(1, count + 1):
        disk = folder / f"disk-{number}"
        disk.mkdir()
        _mount(disk, f"size={1024 * draw.uniform(*MEBIBYTES):.0f}k")
        try:
            code, log = run(words, disk), disk.with_suffix(".log")
            row["filled up"] += code != 0
            said = log.read_text()
            row["one error line"] += code == 2 and said.count("error: ") == 1 and "Traceback" not in said
            last = next(disk.rglob("last.ckpt"), None)
            row["last.ckpt whole"] += last is None or bool(read(last))
            _mount(disk, "remount,size=64m")
            if code:
                begun = any(disk.glob("lightning_logs/*/version_0"))
                assert run([*words, "--ckpt_path", "last"] if begun else words, disk) == 0
            row["the same bits"] += not differences(whole, next(disk.glob("lightning_logs/*/version_0")))
        finally:
            subprocess.run(["umount", str(disk)], check=True)
        print(f"disk {number} of {count}: {row}", flush=True)
    return row


def _mount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
