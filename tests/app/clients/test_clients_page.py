"""What docs/clients.md shows can be typed as it stands there."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.app.clip_retrieval import clip_client
from tests.app.pictures import plain
from tests.app.process import ROOT, running

PAGE = (ROOT / "docs" / "clients.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"^## (.+?)\n.*?^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("data")) as (service, http):
        service.wait_for("ready:")
        http.put("/v1/images/ship", files={"file": plain("blue")}).raise_for_status()
        yield str(http.base_url).rstrip("/")


@pytest.mark.parametrize("title", BLOCKS)
def test_the_code_on_the_page_runs(
    title: str, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "oslo.png").write_bytes(plain("blue"))
    monkeypatch.chdir(tmp_path)
    package = ModuleType("clip_retrieval")  # without the half of the world that the package itself imports
    monkeypatch.setitem(sys.modules, "clip_retrieval", package)
    monkeypatch.setitem(sys.modules, "clip_retrieval.clip_client", clip_client)
    exec(BLOCKS[title].replace("http://127.0.0.1:8000", url), {})
    assert capsys.readouterr().out


def test_the_page_has_all_clients() -> None:
    assert [title.split()[0] for title in BLOCKS] == ["Parallax's", "`openai`", "`ClipClient`"]
