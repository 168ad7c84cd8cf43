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
def test_other_machines_are_let_in_only_on_purpose(host: str) -> None:
    with pytest.raises(InvalidRequest, match="PARALLAX_ALLOW_OPEN=1"):
        read_settings(host=host)
    assert read_settings(host=host, allow_open=True).host == host


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


def test_misspelt_settings_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARALLAX_QUEU", "7")
    monkeypatch.setenv("PARALLAX_API_KEYS", "secret")
    monkeypatch.setenv("PARALLAX_QUEUE", "7")
    assert unknown_settings() == ["PARALLAX_API_KEYS", "PARALLAX_QUEU"]
