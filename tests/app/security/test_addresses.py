"""An address is public only if it is that of one machine that anybody on the internet can reach."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.security import addresses
from app.security.addresses import is_nearby, is_public


@given(st.ip_addresses())
def test_an_address_that_python_calls_private_is_never_public(address: Any) -> None:
    if address.is_private or address.is_loopback or address.is_link_local or address.is_multicast:
        assert not is_public(str(address))


@given(st.ip_addresses(v=4))
def test_wrapping_an_address_in_ipv6_changes_nothing(address: Any) -> None:
    number = int(address)
    for wrapped in (f"::ffff:{address}", f"64:ff9b::{number >> 16:x}:{number & 0xFFFF:x}"):
        assert is_public(wrapped) == is_public(str(address))
    assert is_public(f"2002:{number >> 16:x}:{number & 0xFFFF:x}::1") == is_public(str(address))


def test_public_addresses_are_public() -> None:
    assert is_public("8.8.8.8")
    assert is_public("2606:4700:4700::1111")


@pytest.mark.parametrize(
    ("source", "address", "nearby"),
    [
        ("203.0.113.5", "203.0.113.5", True),
        ("203.0.113.5", "::ffff:203.0.113.5", True),
        ("203.0.113.5", "203.0.113.6", False),
        ("203.0.113.5", "::ffff:203.0.113.6", False),
        ("2a01:4f8:1:2::5", "2a01:4f8:1:2::5", True),
        ("2a01:4f8:1:2::5", "2a01:4f8:1:2:ffff::1", True),
        ("2a01:4f8:1:2::5", "2a01:4f8:1:3::5", False),
        (None, "2a01:4f8:1:2::5", False),
    ],
)
def test_this_machine_and_its_ipv6_network_are_nearby_however_public(
    monkeypatch: pytest.MonkeyPatch, source: str | None, address: str, nearby: bool
) -> None:
    monkeypatch.setattr(addresses, "_source", lambda _: source and ip_address(source))
    assert is_nearby(address) is nearby


def test_a_second_address_of_a_card_is_this_machine_s_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The system speaks to it from the first one."""
    monkeypatch.setattr(addresses, "_source", lambda _: ip_address("203.0.113.5"))
    assert addresses._is_own(ip_address("127.0.0.2"))
    assert not addresses._is_own(ip_address("203.0.113.6"))
    assert not is_nearby("203.0.113.6")
    with monkeypatch.context() as patched:
        patched.setattr(addresses, "_is_own", lambda target: target == ip_address("203.0.113.6"))
        assert is_nearby("203.0.113.6")
    monkeypatch.setattr(addresses, "_NONLOCAL_BIND", tmp_path / "bind")
    (tmp_path / "bind").write_text("1\n")
    assert not addresses._is_own(ip_address("127.0.0.2")), "where it may take any address, that tells nothing"


def test_the_system_knows_which_addresses_are_its_own() -> None:
    assert is_nearby("127.0.0.1")
    assert is_nearby("::ffff:127.0.0.1")
    assert not is_nearby("127.0.0.2")  # which it would speak to from 127.0.0.1
