"""A setting that is wrong is said so before anything happens; one that is misspelt is not silently ignored."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.__main__ import main
from app.errors import InvalidRequest
from app.settings import Settings, describe_settings, read_settings, unknown_settings


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_environment_and_the_file_are_read_and_arguments_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("PARALLAX_PORT=1000\nPARALLAX_QUEUE=7\nOTHER=1\n")
    monkeypatch.setenv("PARALLAX_PORT", "2000")
    assert (read_settings().port, read_settings().queue) == (2000, 7)
    assert read_settings(port=3000).port == 3000
    assert read_settings(port=None).port == 2000


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "x"),
        ("PORT", "65536"),
        ("MAX_UPLOAD_MB", "0"),
        ("QUEUE", "0"),
        ("RUNTIME", "tensorflow"),
        ("THREADS", "-1"),
        ("FETCH_URLS", "perhaps"),
        ("LOG_FORMAT", "xml"),
        ("INDEX", "milvus"),
    ],
)
def test_a_wrong_value_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"PARALLAX_{name}", value)
    with pytest.raises(InvalidRequest, match=f"PARALLAX_{name}"):
        read_settings()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_this_machine_may_always_be_listened_on(host: str) -> None:
    assert read_settings(host=host).host == host


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org"])
def test_other_machines_are_let_in_only_with_keys_or_on_purpose(host: str) -> None:
    with pytest.raises(InvalidRequest, match=r"PARALLAX_API_KEYS, or PARALLAX_ALLOW_OPEN=1"):
        read_settings(host=host)
    assert read_settings(host=host, allow_open=True).host == host
    assert read_settings(host=host, api_keys="key").host == host
    assert read_settings(host=host, read_keys="key").host == host


def test_keys_are_a_list_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARALLAX_API_KEYS", "one, two,")
    monkeypatch.setenv("PARALLAX_READ_KEYS", "three")
    settings = read_settings()
    assert [key.get_secret_value() for key in settings.api_keys] == ["one", "two"]
    assert [key.get_secret_value() for key in settings.read_keys] == ["three"]
    monkeypatch.setenv("PARALLAX_API_KEYS", "")
    assert read_settings().api_keys == ()


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        (" , ", "there is no key in it"),
        ("one, t wo", "key 2 cannot be sent"),
        ("schlüssel", "key 1 cannot be sent"),
        ("sha256:abc", "key 1 is no hash"),
        ("sha256:" + "A" * 64, "key 1 is no hash"),
    ],
)
def test_a_key_that_could_not_be_used_is_said_so_without_showing_it(keys: str, sentence: str) -> None:
    with pytest.raises(InvalidRequest, match=f"PARALLAX_API_KEYS: {sentence}") as raised:
        read_settings(api_keys=keys)
    assert keys.strip() == "," or keys not in str(raised.value)


def test_what_is_perhaps_not_meant_is_said() -> None:
    assert list(read_settings(allow_open=True).doubts()) == []
    assert list(read_settings(host="0.0.0.0", api_keys="k" * 16).doubts()) == []
    (sentence,) = read_settings(host="0.0.0.0", allow_open=True).doubts()
    assert "whoever reaches 0.0.0.0" in sentence
    (sentence,) = read_settings(read_keys="short-one").doubts()
    assert "16 characters" in sentence
    assert "short-one" not in sentence


def test_a_key_means_one_thing() -> None:
    with pytest.raises(InvalidRequest, match="in both PARALLAX_API_KEYS and PARALLAX_READ_KEYS") as raised:
        read_settings(api_keys="secret", read_keys="other,secret")
    assert "secret" not in str(raised.value)


def test_a_key_is_shown_nowhere(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PARALLAX_API_KEYS", "very-secret")
    settings = read_settings()
    with pytest.raises(SystemExit):
        main(["serve", "--help"])
    shown = capsys.readouterr()
    assert "very-secret" not in f"{settings!r} {settings} {settings.model_dump_json()} {shown}"


def test_help_lists_every_setting_with_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["serve", "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    described = list(describe_settings())
    assert len(described) == len(Settings.model_fields)
    for name, values, sentence in described:
        assert f"{name}\n      {sentence} ({values})" in text
    assert "auto or onnx or torch" in text


def test_no_setting_has_lost_its_name() -> None:
    names = {
        "DATA",
        "MODEL",
        "HOST",
        "PORT",
        "API_KEYS",
        "READ_KEYS",
        "ALLOW_OPEN",
        "MAX_UPLOAD_MB",
        "MAX_PIXELS",
        "QUEUE",
        "FETCH_URLS",
        "LOG_FORMAT",
        "RUNTIME",
        "THREADS",
        "INDEX",
        "TARGET_RECALL",
        "DEMO",
    }
    assert {f"PARALLAX_{name}" for name in names} == {name for name, _, _ in describe_settings()}


def test_misspelt_settings_are_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("parallax_api_keyz=secret\nPARALLAX_PORT=8001\nOTHER=1\n")
    monkeypatch.setenv("PARALLAX_QUEU", "7")
    monkeypatch.setenv("PARALLAX_API_KEY", "secret")
    monkeypatch.setenv("PARALLAX_QUEUE", "7")
    assert unknown_settings() == ["PARALLAX_API_KEY", "PARALLAX_API_KEYZ", "PARALLAX_QUEU"]
