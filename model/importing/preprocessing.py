"""How a checkpoint wants its pictures, from `preprocessor_config.json` and open_clip's `preprocess_cfg`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from model.config import PreprocessConfig
from model.errors import ForeignCheckpointError
from model.importing.settings import Settings, read_json, refused

CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Of the pictures that OpenAI trained on (Radford et al. 2021)."""
SIGLIP_MEAN = SIGLIP_STD = (0.5, 0.5, 0.5)

CLIP = PreprocessConfig(size=224, resize_mode="crop", image_mean=CLIP_MEAN, image_std=CLIP_STD)
"""As OpenAI's CLIP was trained: the centre of the picture, bicubic."""
SIGLIP = PreprocessConfig(size=224, resize_mode="squash", image_mean=SIGLIP_MEAN, image_std=SIGLIP_STD)
"""As SigLIP was trained: the whole picture, stretched to a square."""

PREPROCESSOR, PROCESSOR = "preprocessor_config.json", "processor_config.json"
RESAMPLE = {2: "bilinear", 3: "bicubic"}
"""Pillow's numbers of its filters, which transformers stores."""

_STEPS = {"do_resize": True, "do_rescale": True, "do_normalize": True, "rescale_factor": 1 / 255, "resample": 3}
_CLIP = {
    **_STEPS, "do_center_crop": True, "size": {"shortest_edge": 224}, "crop_size": 224,
    "image_mean": CLIP_MEAN, "image_std": CLIP_STD,
}  # fmt: skip
_SIGLIP = {**_STEPS, "do_center_crop": False, "size": 224, "image_mean": SIGLIP_MEAN, "image_std": SIGLIP_STD}


def read_processor(folder: Path, image_size: int, siglip: bool) -> tuple[PreprocessConfig, list[str], tuple[Path, ...]]:
    """What transformers' image processor of a folder does, what was assumed of it, and the files read.

    Raises ForeignCheckpointError where it does anything that is not done here.
    """
    file, values = _processor(folder)
    if file is None:
        config = SIGLIP if siglip else CLIP.model_copy(update={"crop_rounding": "down"})
        family = "SigLIP" if siglip else "CLIP"
        remark = f"there is no {PREPROCESSOR}: pictures are prepared as transformers does for {family} without one"
        return config.model_copy(update={"size": image_size}), [remark], ()
    patches = str(values.get("image_processor_type")).startswith("Siglip2") or "max_num_patches" in values
    # Siglip2Model's, which cuts a picture of any proportions into patches, has another filter and no size.
    defaults = {**_SIGLIP, "size": image_size, "resample": 2 if patches else 3} if siglip else _CLIP
    settings = Settings(values, str(file), defaults)
    skipped = [step for step in ("do_resize", "do_rescale", "do_normalize") if not settings.flag(step)]
    if skipped or abs(settings.number("rescale_factor") - 1 / 255) > 1e-6:
        what = ", ".join(skipped) or "rescale_factor"
        raise ForeignCheckpointError(f"{file} prepares pictures as nothing here does: see {what}.")
    mode = _resize_mode(settings, image_size, file)
    config = _config(
        str(file),
        size=image_size,
        resize_mode=mode,
        crop_rounding="down" if mode == "crop" else "even",
        resample=RESAMPLE.get(settings.integer("resample"), settings.integer("resample")),
        image_mean=settings.colour("image_mean"),
        image_std=settings.colour("image_std"),
    )
    return config, [f"{file.name}: {key} is {value}" for key, value in settings.defaulted.items()], (file,)


def read_preprocess_cfg(values: Mapping[str, Any], place: str, image_size: int, siglip: bool) -> PreprocessConfig:
    """open_clip's `preprocess_cfg`; what it leaves out is as open_clip's own lists have it for that family."""
    mean, std = (SIGLIP_MEAN, SIGLIP_STD) if siglip else (CLIP_MEAN, CLIP_STD)
    mode = "squash" if siglip else "shortest"
    defaults = {
        "mean": mean, "std": std, "interpolation": "bicubic", "resize_mode": mode, "fill_color": 0, "size": image_size,
        "mode": "RGB",
    }  # fmt: skip
    settings = Settings(values, place, defaults)
    if settings.side("size") != image_size:
        raise ForeignCheckpointError(f"{place}: size is {settings.side('size')}, the image tower's is {image_size}.")
    modes = {"shortest": "crop", "squash": "squash", "longest": "pad"}
    wanted = settings.text("resize_mode")
    if wanted not in modes or settings.text("mode") != "RGB":
        raise ForeignCheckpointError(f"{place} prepares pictures as nothing here does: {dict(values)}.")
    fill = settings.integer("fill_color")
    return _config(
        place,
        size=image_size,
        resize_mode=modes[wanted],
        resample=settings.text("interpolation"),
        pad_color=(fill, fill, fill) if wanted == "longest" else (255, 255, 255),
        image_mean=settings.colour("mean"),
        image_std=settings.colour("std"),
    )


def _config(place: str, **values: object) -> PreprocessConfig:
    try:
        return PreprocessConfig.model_validate(values)
    except ValidationError as error:
        raise refused(error, place, "preprocessing") from error


def _processor(folder: Path) -> tuple[Path | None, dict[str, Any]]:
    """The image processor's file and values; newer versions of transformers keep them within the processor's."""
    if (folder / PREPROCESSOR).is_file():
        return folder / PREPROCESSOR, read_json(folder / PREPROCESSOR)
    if (folder / PROCESSOR).is_file():
        inner = read_json(folder / PROCESSOR).get("image_processor")
        if isinstance(inner, dict):
            return folder / PROCESSOR, inner
    return None, {}


def _resize_mode(settings: Settings, image_size: int, file: Path) -> str:
    size = settings.get("size")
    if "max_num_patches" in settings:
        return "squash"
    crops = settings.flag("do_center_crop")
    shortest = crops and not (isinstance(size, dict) and "height" in size)
    sides = {"size": settings.side("size")} | ({"crop_size": settings.side("crop_size")} if crops else {})
    if not crops and "size" in settings and not (isinstance(size, dict) and "height" in size):
        raise ForeignCheckpointError(f"{file} leaves pictures of any proportions: size is {size}, and nothing is cut.")
    if set(sides.values()) != {image_size}:
        made = ", ".join(f"{key} {side}" for key, side in sides.items())
        raise ForeignCheckpointError(f"{file} makes pictures of {made}, the image tower reads {image_size}.")
    return "crop" if shortest else "squash"
