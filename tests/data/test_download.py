"""Fetching: once, checked, with retry, and nothing half-written left."""

import hashlib
import io
import pickle
import tarfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from torchvision import datasets

from project.cli.main import main
from project.data import CIFAR10
from project.data import download as module
from project.data.download import Archive, RemoteFile
from project.system.errors import UserError
from tests.conftest import CONFIGS


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.time, "sleep", lambda seconds: None)


class Server(SimpleHTTPRequestHandler):
    """Serves a folder; the first `breaks` answers end in the middle."""

    breaks = 0
    requests = 0

    def copyfile(self, source: io.BufferedReader, outputfile: io.BytesIO) -> None:
        type(self).requests += 1
        whole = source.read()
        outputfile.write(whole[: len(whole) // 2] if self.requests <= self.breaks else whole)

    def log_message(self, *args: object) -> None:
        """Keep the tests' output quiet."""


@pytest.fixture
def server(archive: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Server]]:
    handler = type("CountingServer", (Server,), {"requests": 0})
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=archive.parent)) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        monkeypatch.setattr(datasets.CIFAR10, "url", f"http://127.0.0.1:{running.server_port}/{archive.name}")
        yield handler
        running.shutdown()


def fetch(folder: str = "data") -> None:
    CIFAR10(data_dir=folder, val_size=20, batch_size=10).prepare_data()


def test_fetches_once_and_leaves_only_the_folder(server: type[Server]) -> None:
    fetch("new/data")
    fetch("new/data")
    assert server.requests == 1
    assert [path.name for path in Path("new/data").iterdir()] == ["cifar-10-batches-py"]
    assert len(list(Path("new/data/cifar-10-batches-py").iterdir())) == 7


def test_two_that_fetch_at_once_do_it_once(server: type[Server]) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: fetch("new/data"), range(4)))
    assert server.requests == 1
    assert [path.name for path in Path("new/data").iterdir()] == ["cifar-10-batches-py"]


def test_tries_again_when_a_download_breaks_off(server: type[Server]) -> None:
    server.breaks = 2
    fetch()
    assert server.requests == 3
    assert [path.name for path in Path("data").iterdir()] == ["cifar-10-batches-py"]


def test_gives_up_and_leaves_nothing(server: type[Server]) -> None:
    server.breaks = 9
    with pytest.raises(UserError, match="cannot be fetched"):
        fetch()
    assert server.requests == module.TRIES
    assert list(Path("data").iterdir()) == []


def test_another_file_at_the_address_is_refused(server: type[Server], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.CIFAR10, "tgz_md5", "0" * 32)
    with pytest.raises(UserError, match=r"cannot be fetched .*MD5 sum differs"):
        fetch()
    assert server.requests == module.TRIES
    assert list(Path("data").iterdir()) == []


def test_no_server(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.CIFAR10, "url", f"http://127.0.0.1:9/{archive.name}")
    with pytest.raises(UserError) as error:
        fetch()
    line = str(error.value)
    assert f"put cifar-10-python.tar.gz into {Path('data').resolve()}" in line
    assert "--config configs/data/digits.yaml" in line
    assert list(Path("data").iterdir()) == []


def test_a_server_that_does_not_answer_is_not_waited_for(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.01)
    asked, ended = [], threading.Event()
    monkeypatch.setattr(module, "urlopen", lambda url, timeout: asked.append(url) or ended.wait())
    with pytest.raises(UserError, match=r"no answer within 0.01 s"):
        fetch()
    ended.set()
    assert len(asked) == 1


def test_an_archive_in_place_needs_no_network(archive: Path) -> None:
    archive.rename(Path("data") / archive.name)
    fetch()
    assert {path.name for path in Path("data").iterdir()} == {"cifar-10-batches-py", archive.name}


@pytest.mark.parametrize("damage", [lambda whole: whole[:-100], lambda whole: b"x" + whole[1:]])
def test_a_damaged_archive_is_named(archive: Path, damage: Callable[[bytes], bytes]) -> None:
    placed = Path("data") / archive.name
    placed.write_bytes(damage(archive.read_bytes()))
    with pytest.raises(UserError, match=r"cifar-10-python.tar.gz is damaged .* delete it"):
        fetch()
    assert list(Path("data").iterdir()) == [placed]


class Malicious:
    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, str]]:
        return open, ("harm", "w")


def test_a_damaged_file_is_named_and_never_read(cifar10_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (cifar10_dir / "cifar-10-batches-py/data_batch_3").write_bytes(pickle.dumps(Malicious()))
    words = ["--data.data_dir", str(cifar10_dir), "--data.batch_size", "10", "--trainer.accelerator", "cpu"]
    with pytest.raises(SystemExit) as stopped:
        main(["fit", "--config", str(CONFIGS / "mlp.yaml"), *words])
    assert stopped.value.code == 2
    assert "data_batch_3 is damaged (its MD5 sum differs); delete the folder" in capsys.readouterr().err
    assert not Path("harm").exists()


def test_a_missing_file_is_named(cifar10_dir: Path) -> None:
    (cifar10_dir / "cifar-10-batches-py/test_batch").unlink()
    with pytest.raises(UserError, match="test_batch is missing"):
        fetch(str(cifar10_dir))


def test_an_archive_cannot_write_outside(tmp_path: Path) -> None:
    placed = tmp_path / "data" / "evil.tar.gz"
    placed.parent.mkdir()
    with tarfile.open(placed, "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("../../evil"), io.BytesIO())
    file = RemoteFile(["http://127.0.0.1:9/evil.tar.gz"], hashlib.md5(placed.read_bytes()).hexdigest())
    evil = Archive(file, "folder", {})
    with pytest.raises((UserError, tarfile.TarError)):
        evil.prepare(placed.parent)
    assert list(tmp_path.rglob("evil")) == []
