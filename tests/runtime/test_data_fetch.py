"""Downloads, against a server on this machine that behaves as badly as servers do."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from flowc_runtime.data.errors import DataError
from flowc_runtime.data.fetch import fetch, fetch_collection
from flowc_runtime.data.pinned import COLLECTIONS, Collection, PinnedFile

BODIES = {"images.gz": b"images" * 50_000, "labels.gz": b"labels"}
SET = Collection(
    "toys", "toys", "free", (),
    tuple(PinnedFile(n, len(b), hashlib.sha256(b).hexdigest()) for n, b in BODIES.items()),
)  # fmt: skip


class Server(ThreadingHTTPServer):
    """Serves BODIES below /good/, and below other folders what their names say."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str] = []
        self.over = threading.Event()

    def home(self, folder: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{folder}/"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        _, folder, name = self.path.split("/")
        body = BODIES[name]
        if folder == "missing":
            self.send_error(404)
        elif folder == "silent":
            self.server.over.wait(30)
        elif folder == "hangup":
            self.close_connection = True
        elif folder == "moved":
            self.send_response(302)
            self.send_header("Location", f"/good/{name}")
            self.end_headers()
        elif folder == "wrong":
            self._answer(body[::-1], len(body))
        elif folder == "truncated":
            self._answer(body[: len(body) // 2], len(body))
        elif folder == "long":
            self._answer(body + b"x" * 1000, None)
        else:
            self._answer(body, len(body))

    def _answer(self, body: bytes, length: int | None) -> None:
        self.send_response(200)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.over.set()
    server.shutdown()
    thread.join()
    server.server_close()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_all_files_arrive_whole(server: Server, tmp_path: Path) -> None:
    paths = fetch_collection(SET, tmp_path / "new" / "toys", [server.home("good")])
    assert [path.read_bytes() for path in paths] == list(BODIES.values())
    assert names(tmp_path / "new" / "toys") == ["images.gz", "labels.gz"]


def test_progress_is_reported_in_bytes(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    fetch_collection(SET, tmp_path, [server.home("good")], lambda *args: seen.append(args))
    assert seen[-1] == ("labels.gz", 6, 6)
    assert max(done for name, done, _ in seen if name == "images.gz") == 300_000


def test_a_redirection_is_followed(server: Server, tmp_path: Path) -> None:
    fetch_collection(SET, tmp_path, [server.home("moved")])
    assert names(tmp_path) == ["images.gz", "labels.gz"]


@pytest.mark.parametrize("bad", ["missing", "hangup", "wrong", "truncated", "long", "silent"])
def test_the_next_home_is_asked_when_one_fails(server: Server, tmp_path: Path, bad: str) -> None:
    homes = [server.home(bad), server.home("good")]
    fetch_collection(SET, tmp_path, homes, timeout_seconds=0.2)
    assert (tmp_path / "images.gz").read_bytes() == BODIES["images.gz"]
    assert server.asked[0] == f"/{bad}/images.gz"


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("missing", "HTTP 404 Not Found"),
        ("hangup", "Remote end closed connection without response"),
        ("wrong", "sent another file"),
        ("truncated", "sent only 150000 of 300000 bytes"),
        ("long", "sent more than the 300000 bytes of the file"),
        ("silent", "no answer in time"),
    ],
)
def test_a_failed_download_says_why_and_leaves_nothing(
    server: Server, tmp_path: Path, bad: str, reason: str
) -> None:
    with pytest.raises(DataError) as caught:
        fetch_collection(SET, tmp_path, [server.home(bad)], timeout_seconds=0.2)
    assert caught.value.code == "data-download"
    assert caught.value.path == "images.gz"
    assert f"{server.home(bad)}: {reason}" in caught.value.message
    assert names(tmp_path) == []


def test_a_home_that_nobody_serves_is_named(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Connection refused"):
        fetch_collection(SET, tmp_path, ["http://127.0.0.1:1/"])


def test_only_web_addresses_are_asked(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no http or https address"):
        fetch_collection(SET, tmp_path, [f"file://{tmp_path}/"])


def test_files_that_are_there_are_not_downloaded_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "images.gz").write_bytes(BODIES["images.gz"])
    fetch_collection(SET, tmp_path, [server.home("good")])
    assert server.asked == ["/good/labels.gz"]


def test_another_file_of_that_name_is_never_overwritten(server: Server, tmp_path: Path) -> None:
    (tmp_path / "images.gz").write_bytes(b"mine")
    with pytest.raises(DataError) as caught:
        fetch_collection(SET, tmp_path, [server.home("good")])
    assert (caught.value.code, server.asked) == ("data-download", [])
    assert (tmp_path / "images.gz").read_bytes() == b"mine"


def test_a_folder_that_cannot_be_written_is_named(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError) as caught:
        fetch_collection(SET, tmp_path / "file" / "toys", [server.home("good")])
    assert caught.value.path == str(tmp_path / "file" / "toys")


def test_an_unknown_data_set_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        fetch("fashon-mnist", tmp_path)
    assert caught.value.help == "`fashion-mnist` exists; did you mean that?"


def test_the_known_data_sets_are_pinned() -> None:
    assert set(COLLECTIONS) == {"fashion-mnist", "mnist"}
    for collection in COLLECTIONS.values():
        assert len(collection.files) == 4 and len(collection.homes) == 2
        assert all(len(file.sha256) == 64 and file.size > 4000 for file in collection.files)


def test_known_data_sets_are_asked_for_at_the_given_home(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        fetch("mnist", tmp_path, ["http://127.0.0.1:1/"])
    assert caught.value.path == "train-images-idx3-ubyte.gz"
