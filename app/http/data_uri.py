"""Pictures inside JSON: their bytes in base64, or in a data URI."""

from __future__ import annotations

import base64
import binascii

from app.errors import InvalidRequest


def picture_bytes(text: str) -> bytes:
    """The bytes that a text in base64 (RFC 4648) stands for; padding may be left out. Raises InvalidRequest.

    Of a data URI (RFC 2397) what follows the comma is read; the type that it names is not believed, but found out.
    """
    encoded = text.partition(",")[2] if text[:5].lower() == "data:" else text
    try:
        return base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidRequest("The picture in base64 is not valid base64.") from None
