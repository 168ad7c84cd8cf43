"""The names of transformers' CLIPModel, SiglipModel and Siglip2Model."""

from model.config import ModelConfig, TextConfig, TransformerConfig, ViTConfig
from model.layouts.rule import Rule, linear, norm, reshaped, same, stacked_linear


def rules(config: ModelConfig, patches: bool = False) -> list[Rule]:
    """The whole model; with `patches` the patch embedding is a linear map of flattened patches (Siglip2Model)."""
    vision, text = config.vision, config.text
    if not isinstance(vision, ViTConfig) or not isinstance(text, TextConfig):
        raise TypeError("transformers' CLIP and SigLIP are made of a ViT and a text Transformer")
    scalar = (1,) if config.logit_bias else ()
    found = [
        *_image_tower("vision_model", vision, patches),
        *_text_tower("text_model", text),
        reshaped("logit_scale", "log_logit_scale", scalar, ()),
    ]
    if config.logit_bias:
        found.append(reshaped("logit_bias", "logit_bias", scalar, ()))
    if config.image_projection == "linear":
        found += linear("visual_projection", "image_projection", vision.width, config.embedding_dim, bias=False)
    if config.text_projection != "none":
        affine = config.text_projection == "affine"
        name = "text_model.head" if affine else "text_projection"
        found += linear(name, "text_projection", text.width, config.embedding_dim, bias=affine)
    return found


def is_buffer(name: str) -> bool:
    """Whether a tensor is computed, not learned: older versions of transformers stored the numbers 0, 1, 2, …"""
    return name.endswith(".position_ids")


def _image_tower(there: str, config: ViTConfig, patches: bool) -> list[Rule]:
    width, side, here = config.width, config.patch_size, "image_tower"
    embedding = f"{there}.embeddings.patch_embedding"
    places = config.grid**2 + config.class_token
    found = [
        _patch_map(embedding, here, config) if patches else _patch_convolution(embedding, here, width, side),
        reshaped(
            f"{there}.embeddings.position_embedding.weight",
            f"{here}.position_embedding",
            (places, width),
            (1, places, width),
        ),
        *_encoder(there, f"{here}.encoder", config, "post_layernorm"),
    ]
    if config.patch_bias:
        found.append(same(f"{embedding}.bias", f"{here}.patch_embedding.bias", (width,)))
    if config.class_token:
        found.append(reshaped(f"{there}.embeddings.class_embedding", f"{here}.class_token", (width,), (1, 1, width)))
    if config.input_norm:
        found += norm(f"{there}.pre_layrnorm", f"{here}.input_norm", width)  # sic
    if config.pooling == "map":
        found += _map_head(f"{there}.head", f"{here}.map_head", config)
    return found


def _patch_convolution(there: str, here: str, width: int, side: int) -> Rule:
    return same(f"{there}.weight", f"{here}.patch_embedding.weight", (width, 3, side, side))


def _patch_map(there: str, here: str, config: ViTConfig) -> Rule:
    """A patch lies flat there row by row, the three channels of a pixel together."""
    width, side = config.width, config.patch_size
    return Rule(
        there=f"{there}.weight",
        shape=(width, side * side * 3),
        here=(f"{here}.patch_embedding.weight",),
        part=(width, 3, side, side),
        unfolded=(width, side, side, 3),
        axes=(0, 3, 1, 2),
    )


def _map_head(there: str, here: str, config: ViTConfig) -> list[Rule]:
    width = config.width
    names = (f"{there}.attention.in_proj_weight", f"{there}.attention.in_proj_bias")
    return [
        same(f"{there}.probe", f"{here}.probe", (1, 1, width)),
        *stacked_linear(names, f"{here}.attention", ("query", "key", "value"), width),
        *linear(f"{there}.attention.out_proj", f"{here}.attention.output", width, width),
        *norm(f"{there}.layernorm", f"{here}.norm", width),
        *_mlp(f"{there}.mlp", f"{here}.mlp", config),
    ]


def _text_tower(there: str, config: TextConfig) -> list[Rule]:
    width, here = config.width, "text_tower"
    tokens, places = f"{there}.embeddings.token_embedding.weight", f"{there}.embeddings.position_embedding.weight"
    return [
        same(tokens, f"{here}.token_embedding.weight", (config.vocab_size, width)),
        same(places, f"{here}.position_embedding", (config.context_length, width)),
        *_encoder(there, f"{here}.encoder", config, "final_layer_norm"),
    ]


def _encoder(there: str, here: str, config: TransformerConfig, last_norm: str) -> list[Rule]:
    width = config.width
    found = norm(f"{there}.{last_norm}", f"{here}.norm", width)
    projections = {"query": "q_proj", "key": "k_proj", "value": "v_proj", "output": "out_proj"}
    for layer in range(config.layers):
        block, own = f"{there}.encoder.layers.{layer}", f"{here}.blocks.{layer}"
        for name, theirs in projections.items():
            found += linear(f"{block}.self_attn.{theirs}", f"{own}.attention.{name}", width, width)
        found += norm(f"{block}.layer_norm1", f"{own}.attention_norm", width)
        found += norm(f"{block}.layer_norm2", f"{own}.mlp_norm", width)
        found += _mlp(f"{block}.mlp", f"{own}.mlp", config)
    return found


def _mlp(there: str, here: str, config: TransformerConfig) -> list[Rule]:
    hidden = round(config.width * config.mlp_ratio)
    return [
        *linear(f"{there}.fc1", f"{here}.expand", config.width, hidden),
        *linear(f"{there}.fc2", f"{here}.contract", hidden, config.width),
    ]
