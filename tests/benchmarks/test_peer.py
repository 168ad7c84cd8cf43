"""A peer has an environment of its own, made once."""

import subprocess

import pytest

from benchmarks import peer


@pytest.fixture
def pins(tmp_path, monkeypatch):
    monkeypatch.setattr(peer, "PINS", tmp_path)
    monkeypatch.setattr(peer, "FOLDER", tmp_path / "environments")
    pins = tmp_path / "nobody.txt"
    pins.write_text("# nothing but ours\n", encoding="utf-8")
    return pins


def test_a_peer_sees_our_packages_behind_its_own(pins):
    python = peer.interpreter("nobody")
    asked = "import sys, numpy; print(sys.prefix); print(numpy.__version__)"
    prefix, version = subprocess.check_output([python, "-c", asked], text=True).split()
    assert prefix == str(peer.FOLDER / "nobody")
    assert version


def test_it_is_made_again_only_when_its_pins_change(pins):
    peer.interpreter("nobody")
    kept = peer.FOLDER / "nobody" / "kept"
    kept.touch()
    peer.interpreter("nobody")
    assert kept.exists()
    pins.write_text("# changed\n", encoding="utf-8")
    peer.interpreter("nobody")
    assert not kept.exists()
