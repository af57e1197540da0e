"""Fetching an archive: once, with retry, checked, and with nothing half-written left behind."""

import os
import tarfile
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import IO
from urllib.request import urlopen

from filelock import FileLock
from torchvision.datasets.utils import check_integrity

from project.errors import UserError

ANSWER_SECONDS = (
    8  # for a server's first answer, so that a machine without a network is told within 15 s of its command
)
STALL_SECONDS = 60  # without a byte, in the middle of a download
TRIES = 3


@dataclass(frozen=True)
class Archive:
    """A gzipped tar file at `url` that holds `folder` with `files`; MD5 sums of the archive and of each file."""

    url: str
    md5: str
    folder: str
    files: Mapping[str, str]
    without: str

    @property
    def name(self) -> str:
        return self.url.rsplit("/", 1)[-1]

    def obtain(self, data_dir: Path) -> None:
        """Make sure that data_dir/folder is there and whole: checked, else unpacked from data_dir, else fetched.

        The folder appears at one go, so whoever sees it sees all of it; a second process waits for the first's.

        Raises:
            UserError: a file or the archive is damaged, there is no network, or `data_dir` cannot be written.
        """
        if (data_dir / self.folder).exists():
            return self.check(data_dir)
        try:
            data_dir.mkdir(parents=True, exist_ok=True)
            lock = data_dir / f".{self.folder}.lock"
            with FileLock(lock):
                try:
                    self._obtain_alone(data_dir)
                finally:
                    lock.unlink(missing_ok=True)  # whoever waits for it, or makes another, sees the folder
        except OSError as error:
            raise UserError(f"--data.data_dir {data_dir}: cannot be written ({error.strerror or error})") from None

    def _obtain_alone(self, data_dir: Path) -> None:
        if (data_dir / self.folder).exists():
            self.check(data_dir)
        else:
            with tempfile.TemporaryDirectory(dir=data_dir, prefix=".unfinished-") as unfinished:
                self._fill(data_dir, Path(unfinished))

    def check(self, data_dir: Path) -> None:
        """Compare every file with its sum. Raises UserError with the name of the first that differs."""
        for name, md5 in self.files.items():
            path = data_dir / self.folder / name
            if not check_integrity(path, md5):
                state = "is damaged (its MD5 sum differs)" if path.is_file() else "is missing"
                remedy = f"delete the folder {path.parent} and run again to fetch it anew"
                raise UserError(f"--data.data_dir {data_dir}: {path} {state}; {remedy}")

    def _fill(self, data_dir: Path, unfinished: Path) -> None:
        archive = data_dir / self.name
        if archive.exists():
            self._check_archive(archive)
        else:
            archive = unfinished / self.name
            self._fetch(archive, data_dir)
        with tarfile.open(archive) as tar:
            tar.extractall(unfinished, filter="data")
        self.check(unfinished)
        os.replace(unfinished / self.folder, data_dir / self.folder)

    def _check_archive(self, path: Path) -> None:
        if not check_integrity(path, self.md5):
            raise UserError(f"--data.data_dir {path.parent}: {path} is damaged (its MD5 sum differs); delete it")

    def _fetch(self, path: Path, data_dir: Path) -> None:
        print(f"fetching {self.url} into {data_dir}", flush=True)
        for attempt in range(1, TRIES + 1):
            try:
                _download(self.url, path)
                self._check_archive(path)
                return
            except (OSError, UserError) as error:
                problem = error
                if attempt == TRIES or (isinstance(error, TimeoutError) and not path.exists()):
                    break  # a server that does not answer at all is not waited for again
                time.sleep(attempt)
        raise UserError(
            f"--data.data_dir {data_dir}: {self.folder} is not there and {self.url} cannot be fetched ({problem}); "
            f"put {self.name} into {data_dir.resolve()}, or add {self.without}, which needs no download"
        )


def _download(url: str, path: Path) -> None:
    with _open(url) as response, path.open("wb") as file:
        while block := response.read(1 << 20):
            file.write(block)


def _open(url: str) -> IO[bytes]:
    """The opened address. A name that does not resolve has no time-out of its own, hence the thread."""
    future: Future[IO[bytes]] = Future()

    def work() -> None:
        try:
            future.set_result(urlopen(url, timeout=STALL_SECONDS))
        except Exception as error:
            future.set_exception(error)

    Thread(target=work, daemon=True).start()
    try:
        return future.result(ANSWER_SECONDS)
    except TimeoutError:
        raise TimeoutError(f"no answer within {ANSWER_SECONDS} s") from None
