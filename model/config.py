"""The architecture and preprocessing of a model, as `config.json` and `preprocessor_config.json` hold them.

Each field is declared once, with its range; an unknown key, a wrong type, a value out of range is an error naming it.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TransformerConfig(Section):
    """What every stack of Transformer blocks states."""

    width: PositiveInt = Field(description="width of a token")
    layers: PositiveInt = Field(description="number of encoder blocks")
    heads: PositiveInt = Field(description="attention heads; they divide the width")
    mlp_ratio: float = Field(4.0, gt=0, description="hidden width of the MLP over the width of a token")

    @model_validator(mode="after")
    def _heads_divide_the_width(self) -> "TransformerConfig":
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not divisible by {self.heads} heads")
        return self


class ViTConfig(TransformerConfig):
    """Vision Transformer (Dosovitskiy et al. 2021): the picture cut into patches, one token each, and a class token."""

    kind: Literal["vit"] = "vit"
    image_size: PositiveInt = Field(description="side of the square input, in pixels")
    patch_size: PositiveInt = Field(description="side of a patch, in pixels; it divides the image size")

    @model_validator(mode="after")
    def _patches_tile_the_picture(self) -> "ViTConfig":
        if self.image_size % self.patch_size:
            raise ValueError(f"image_size {self.image_size} is not a multiple of patch_size {self.patch_size}")
        return self


class _Stages(Section):
    """The convolutional stages of a ResNet."""

    image_size: PositiveInt = Field(description="side of the square input, in pixels")
    stem_width: PositiveInt = Field(description="channels after the first convolution, which halves the picture")
    stage_widths: tuple[PositiveInt, ...] = Field(min_length=1, description="channels of each stage")
    stage_depths: tuple[PositiveInt, ...] = Field(min_length=1, description="residual blocks of each stage")

    @model_validator(mode="after")
    def _every_stage_has_a_depth(self) -> "_Stages":
        if len(self.stage_widths) != len(self.stage_depths):
            raise ValueError("stage_widths and stage_depths differ in length")
        return self


class ResNetConfig(_Stages):
    """Residual network of basic blocks (He et al. 2016) with average pooling."""

    kind: Literal["resnet"] = "resnet"


class HybridConfig(TransformerConfig, _Stages):
    """ResNet stages whose last feature map becomes a Transformer's tokens (the hybrid of Dosovitskiy et al. 2021)."""

    kind: Literal["hybrid"] = "hybrid"


VisionConfig = Annotated[ViTConfig | ResNetConfig | HybridConfig, Field(discriminator="kind")]


class TextConfig(TransformerConfig):
    """Text Transformer: token and learned position embeddings, bidirectional blocks, mean over the real tokens."""

    vocab_size: PositiveInt = Field(description="number of tokens in the tokenizer's vocabulary")
    context_length: PositiveInt = Field(description="tokens read of a text; the rest is cut off")


class ModelConfig(Section):
    """`config.json`: a CLIP model (Radford et al. 2021) of one image tower and one text tower."""

    model_type: Literal["parallax"] = "parallax"
    name: str = Field(min_length=1, description="the name people see")
    embedding_dim: PositiveInt = Field(description="size of the shared embedding")
    vision: VisionConfig
    text: TextConfig


Colour = tuple[float, float, float]


class PreprocessConfig(Section):
    """`preprocessor_config.json`: how an upright RGB picture becomes the image tower's input."""

    size: PositiveInt = Field(description="side of the square input, in pixels")
    resize_mode: Literal["pad"] = Field("pad", description="fit the whole picture in, pad the rest with `pad_color`")
    resample: Literal["bicubic"] = Field("bicubic", description="filter of the resize, antialiased")
    pad_color: tuple[int, int, int] = Field((255, 255, 255), description="RGB of the padding, 0 to 255")
    image_mean: Colour = Field(description="subtracted per channel, after scaling to 0 … 1")
    image_std: Colour = Field(description="divided by per channel, after scaling to 0 … 1")
