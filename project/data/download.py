"""Downloads of data sets and weights: tried again after an error, checked, and written whole."""

import hashlib
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

from project.system.errors import UserError
from project.system.files import atomic_write

ANSWER_SECONDS = 8  # for a server's first answer: without a network, a command ends within 15 s
STALL_SECONDS = 60  # without a byte, in the middle of a download
TRIES = 3
NO_DOWNLOAD = "add --config configs/data/digits.yaml, which needs no download"
DIGEST_NAMES = {"md5": "MD5", "sha256": "SHA-256"}


class NoAnswerError(TimeoutError):
    """The server did not answer at all."""


@dataclass(frozen=True)
class RemoteFile:
    """A file on one or more servers.

    urls: The addresses of the file. They are tried in this order, and end with the same name.
    digest: Hexadecimal digest of the content, or the first digits of it.
    algorithm: The digest's algorithm: md5 or sha256.
    """

    urls: Sequence[str]
    digest: str
    algorithm: str = "md5"

    @property
    def name(self) -> str:
        return self.urls[0].rsplit("/", 1)[-1]

    def is_intact(self, path: Path) -> bool:
        """Whether the file at `path` has the digest."""
        return _has_digest(path, self.digest, self.algorithm)

    def fetch(self, path: Path, option: str, alternative: str, directory: Path | None = None) -> None:
        """Download the file to `path`, where it appears whole and checked.

        Args:
            path: The file to write. Its directory is made.
            option: The option and its value that need the file, for the error line.
            alternative: For the error line: what a user without a network can do, besides copying the file by hand.
            directory: The directory that such a user copies the file to; None for that of `path`.

        Raises:
            UserError: the file cannot be fetched from any address, or is damaged.
        """
        directory = directory or path.parent
        print(f"fetching {self.urls[0]} into {directory}", flush=True)
        urls, problem = list(self.urls), ""
        for attempt in range(TRIES):
            if urls:
                time.sleep(attempt)
            for url in tuple(urls):
                try:
                    return self._download(url, path)
                except OSError as error:
                    problem = f"{url} cannot be fetched ({error})"
                    if isinstance(error, NoAnswerError):
                        urls.remove(url)  # to wait for this server again would take too long
        remedy = f"put {self.name} into {directory.resolve()}, or {alternative}"
        raise UserError(f"{option}: {self.name} is not there and {problem}; {remedy}")

    def _download(self, url: str, path: Path) -> None:
        """Raises OSError if the file cannot be fetched or is damaged."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path, several_writers=True) as unfinished:
            download(url, unfinished, ANSWER_SECONDS / len(self.urls))
            if not self.is_intact(unfinished):
                raise OSError(f"the file is damaged: its {DIGEST_NAMES[self.algorithm]} sum differs")


@dataclass(frozen=True)
class Archive:
    """A gzipped tar file that contains a folder of files.

    file: The archive.
    folder: The folder in it.
    md5s: The MD5 sum of each file in the folder.
    """

    file: RemoteFile
    folder: str
    md5s: Mapping[str, str]

    def prepare(self, data_dir: Path) -> None:
        """Make sure that data_dir/folder is there and intact; unpack or fetch the archive if the folder is missing.

        The folder appears whole. Other processes that need it wait until it is there.

        Raises:
            UserError: a file or the archive is damaged, cannot be fetched, or `data_dir` cannot be written.
        """
        if not (data_dir / self.folder).exists():
            with _lock(data_dir, self.folder):
                if not (data_dir / self.folder).exists():
                    self._unpack(data_dir)
        self.check(data_dir)

    def check(self, data_dir: Path) -> None:
        """Compare every file with its MD5 sum. Raises UserError with the name of the first that differs."""
        for name, md5 in self.md5s.items():
            path = data_dir / self.folder / name
            if not path.is_file() or not _has_digest(path, md5):
                state = "is damaged (its MD5 sum differs)" if path.is_file() else "is missing"
                remedy = f"delete the folder {path.parent} and run again to fetch it anew"
                raise UserError(f"--data.data_dir {data_dir}: {path} {state}; {remedy}")

    def _unpack(self, data_dir: Path) -> None:
        with tempfile.TemporaryDirectory(dir=data_dir, prefix=".unfinished-") as unfinished:
            archive = data_dir / self.file.name
            if archive.exists():
                _check_file(self.file, archive, data_dir)
            else:
                archive = Path(unfinished) / self.file.name
                self.file.fetch(archive, f"--data.data_dir {data_dir}", NO_DOWNLOAD, data_dir)
            with tarfile.open(archive) as tar:
                tar.extractall(unfinished, filter="data")
            self.check(Path(unfinished))
            os.replace(Path(unfinished) / self.folder, data_dir / self.folder)


@dataclass(frozen=True)
class RemoteFiles:
    """Files of a data set that are not in an archive, and the folder for them."""

    folder: str
    files: Sequence[RemoteFile]

    def prepare(self, data_dir: Path) -> None:
        """Make sure that each file is in data_dir/folder and intact; fetch those that are missing.

        Raises:
            UserError: a file is damaged, cannot be fetched, or `data_dir` cannot be written.
        """
        paths = [data_dir / self.folder / file.name for file in self.files]
        if not all(path.exists() for path in paths):
            with _lock(data_dir, self.folder):
                for file, path in zip(self.files, paths, strict=True):
                    if not path.exists():
                        file.fetch(path, f"--data.data_dir {data_dir}", NO_DOWNLOAD)
        for file, path in zip(self.files, paths, strict=True):
            _check_file(file, path, data_dir)


def _check_file(file: RemoteFile, path: Path, data_dir: Path) -> None:
    if not file.is_intact(path):
        raise UserError(f"--data.data_dir {data_dir}: {path} is damaged (its MD5 sum differs); delete it")


def _has_digest(path: Path, digest: str, algorithm: str = "md5") -> bool:
    with path.open("rb") as file:
        digits = hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()
    return digits.startswith(digest)


@contextmanager
def _lock(data_dir: Path, name: str) -> Iterator[None]:
    """Let only one process at a time fetch `name` into `data_dir`."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        path = data_dir / f".{name.replace('/', '-')}.lock"
        with FileLock(path):
            try:
                yield
            finally:
                path.unlink(missing_ok=True)  # the next process finds the files, whether it waits for this lock or not
    except OSError as error:
        raise UserError(f"--data.data_dir {data_dir}: cannot be written ({error.strerror or error})") from None


def download(url: str, path: Path, answer_seconds: float) -> None:
    """Write the content at `url` to `path`.

    Raises:
        OSError: it cannot be read. NoAnswerError if the server did not answer within `answer_seconds`.
    """
    with _open(url, answer_seconds) as response, path.open("wb") as file:
        while block := response.read(1 << 20):
            file.write(block)


def _open(url: str, answer_seconds: float) -> IO[bytes]:
    """The opened address. The look-up of a server's name has no time-out of its own, so a thread does it."""
    future: Future[IO[bytes]] = Future()

    def connect() -> None:
        try:
            future.set_result(urlopen(url, timeout=STALL_SECONDS))
        except Exception as error:
            future.set_exception(error)

    Thread(target=connect, daemon=True).start()
    try:
        return future.result(answer_seconds)
    except TimeoutError:
        raise NoAnswerError(f"no answer within {answer_seconds} s") from None
