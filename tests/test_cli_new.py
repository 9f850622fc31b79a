"""`flowc new`: every template is a project that runs as it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import run

from flowc.cli.new import TEMPLATES as OFFERED
from flowc.templates import TEMPLATES

MOST_LINES = 25  # of a model that a newcomer reads


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_command_offers_every_template() -> None:
    assert tuple(TEMPLATES) == OFFERED


def test_new_makes_a_folder_and_says_what_comes_next() -> None:
    result = run("new", "hello")
    assert result.exit_code == 0
    assert {"model.flow", "README.md", ".gitignore"} <= contents(Path("hello")).keys()
    assert "hello/model.flow\n" in result.stdout
    assert "cd hello" in result.stderr
    assert Path("hello/README.md").read_text().startswith("# hello\n")


@pytest.mark.parametrize("template", OFFERED)
def test_a_template_is_short_neat_and_sound(template: str) -> None:
    run("new", "hello", "-t", template)
    text = Path("hello/model.flow").read_text()
    assert len(text.splitlines()) <= MOST_LINES
    assert text.startswith("# ")
    assert run("fmt", "--check", "hello").exit_code == 0
    assert run("check", "hello", "--strict").exit_code == 0


@pytest.mark.parametrize("template", OFFERED)
def test_a_template_trains_on_its_own_data(template: str) -> None:
    run("new", "hello", "-t", template)
    result = run("-C", "hello", "train", "--steps", "3", "--progress", "none")
    assert result.exit_code == 0, result.stderr


@pytest.mark.parametrize("template", OFFERED)
def test_a_template_makes_the_same_bytes_every_time(template: str) -> None:
    assert TEMPLATES[template].files("a") == TEMPLATES[template].files("a")


def test_an_empty_folder_may_be_there_already() -> None:
    Path("hello").mkdir()
    assert run("new", "hello").exit_code == 0


def test_the_folder_one_is_in_will_do() -> None:
    assert run("new", ".").exit_code == 0
    assert Path("model.flow").is_file()


def test_a_folder_with_something_in_it_is_refused_and_left_as_it_is() -> None:
    Path("hello").mkdir()
    Path("hello/mine.txt").write_text("mine")
    result = run("new", "hello")
    assert result.exit_code == 73
    assert "exists and is not empty" in result.stderr
    assert contents(Path("hello")) == {"mine.txt": b"mine"}


def test_a_file_of_that_name_is_refused() -> None:
    Path("hello").write_text("mine")
    assert run("new", "hello").exit_code == 73


def test_an_unknown_template_is_a_usage_error() -> None:
    assert run("new", "hello", "-t", "llm").exit_code == 2
