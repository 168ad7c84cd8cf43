"""The command line does what the page does, and its output can be read by people and by programs."""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.__main__ import main
from app.commands.serve import bind
from tests.app.dummy import ColourEncoder
from tests.app.pictures import noise, plain
from tests.app.process import ROOT, running

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with running(tmp_path / "data") as (service, client):
        service.wait_for("ready")
        yield str(client.base_url)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of two pictures and some other files."""
    root = tmp_path / "holiday"
    (root / "oslo").mkdir(parents=True)
    (root / ".cache").mkdir()
    (root / "a red one.png").write_bytes(plain("red"))
    (root / "oslo" / "blue.JPG").write_bytes(plain("blue", kind="JPEG"))
    (root / "oslo" / "notes.txt").write_bytes(b"notes")
    (root / ".cache" / "green.png").write_bytes(plain("green"))
    (root / "oslo" / ".hidden.png").write_bytes(plain("green"))
    return root


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs a command: exit status, stdout, stderr."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as ended:
            status = int(ended.code or 0)
        output = capsys.readouterr()
        return status, output.out, output.err

    return run


Command = Callable[..., tuple[int, str, str]]


def test_a_folder_is_added_and_found_and_added_only_once(command: Command, url: str, folder: Path) -> None:
    status, out, err = command("add", folder, "--url", url, "--metadata", '{"trip": 7}')
    assert (status, out) == (0, "2 added, 0 there already, 0 failed\n")
    assert "2/2" in err  # the progress bar

    status, out, _ = command("search", "blue", "--url", url, "--json")
    results = json.loads(out)["results"]
    assert status == 0
    assert [result["metadata"] for result in results] == [
        {"filename": "oslo/blue.JPG", "trip": 7},
        {"filename": "a red one.png", "trip": 7},
    ]
    assert command("add", folder, "--url", url)[1] == "0 added, 2 there already, 0 failed\n"

    status, out, _ = command("search", "--image", folder / "a red one.png", "--url", url, "--limit", "1")
    head, line = out.splitlines()
    assert status == 0
    assert head.split() == ["relevance", "score", "id", "picture", "address"]
    relevance, score, *_ = line.split()
    assert 0 <= float(relevance) <= 1
    assert score == "1.000"
    assert "a red one.png" in line
    assert f"{url}/v1/images/{results[1]['id']}/content" in line


def test_a_bad_file_does_not_keep_the_others_out(command: Command, url: str, tmp_path: Path) -> None:
    good, bad, missing, large = (tmp_path / name for name in ("good.png", "bad.png", "missing.png", "large.png"))
    good.write_bytes(plain("red"))
    bad.write_bytes(b"no picture")
    large.write_bytes(plain("blue") + bytes(26_000_000))
    status, out, err = command("add", bad, good, missing, large, "--url", url, "--json")
    assert status == 1
    files = {Path(file["path"]).name: file for file in json.loads(out)["files"]}
    assert files["good.png"]["duplicate"] is False
    assert files["good.png"]["id"]
    for name, word in (
        ("bad.png", "not a picture"),
        ("missing.png", "No such file"),
        ("large.png", "25,000,000 bytes"),
    ):
        assert word in files[name]["problem"]
        assert f"{tmp_path / name}: {files[name]['problem']}" in err
    assert command("search", "red", "--url", url, "--json")[0] == 0


def test_more_files_than_one_request_holds_are_added(command: Command, url: str, tmp_path: Path) -> None:
    for number in range(70):
        (tmp_path / f"{number}.png").write_bytes(noise(number))
    assert command("add", tmp_path, "--url", url)[1] == "70 added, 0 there already, 0 failed\n"


def test_pictures_go_straight_into_a_data_folder(
    command: Command, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.startup.load_encoder", lambda _: ColourEncoder())
    monkeypatch.setenv("PARALLAX_HOST", "0.0.0.0")  # which a service needs a key for, and a folder none
    data = tmp_path / "data"
    (folder / "bad.png").write_bytes(b"no picture")
    status, out, err = command("add", folder, "--data", data)
    monkeypatch.delenv("PARALLAX_HOST")
    assert (status, out) == (1, "2 added, 0 there already, 1 failed\n")
    assert f"{folder / 'bad.png'}: This is not a picture" in err
    with running(data) as (service, client):
        service.wait_for("ready")
        assert client.get("/v1/search?q=blue").json()["results"][0]["metadata"] == {"filename": "oslo/blue.JPG"}
        status, _, err = command("add", folder, "--data", data)
        assert status == 1
        assert "in use by another Parallax process" in err


def test_a_name_in_an_old_encoding_keeps_nothing_out(command: Command, url: str, folder: Path, tmp_path: Path) -> None:
    (folder / os.fsdecode(b"caf\xe9.png")).write_bytes(plain("green"))
    status, out, _ = command("add", folder, "--url", url, "--json")
    assert status == 0
    assert str(folder / "caf\ufffd.png") in {file["path"] for file in json.loads(out)["files"]}
    results = json.loads(command("search", "green", "--url", url, "--json")[1])["results"]
    assert results[0]["metadata"] == {"filename": "caf\ufffd.png"}


def test_a_folder_that_cannot_be_read_is_named(
    command: Command, url: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir = os.scandir

    def refuse(path: str) -> object:
        if Path(path).name == "oslo":
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    status, out, err = command("add", folder, "--url", url)
    assert (status, out) == (1, "1 added, 0 there already, 1 failed\n")
    assert f"{folder / 'oslo'}: The folder cannot be read: Permission denied." in err
    long = "x" * 300
    status, _, err = command("add", long, "--url", url)
    assert status == 1
    assert f"{long}: The file cannot be read: File name too long." in err


@pytest.mark.parametrize("arguments", [["search", "red"], ["search", "--image", __file__], ["add", __file__]])
def test_a_service_that_is_not_there_is_said_so_in_a_sentence(command: Command, arguments: list[str]) -> None:
    status, out, err = command(*arguments, "--url", NOWHERE)
    assert (status, out) == (1, "")
    assert err.splitlines()[-1].startswith(f"No Parallax service answers at {NOWHERE}")
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["dance"],
        ["search"],
        ["search", "red", "--image", "a.png"],
        ["search", "--image", "missing.png"],
        ["search", "red", "--limit", "many"],
        ["search", "red", "--filter", "{"],
        ["search", "red", "--filter", "[]"],
        ["search", "red", "--filter", '{"a": NaN}'],
        ["search", "red", "--min-relevance", "high"],
        ["search", "red", "--min-relevance", "nan"],
        ["search", "caf\udce9"],
        ["add"],
        ["add", "a.png", "--metadata", "{"],
        ["serve", "--host", "0.0.0.0"],
        ["serve", "--port", "70000"],
    ],
    ids=lambda arguments: ascii(" ".join(arguments)),
)
def test_misuse_is_told_from_failure(command: Command, arguments: list[str]) -> None:
    status, out, err = command(*arguments)
    assert (status, out) == (2, "")
    assert err


@pytest.mark.parametrize("name", ["serve", "add", "search", "verify", "reindex", "backup"])
def test_a_setting_that_is_wrong_is_misuse_with_a_sentence(
    command: Command, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("PARALLAX_PORT", "abc")
    status, out, err = command(name, *(["x"] if name in ("add", "search", "backup") else []))
    assert (status, out) == (2, "")
    assert err.startswith("PARALLAX_PORT: ")
    assert err.count("\n") == 1


def test_a_question_that_the_service_refuses_fails_with_its_sentence(command: Command, url: str) -> None:
    status, out, err = command("search", "red", "--limit", "5000", "--url", url)
    assert (status, out) == (1, "")
    assert "less than or equal to 1000" in err


def test_an_empty_gallery_is_called_empty(command: Command, url: str) -> None:
    assert command("search", "red", "--url", url)[:2] == (0, "The gallery is empty.\n")
    assert command("search", "red", "--url", url, "--filter", "{}")[:2] == (0, "No picture is like that.\n")


def test_a_filter_and_a_cutoff_leave_out_results(command: Command, url: str, folder: Path) -> None:
    command("add", folder, "--url", url, "--metadata", '{"trip": 7}')
    for conditions, count in (('{"trip": 7}', 2), ('{"trip": {"$gt": 7}}', 0), ('{"filename": "oslo/blue.JPG"}', 1)):
        _, out, _ = command("search", "red", "--url", url, "--filter", conditions, "--json")
        assert len(json.loads(out)["results"]) == count
    every = json.loads(command("search", "red", "--url", url, "--json")[1])["results"]
    cutoff = (every[0]["relevance"] + every[1]["relevance"]) / 2
    _, out, _ = command("search", "red", "--url", url, "--min-relevance", str(cutoff), "--json")
    assert [result["id"] for result in json.loads(out)["results"]] == [every[0]["id"]]
    status, out, err = command("search", "red", "--url", url, "--filter", '{"trip": {"$near": 7}}')
    assert (status, out) == (1, "")
    assert "$near" in err


def test_a_key_comes_from_the_settings_or_the_arguments(
    command: Command, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARALLAX_API_KEYS", "writer, other")
    monkeypatch.setenv("PARALLAX_READ_KEYS", "reader")
    with running(tmp_path / "data") as (service, http):
        service.wait_for("ready")
        url = str(http.base_url)
        assert command("add", folder, "--url", url)[0] == 0
        assert command("search", "red", "--url", url)[0] == 0
        status, out, err = command("search", "red", "--url", url, "--key", "wrong")
        assert (status, out) == (1, "")
        assert "does not know this key" in err
        status, _, err = command("add", folder, "--url", url, "--key", "reader")
        assert (status, err.splitlines()[-1]) == (1, "This key may read, but not write.")
        monkeypatch.delenv("PARALLAX_API_KEYS")
        monkeypatch.delenv("PARALLAX_READ_KEYS")
        assert "asks for a key" in command("search", "red", "--url", url)[2]
        assert command("add", folder, "--url", url, "--key", "other")[0] == 0
        assert command("search", "red", "--url", url, "--key", "ключ")[0] == 2


def test_a_terminal_does_not_obey_what_somebody_stored(command: Command, url: str, folder: Path) -> None:
    command("add", folder, "--url", url, "--metadata", json.dumps({"label": "\x1b]0;owned\x07\u202egnp\nred"}))
    _, out, _ = command("search", "red", "--url", url)
    assert "�]0;owned��gnp�red" in out
    assert all(letter.isprintable() or letter == "\n" for letter in out)


@pytest.mark.parametrize("arguments", [["--help"], ["serve", "--help"], ["add", "--help"], ["search", "--help"]])
def test_help_is_everywhere(command: Command, arguments: list[str]) -> None:
    status, out, _ = command(*arguments)
    assert status == 0
    assert out.startswith("usage: python -m app")


@pytest.mark.parametrize("name", ["add", "search", "verify", "reindex", "backup"])
def test_help_shows_settings_with_any_sign_in_them(
    command: Command, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("PARALLAX_DATA", "/pictures/100%done")
    monkeypatch.setenv("PARALLAX_HOST", "fe80::1%eth0")
    status, out, _ = command(name, "--help")
    assert status == 0
    assert ("[fe80::1%eth0]:8000" if name in ("add", "search") else "/pictures/100%done") in out


def test_a_port_that_is_taken_is_a_failure(url: str, tmp_path: Path) -> None:
    port = url.rpartition(":")[2]
    command = [sys.executable, "-m", "app", "serve", "--port", port, "--data", tmp_path / "other", "--model", tmp_path]
    second = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert second.returncode == 1
    assert second.stderr == f"Port {port} of 127.0.0.1 cannot be listened on: Address already in use.\n"


def test_answers_are_not_held_back_for_more_to_send() -> None:
    with bind("127.0.0.1", 0) as listening:
        listening.listen()
        with socket.create_connection(listening.getsockname()), listening.accept()[0] as accepted:
            assert accepted.proto == socket.IPPROTO_TCP  # which is what asyncio looks at


def test_a_model_folder_that_holds_no_model_is_a_failure_with_a_sentence(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "app", "serve", "--port", "0", "--data", tmp_path / "data", "--model", tmp_path]
    service = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert service.returncode == 1
    assert str(tmp_path) in service.stderr.splitlines()[-1]
    assert "Traceback" not in service.stderr
