"""Paths of the data section: what may be opened, what is refused, and how that is said."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from flowc_runtime.data.errors import DataError
from flowc_runtime.data.folder import Folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with data/train.csv, beside a secret that it must not read."""
    (tmp_path / "secret.csv").write_text("secret")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "train.csv").write_text("secret")
    project = tmp_path / "project"
    (project / "data").mkdir(parents=True)
    (project / "data" / "train.csv").write_text("x")
    return project


def refusal(folder: Folder, path: str) -> DataError:
    with pytest.raises(DataError) as caught:
        folder.open(path)
    return caught.value


def test_a_file_below_the_folder_is_opened(project: Path) -> None:
    for path in ("data/train.csv", "./data//train.csv", "data/../data/train.csv"):
        with Folder(project).open(path) as file:
            assert file.read() == b"x"


def test_a_link_that_stays_inside_is_followed(project: Path) -> None:
    (project / "sets").symlink_to("data")
    with Folder(project).open("sets/train.csv") as file:
        assert file.read() == b"x"


OUTSIDE = (
    "..",
    "../secret.csv",
    "./../secret.csv",
    "data/../../secret.csv",
    "data/../../elsewhere/train.csv",
    "../project/../secret.csv",
    "data/../data/../../secret.csv",
    "../../../../../../../../etc/passwd",
    "data/" + "../" * 40 + "etc/passwd",
    "nowhere/../../secret.csv",
    "data/train.csv/../../../secret.csv",
    "/etc/passwd",
    "//etc/passwd",
    "/dev/zero",
    "/dev/stdin",
    "/dev/fd/0",
    "/proc/self/environ",
    "/proc/self/mem",
    "/proc/self/root/etc/passwd",
    "/proc/self/cwd/secret.csv",
    "data/train.csv\0.png",
    "\0",
    "~",
    "~/secret.csv",
    "~root/.ssh/id_rsa",
    "file:///etc/passwd",
    "file:/etc/passwd",
    "FILE:///etc/passwd",
    "http://127.0.0.1/x.csv",
    "s3://bucket/x.csv",
    "C:/Windows/win.ini",
)


@pytest.mark.parametrize("path", OUTSIDE)
def test_a_path_that_leads_outside_is_refused(project: Path, path: str) -> None:
    assert refusal(Folder(project), path).code == "data-outside"


NOWHERE = (
    "",
    "#",
    "data/train.csv#/../../../secret.csv/x",
    "data/train.csv?x=1",
    "$HOME/secret.csv",
    "%2e%2e/secret.csv",
    "..\\secret.csv",
    "data/train.csv ",
    "data/*.csv",
    "data/\ud800.csv",
    "data/" + "a" * 300,
    "data",
    ".",
)


@pytest.mark.parametrize("path", NOWHERE)
def test_a_path_is_taken_as_it_stands_and_never_expanded(project: Path, path: str) -> None:
    assert refusal(Folder(project), path).code in ("data-missing", "data-outside")


def fifo(place: Path, tmp_path: Path) -> None:
    os.mkfifo(place)


def link_to(target: str) -> Callable[[Path, Path], None]:
    return lambda place, tmp_path: place.symlink_to(target)


def hard_link(place: Path, tmp_path: Path) -> None:
    place.hardlink_to(tmp_path / "secret.csv")


def loop(place: Path, tmp_path: Path) -> None:
    place.symlink_to(place.name)


TRAPS: dict[str, Callable[[Path, Path], None]] = {
    "a FIFO": fifo,
    "a link to a file outside": link_to("../../secret.csv"),
    "a link to an absolute path": link_to("/etc/passwd"),
    "a link to a device": link_to("/dev/zero"),
    "a link to the process's own files": link_to("/proc/self/environ"),
    "a link to itself": loop,
    "a hard link": hard_link,
}


@pytest.mark.parametrize("trap", TRAPS.values(), ids=TRAPS.keys())
def test_a_file_that_is_not_what_it_seems_is_refused(
    project: Path, tmp_path: Path, trap: Callable[[Path, Path], None]
) -> None:
    trap(project / "data" / "trap.csv", tmp_path)
    assert refusal(Folder(project), "data/trap.csv").code == "data-outside"


def test_a_folder_that_is_a_link_out_is_refused(project: Path) -> None:
    (project / "sets").symlink_to("../elsewhere")
    assert refusal(Folder(project), "sets/train.csv").code == "data-outside"


def test_a_device_is_refused_even_where_its_folder_is_allowed(project: Path) -> None:
    refused = refusal(Folder(project, (Path("/dev"),)), "/dev/zero")
    assert (refused.code, refused.message) == ("data-outside", "is no regular file")


@pytest.mark.parametrize("path", ["../elsewhere/train.csv", "{outside}/train.csv", "link.csv"])
def test_what_the_user_allows_is_opened(project: Path, tmp_path: Path, path: str) -> None:
    outside = tmp_path / "elsewhere"
    (project / "link.csv").symlink_to(outside / "train.csv")
    with Folder(project, (outside,)).open(path.format(outside=outside)) as file:
        assert file.read() == b"secret"


def test_a_hard_link_is_opened_where_the_user_allows_its_folder(
    project: Path, tmp_path: Path
) -> None:
    hard_link(project / "data" / "trap.csv", tmp_path)
    with Folder(project, (project,)).open("data/trap.csv") as file:
        assert file.read() == b"secret"


def test_what_lies_beside_an_allowed_folder_stays_closed(project: Path, tmp_path: Path) -> None:
    folder = Folder(project, (tmp_path / "elsewhere",))
    assert refusal(folder, "../elsewhere/../secret.csv").code == "data-outside"
    (tmp_path / "elsewhere2").mkdir()
    assert refusal(folder, "../elsewhere2/x.csv").code == "data-outside"


def test_a_folder_swapped_for_a_link_meanwhile_never_gives_the_secret(
    project: Path, tmp_path: Path
) -> None:
    real, link, spare = project / "data", project / "link", project / "spare"
    link.symlink_to("../elsewhere")
    done = threading.Event()

    def swap() -> None:
        while not done.is_set():
            real.rename(spare)
            link.rename(real)
            real.rename(link)
            spare.rename(real)

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        seen = {_read_or_code(project) for _ in range(1000)}
    finally:
        done.set()
        swapper.join()
    assert seen <= {"x", "data-outside", "data-missing"}


def _read_or_code(project: Path) -> str:
    try:
        with Folder(project).open("data/train.csv") as file:
            return file.read().decode()
    except DataError as error:
        return error.code


def test_a_missing_file_names_the_folder_and_the_nearest_name(project: Path) -> None:
    refused = refusal(Folder(project), "data/trian.csv")
    assert refused.code == "data-missing"
    assert str(project / "data") in refused.message
    assert refused.help == "`data/train.csv` exists; did you mean that?"


def test_a_missing_folder_names_the_nearest_folder(project: Path) -> None:
    assert refusal(Folder(project), "date/train.csv").help == (
        "`data` exists; did you mean that?"
    )


def test_a_path_outside_says_how_to_allow_it(project: Path, tmp_path: Path) -> None:
    help = refusal(Folder(project), "../elsewhere/train.csv").help
    assert help == f"--allow-path {tmp_path / 'elsewhere'} if you trust it"


def test_no_descriptor_is_left_open(project: Path) -> None:
    before = len(os.listdir("/dev/fd"))
    for path in ("data/train.csv", "data/trian.csv", "data", "../secret.csv", "nowhere/x"):
        _ignore_refusal(Folder(project), path)
    assert len(os.listdir("/dev/fd")) == before


def _ignore_refusal(folder: Folder, path: str) -> None:
    try:
        folder.open(path).close()
    except DataError:
        pass
