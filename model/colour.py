"""The colours that a picture's own profile means, as sRGB: a phone's red is deeper than the red of a screen of 1996."""

from __future__ import annotations

import io

from PIL import Image, ImageCms

_MOST = 4 << 20
"""Bytes of a profile. Those of cameras and screens have some hundreds, those of printing presses two million."""
_SPACES = {"L": "GRAY", "RGB": "RGB ", "RGBA": "RGB ", "CMYK": "CMYK"}
"""Mode of a picture → colour space of a profile for it (ICC.1:2022, table 19)."""
_CLASSES = frozenset({"scnr", "mntr", "prtr", "spac"})
"""Profiles of devices and spaces; the others say nothing of a picture."""
_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def in_srgb(image: Image.Image) -> Image.Image:
    """The picture in sRGB by its embedded profile: RGB, or RGBA where it was so.

    Itself where there is nothing to do: no profile, one of sRGB, one that does not fit the picture or cannot be read.
    """
    profile = image.info.get("icc_profile")
    if not isinstance(profile, bytes) or not 0 < len(profile) <= _MOST:
        return image
    flat = image.convert("RGBA" if image.has_transparency_data else "RGB") if image.mode in {"P", "PA"} else image
    if flat.mode not in _SPACES:
        return image
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if not _fits(opened, flat.mode):
            return image
        mode = "RGBA" if flat.mode == "RGBA" else "RGB"
        converted = ImageCms.profileToProfile(flat, opened, _SRGB, outputMode=mode)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):  # broken metadata must not lose the picture
        return image
    if converted is None:
        return image
    # What is transparent was said in the samples of the profile's space.
    if flat.mode != "RGBA" and flat.has_transparency_data:
        converted.putalpha(flat.convert("RGBA").getchannel("A"))
    return converted


def _fits(profile: ImageCms.ImageCmsProfile, mode: str) -> bool:
    said = profile.profile
    named = (said.profile_description or "").lower()
    return said.xcolor_space == _SPACES[mode] and said.device_class in _CLASSES and "srgb" not in named
