"""The names of OpenAI's CLIP, which open_clip kept.

open_clip's SigLIP has its text tower under `text.` and an image tower of `timm`; some of its CLIPs too have the former.
"""

from model.config import ModelConfig, ModifiedResNetConfig, TextConfig, TransformerConfig, ViTConfig
from model.layouts import timm
from model.layouts.rule import (
    Rule,
    batch_norm,
    convolution,
    linear,
    norm,
    reshaped,
    same,
    stacked_linear,
    transposed,
)

EXPANSION = 4
"""Channels that leave a bottleneck of the ResNet, over those of its 3×3 convolution."""

BUFFERS = {"input_resolution", "context_length", "vocab_size"}
"""Sizes that stand among the tensors of OpenAI's archives, and nowhere else."""


def rules(config: ModelConfig, text: str = "") -> list[Rule]:
    """The whole model; `text` is what stands before the names of the text tower."""
    if not isinstance(config.text, TextConfig):
        raise TypeError("OpenAI's CLIP has a text Transformer")
    found = [*_image(config), *_text_tower(text, config.text), reshaped("logit_scale", "log_logit_scale", (), ())]
    if config.logit_bias:
        found.append(reshaped("logit_bias", "logit_bias", (), ()))
    match config.text_projection:
        case "linear":
            shape = (config.text.width, config.embedding_dim)
            found.append(transposed(f"{text}text_projection", "text_projection.weight", shape))
        case "affine":
            found += linear(f"{text}text_projection", "text_projection", config.text.width, config.embedding_dim)
    return found


def is_buffer(name: str) -> bool:
    """Whether a tensor is a size or a mask, not learned."""
    return name in BUFFERS or name.rpartition(".")[2] == "attn_mask"


def _image(config: ModelConfig) -> list[Rule]:
    match config.vision:
        case ModifiedResNetConfig():
            return _modified_resnet("visual", "image_tower", config.vision)
        case ViTConfig(pooling="map"):
            return timm.rules("visual.trunk", "image_tower", config.vision)
        case ViTConfig():
            shape = (config.vision.width, config.embedding_dim)
            projection = transposed("visual.proj", "image_projection.weight", shape)
            return [*_vit("visual", "image_tower", config.vision), projection]
        case _:
            raise TypeError("OpenAI's CLIP has a ViT or a ModifiedResNet")


def _vit(there: str, here: str, config: ViTConfig) -> list[Rule]:
    width, places = config.width, config.grid**2 + 1
    found = [
        convolution(f"{there}.conv1", f"{here}.patch_embedding", 3, width, config.patch_size),
        reshaped(f"{there}.class_embedding", f"{here}.class_token", (width,), (1, 1, width)),
        reshaped(f"{there}.positional_embedding", f"{here}.position_embedding", (places, width), (1, places, width)),
        *_blocks(f"{there}.transformer", f"{here}.encoder", config),
        *norm(f"{there}.ln_post", f"{here}.encoder.norm", width),
    ]
    return found + norm(f"{there}.ln_pre", f"{here}.input_norm", width) if config.input_norm else found


def _text_tower(there: str, config: TextConfig) -> list[Rule]:
    width, here = config.width, "text_tower"
    return [
        same(f"{there}token_embedding.weight", f"{here}.token_embedding.weight", (config.vocab_size, width)),
        same(f"{there}positional_embedding", f"{here}.position_embedding", (config.context_length, width)),
        *_blocks(f"{there}transformer", f"{here}.encoder", config),
        *norm(f"{there}ln_final", f"{here}.encoder.norm", width),
    ]


def _blocks(there: str, here: str, config: TransformerConfig) -> list[Rule]:
    width, hidden = config.width, round(config.width * config.mlp_ratio)
    found: list[Rule] = []
    for layer in range(config.layers):
        block, own = f"{there}.resblocks.{layer}", f"{here}.blocks.{layer}"
        projections = (f"{block}.attn.in_proj_weight", f"{block}.attn.in_proj_bias")
        found += stacked_linear(projections, f"{own}.attention", ("query", "key", "value"), width)
        found += linear(f"{block}.attn.out_proj", f"{own}.attention.output", width, width)
        found += norm(f"{block}.ln_1", f"{own}.attention_norm", width)
        found += norm(f"{block}.ln_2", f"{own}.mlp_norm", width)
        found += linear(f"{block}.mlp.c_fc", f"{own}.mlp.expand", width, hidden)
        found += linear(f"{block}.mlp.c_proj", f"{own}.mlp.contract", hidden, width)
    return found


def _modified_resnet(there: str, here: str, config: ModifiedResNetConfig) -> list[Rule]:
    half, width = config.width // 2, config.width
    found: list[Rule] = []
    for number, (channels_in, channels_out) in enumerate([(3, half), (half, half), (half, width)], 1):
        found.append(convolution(f"{there}.conv{number}", f"{here}.conv{number}", channels_in, channels_out, 3))
        found += batch_norm(f"{there}.bn{number}", f"{here}.norm{number}", channels_out)
    channels = width
    for stage, depth in enumerate(config.stage_depths):
        for block in range(depth):
            place = (f"{there}.layer{stage + 1}.{block}", f"{here}.stages.{stage}.{block}")
            found += _bottleneck(*place, channels, width * 2**stage, strided=bool(stage) and not block)
            channels = EXPANSION * width * 2**stage
    return found + _attention_pool(f"{there}.attnpool", f"{here}.attention_pool", channels, config)


def _bottleneck(there: str, here: str, channels: int, width: int, strided: bool) -> list[Rule]:
    channels_out = EXPANSION * width
    found: list[Rule] = []
    sizes = [(channels, width, 1), (width, width, 3), (width, channels_out, 1)]
    for number, (channels_in, out, side) in enumerate(sizes, 1):
        found.append(convolution(f"{there}.conv{number}", f"{here}.conv{number}", channels_in, out, side))
        found += batch_norm(f"{there}.bn{number}", f"{here}.norm{number}", out)
    if strided or channels != channels_out:
        found.append(convolution(f"{there}.downsample.0", f"{here}.shortcut.conv", channels, channels_out, 1))
        found += batch_norm(f"{there}.downsample.1", f"{here}.shortcut.norm", channels_out)
    return found


def _attention_pool(there: str, here: str, channels: int, config: ModifiedResNetConfig) -> list[Rule]:
    places = 1 + (config.image_size // 32) ** 2
    found = [same(f"{there}.positional_embedding", f"{here}.position_embedding", (places, channels))]
    for name, theirs in {"query": "q_proj", "key": "k_proj", "value": "v_proj"}.items():
        found += linear(f"{there}.{theirs}", f"{here}.{name}", channels, channels)
    return found + linear(f"{there}.c_proj", f"{here}.output", channels, config.output_width)
