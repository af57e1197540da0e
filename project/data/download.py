"""Fetching an archive or files: once, with retry, checked, and with nothing half-written left behind."""

import os
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import IO
from urllib.request import urlopen

from filelock import FileLock
from torchvision.datasets.utils import check_integrity

from project.system.errors import UserError

ANSWER_SECONDS = (
    8  # for a server's first answer, so that a machine without a network is told within 15 s of its command
)
STALL_SECONDS = 60  # without a byte, in the middle of a download
TRIES = 3
NO_DOWNLOAD = "--config configs/data/digits.yaml"


@dataclass(frozen=True)
class RemoteFile:
    """A file that each of `urls` has, and its MD5 sum."""

    urls: Sequence[str]
    md5: str

    @property
    def name(self) -> str:
        return self.urls[0].rsplit("/", 1)[-1]

    def check(self, path: Path, data_dir: Path) -> None:
        """Raises UserError where the file at `path` is not the one that is meant."""
        if not check_integrity(path, self.md5):
            raise UserError(f"--data.data_dir {data_dir}: {path} is damaged (its MD5 sum differs); delete it")

    def fetch(self, path: Path, data_dir: Path, place: Path) -> None:
        """Write the file to `path`, whole, from the first address that has it.

        Raises:
            UserError: none has it; it says that the file can be put into the folder `place`.
        """
        print(f"fetching {self.urls[0]} into {place}", flush=True)
        waiting, problem = list(self.urls), ""
        for attempt in range(TRIES):
            if waiting:
                time.sleep(attempt)
            for url in tuple(waiting):
                try:
                    download(url, path, ANSWER_SECONDS / len(self.urls))
                    return self.check(path, data_dir)
                except (OSError, UserError) as error:
                    problem = f"{url} cannot be fetched ({error})"
                    if isinstance(error, TimeoutError) and not path.exists():
                        waiting.remove(url)  # a server that does not answer at all is not waited for again
        raise UserError(
            f"--data.data_dir {data_dir}: {self.name} is not there and {problem}; "
            f"put {self.name} into {place.resolve()}, or add {NO_DOWNLOAD}, which needs no download"
        )


@dataclass(frozen=True)
class Archive:
    """A gzipped tar file that holds `folder` with `files`; MD5 sums of the archive and of each file."""

    url: str
    md5: str
    folder: str
    files: Mapping[str, str]

    def obtain(self, data_dir: Path) -> None:
        """Make sure that data_dir/folder is there and whole: checked, else unpacked from data_dir, else fetched.

        The folder appears at one go, so whoever sees it sees all of it; a second process waits for the first's.

        Raises:
            UserError: a file or the archive is damaged, there is no network, or `data_dir` cannot be written.
        """
        if not (data_dir / self.folder).exists():
            with _alone(data_dir, self.folder) as unfinished:
                if not (data_dir / self.folder).exists():
                    self._fill(data_dir, unfinished)
        self.check(data_dir)

    def check(self, data_dir: Path) -> None:
        """Compare every file with its sum. Raises UserError with the name of the first that differs."""
        for name, md5 in self.files.items():
            path = data_dir / self.folder / name
            if not check_integrity(path, md5):
                state = "is damaged (its MD5 sum differs)" if path.is_file() else "is missing"
                remedy = f"delete the folder {path.parent} and run again to fetch it anew"
                raise UserError(f"--data.data_dir {data_dir}: {path} {state}; {remedy}")

    def _fill(self, data_dir: Path, unfinished: Path) -> None:
        remote = RemoteFile([self.url], self.md5)
        archive = data_dir / remote.name
        if archive.exists():
            remote.check(archive, data_dir)
        else:
            archive = unfinished / remote.name
            remote.fetch(archive, data_dir, data_dir)
        with tarfile.open(archive) as tar:
            tar.extractall(unfinished, filter="data")
        self.check(unfinished)
        os.replace(unfinished / self.folder, data_dir / self.folder)


@dataclass(frozen=True)
class LooseFiles:
    """Files that are kept in `folder` as they come."""

    folder: str
    files: Sequence[RemoteFile]

    def obtain(self, data_dir: Path) -> None:
        """Make sure that each file is in data_dir/folder and whole: checked, else fetched; each appears at one go.

        Raises:
            UserError: a file is damaged, there is no network, or `data_dir` cannot be written.
        """
        folder = data_dir / self.folder
        if not all((folder / file.name).exists() for file in self.files):
            with _alone(data_dir, self.folder) as unfinished:
                folder.mkdir(parents=True, exist_ok=True)
                for file in self.files:
                    if not (folder / file.name).exists():
                        file.fetch(unfinished / file.name, data_dir, folder)
                        os.replace(unfinished / file.name, folder / file.name)
        for file in self.files:
            file.check(folder / file.name, data_dir)


@contextmanager
def _alone(data_dir: Path, name: str) -> Iterator[Path]:
    """An empty folder in `data_dir` for what is not finished, once no other process fetches `name`."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        lock = data_dir / f".{name.replace('/', '-')}.lock"
        with FileLock(lock):
            try:
                with tempfile.TemporaryDirectory(dir=data_dir, prefix=".unfinished-") as unfinished:
                    yield Path(unfinished)
            finally:
                lock.unlink(missing_ok=True)  # whoever waits for it, or makes another, sees what was fetched
    except OSError as error:
        raise UserError(f"--data.data_dir {data_dir}: cannot be written ({error.strerror or error})") from None


def download(url: str, path: Path, answer_seconds: float = ANSWER_SECONDS) -> None:
    """Write what is at `url` to `path`. Raises OSError, soon where there is no answer."""
    with _open(url, answer_seconds) as response, path.open("wb") as file:
        while block := response.read(1 << 20):
            file.write(block)


def _open(url: str, answer_seconds: float) -> IO[bytes]:
    """The opened address. A name that does not resolve has no time-out of its own, hence the thread."""
    future: Future[IO[bytes]] = Future()

    def work() -> None:
        try:
            future.set_result(urlopen(url, timeout=STALL_SECONDS))
        except Exception as error:
            future.set_exception(error)

    Thread(target=work, daemon=True).start()
    try:
        return future.result(answer_seconds)
    except TimeoutError:
        raise TimeoutError(f"no answer within {answer_seconds} s") from None
