"""The recipe of the model folders beside it: tiny random CLIPs of open_clip and OpenAI, and what these make of inputs.

In an environment with `torch`, `open_clip_torch`, `timm`, `torchvision` and OpenAI's `clip` (`clip-anytorch`):

    python tests/model/golden/make_models.py

torchvision need not fit torch, since nothing of it is computed; `pip install --no-deps` is enough.
"""

import functools
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from safetensors.torch import save_file

HERE = Path(__file__).resolve().parent
VOCABULARY, CONTEXT, DIM = 54, 10, 16
END = VOCABULARY - 1
TEXT = {"context_length": CONTEXT, "vocab_size": VOCABULARY, "width": 32, "heads": 2, "layers": 1}
VIT = {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8}
RESNET = {"image_size": 64, "layers": [1, 2, 1, 1], "width": 4, "head_width": 32}
SIGLIP_TEXT = {
    **TEXT,
    "no_causal_mask": True,
    "proj_bias": True,
    "pool_type": "last",
    "norm_kwargs": {"eps": 1e-6},
    "hf_tokenizer_name": "tiny",
    "tokenizer_kwargs": {"clean": "canonicalize"},
}


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    for operator in ("nms", "qnms"):  # torchvision describes these on import, and a build for another torch lacks them
        if not hasattr(torch.ops.torchvision, operator):
            declared.define(f"{operator}(Tensor boxes, Tensor scores, float threshold) -> Tensor")
    make_open_clip("open_clip-vit", {"embed_dim": DIM, "vision_cfg": VIT, "text_cfg": TEXT})
    make_open_clip(
        "open_clip-vit-quickgelu", {"embed_dim": DIM, "quick_gelu": True, "vision_cfg": VIT, "text_cfg": TEXT}
    )
    make_open_clip("open_clip-resnet", {"embed_dim": DIM, "vision_cfg": RESNET, "text_cfg": TEXT})
    make_siglip("open_clip-siglip", "vit_base_patch16_siglip_224", SIGLIP_TEXT)
    tanh = {**SIGLIP_TEXT, "act_kwargs": {"approximate": "tanh"}}
    make_siglip("open_clip-siglip2", "vit_so400m_patch16_siglip_256", tanh)
    # input_resolution, vision_layers, vision_width, vision_patch_size; heads are 64 wide
    make_openai("openai-vit", (32, 1, 128, 8), torch.save)
    make_openai("openai-resnet", (64, (1, 2, 1, 1), 4, None), torch.save)
    make_openai("openai-vit-archive", (32, 1, 64, 8), save_archive)


declared = torch.library.Library("torchvision", "FRAGMENT")


def make_open_clip(name: str, model_cfg: dict) -> None:
    """A folder as open_clip writes it."""
    import open_clip

    custom = model_cfg.get("custom_text", False)
    settings = {key: value for key, value in model_cfg.items() if key != "custom_text"}
    model = (open_clip.CustomTextCLIP if custom else open_clip.CLIP)(**settings)
    state = scramble(model)
    folder = empty(name)
    save_file({key: value.half().contiguous() for key, value in state.items()}, folder / "open_clip_model.safetensors")
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": model_cfg}, indent=2) + "\n")
    write_golden(
        folder,
        model_cfg["vision_cfg"]["image_size"],
        lambda pixels: model.encode_image(pixels, normalize=True),
        lambda ids: model.encode_text(ids, normalize=True),
    )


def make_siglip(name: str, timm_name: str, text_cfg: dict) -> None:
    """The same with an image tower of timm, whose names are those of large models: it is made small here."""
    import open_clip.timm_model
    import timm

    small = {"img_size": 32, "embed_dim": 32, "depth": 1, "num_heads": 2, "mlp_ratio": 4}
    open_clip.timm_model.timm.create_model = functools.partial(timm.create_model, **small)
    vision_cfg = {"image_size": 32, "timm_model_name": timm_name, "timm_pool": "map", "timm_proj": "none"}
    make_open_clip(
        name,
        {
            "embed_dim": 32,
            "init_logit_bias": -10,
            "custom_text": True,
            "vision_cfg": vision_cfg,
            "text_cfg": text_cfg,
        },
    )
    open_clip.timm_model.timm.create_model = open_clip.timm_model.timm.create_model.func


def make_openai(name: str, vision: tuple, save: Callable) -> None:
    """A file as OpenAI publishes them, in half precision, with what its own `build_model` makes of it."""
    reference = file_of("clip", "model")
    torch.manual_seed(1)
    model = reference.CLIP(DIM, *vision, CONTEXT, VOCABULARY, 64, 1, 1)
    state = {key: value.half() if value.is_floating_point() else value for key, value in scramble(model).items()}
    sizes = {"input_resolution": vision[0], "context_length": CONTEXT, "vocab_size": VOCABULARY}
    state |= {key: torch.tensor(value) for key, value in sizes.items()}
    folder = empty(name)
    save(state, folder / "model.pt") if save is torch.save else save(model, sizes, folder / "model.pt")
    try:
        loaded = torch.jit.load(folder / "model.pt", map_location="cpu").state_dict()
    except RuntimeError:
        loaded = torch.load(folder / "model.pt", map_location="cpu", weights_only=True)
    built = reference.build_model(dict(loaded)).float()  # as clip.load does it on a CPU
    write_golden(folder, vision[0], unit(built.encode_image), unit(built.encode_text))


def save_archive(model: torch.nn.Module, sizes: dict[str, int], file: Path) -> None:
    """TorchScript, with the sizes among the tensors."""
    for name, size in sizes.items():
        if hasattr(model, name):
            delattr(model, name)
        model.register_buffer(name, torch.tensor(size))
    side = sizes["input_resolution"]
    example = torch.zeros(1, 3, side, side), torch.zeros(1, CONTEXT, dtype=torch.long)
    traced = torch.jit.trace(model.eval(), example, check_trace=False)
    for parameter in traced.parameters():
        parameter.data = parameter.data.half()
    torch.jit.save(traced, file)


def scramble(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Everything learned becomes random, so that no tensor can be left out unseen, and exact in half precision."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape) * 0.1)
        norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
        for norm in norms:
            norm.momentum = 1  # the statistics become those of the next batch
        if norms:
            model.train().encode_image(torch.from_numpy(draw_pixels(1, 16, 64)).float() / 32)
        learned = [*model.parameters(), *model.buffers()]
        for value in learned:
            if value.is_floating_point():
                value.copy_(value.half())
    state = model.eval().state_dict()
    return {key: value for key, value in state.items() if value.is_floating_point() and not key.endswith("attn_mask")}


def draw_pixels(seed: int, count: int, side: int) -> np.ndarray:
    """Coarse squares of colour with noise on them, in 32nds: int8 (count, 3, side, side)."""
    chance = np.random.default_rng(seed)
    coarse = (
        chance.integers(-56, 56, (count, 3, 4, 4), dtype=np.int8).repeat(side // 4, axis=2).repeat(side // 4, axis=3)
    )
    return coarse + chance.integers(-8, 8, coarse.shape, dtype=np.int8)


def write_golden(folder: Path, side: int, encode_image: Callable, encode_text: Callable) -> None:
    chance = np.random.default_rng(0)
    pixels = draw_pixels(0, 4, side)
    ids = chance.integers(0, END - 1, (4, CONTEXT), dtype=np.int64)
    for row, length in enumerate((1, 3, 7, CONTEXT - 1)):
        ids[row, length] = END
        ids[row, length + 1 :] = 0
    ids[1, 5] = END  # a second one changes nothing
    with torch.no_grad():
        images = encode_image(torch.from_numpy(pixels).float() / 32)
        texts = encode_text(torch.from_numpy(ids))
    np.savez_compressed(
        folder / "golden.npz", pixels=pixels, ids=ids, images=images.numpy().astype(np.float32), texts=texts.numpy()
    )
    spread = float((images @ images.T).min()), float((texts @ texts.T).min())
    print(f"{folder.name}: least cosine between images {spread[0]:.2f}, between texts {spread[1]:.2f}")


def unit(encode: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda inputs: torch.nn.functional.normalize(encode(inputs), dim=-1)


def file_of(package: str, name: str) -> ModuleType:
    """One module of an installed package, without the package around it."""
    folder = importlib.util.find_spec(package).submodule_search_locations[0]
    spec = importlib.util.spec_from_file_location(f"{package}_{name}", Path(folder, f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def empty(name: str) -> Path:
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    for file in folder.iterdir():
        file.unlink()
    return folder


if __name__ == "__main__":
    main()
