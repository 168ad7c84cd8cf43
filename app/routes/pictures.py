"""Pictures in requests: sent along, named by their id, in base64, or at an address."""

from __future__ import annotations

from app.http.data_uri import picture_bytes
from app.inference.queries import KeptPicture, SentPicture
from app.schemas import PictureQuery
from app.security.fetching import Fetcher


def picture_source(picture: PictureQuery, fetcher: Fetcher) -> KeptPicture | SentPicture:
    """What a query is made of. Blocks while a picture is fetched. Raises InvalidRequest, or what the fetcher raises."""
    if picture.id is not None:
        return KeptPicture(picture.id)
    if picture.url is not None:
        return SentPicture(fetcher.fetch(picture.url))
    return SentPicture(picture_bytes(picture.base64 or ""))
