"""The names of timm's Vision Transformers with attention pooling: the image towers of open_clip's SigLIP."""

from model.config import ViTConfig
from model.layouts.rule import Rule, linear, norm, same, stacked_linear


def rules(there: str, here: str, config: ViTConfig) -> list[Rule]:
    """The image tower, whose name stands before every other."""
    width = config.width
    patches, places = (width, 3, config.patch_size, config.patch_size), (1, config.grid**2, width)
    found = [
        same(f"{there}.patch_embed.proj.weight", f"{here}.patch_embedding.weight", patches),
        same(f"{there}.patch_embed.proj.bias", f"{here}.patch_embedding.bias", (width,)),
        same(f"{there}.pos_embed", f"{here}.position_embedding", places),
        *norm(f"{there}.norm", f"{here}.encoder.norm", width),
        *_pool(f"{there}.attn_pool", f"{here}.map_head", config),
    ]
    for layer in range(config.layers):
        block, own = f"{there}.blocks.{layer}", f"{here}.encoder.blocks.{layer}"
        projections = (f"{block}.attn.qkv.weight", f"{block}.attn.qkv.bias")
        found += stacked_linear(projections, f"{own}.attention", ("query", "key", "value"), width)
        found += linear(f"{block}.attn.proj", f"{own}.attention.output", width, width)
        found += norm(f"{block}.norm1", f"{own}.attention_norm", width)
        found += norm(f"{block}.norm2", f"{own}.mlp_norm", width)
        found += _mlp(f"{block}.mlp", f"{own}.mlp", config)
    return found


def _pool(there: str, here: str, config: ViTConfig) -> list[Rule]:
    width = config.width
    return [
        same(f"{there}.latent", f"{here}.probe", (1, 1, width)),
        *linear(f"{there}.q", f"{here}.attention.query", width, width),
        *stacked_linear((f"{there}.kv.weight", f"{there}.kv.bias"), f"{here}.attention", ("key", "value"), width),
        *linear(f"{there}.proj", f"{here}.attention.output", width, width),
        *norm(f"{there}.norm", f"{here}.norm", width),
        *_mlp(f"{there}.mlp", f"{here}.mlp", config),
    ]


def _mlp(there: str, here: str, config: ViTConfig) -> list[Rule]:
    hidden = round(config.width * config.mlp_ratio)
    return [
        *linear(f"{there}.fc1", f"{here}.expand", config.width, hidden),
        *linear(f"{there}.fc2", f"{here}.contract", hidden, config.width),
    ]
