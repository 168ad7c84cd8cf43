"""The architecture and preprocessing of a model, as `config.json` and `preprocessor_config.json` hold them.

Each field is declared once, with its range; an unknown key, a wrong type, a value out of range is an error naming it.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, model_validator


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


Activation = Literal["gelu", "gelu_tanh", "quick_gelu", "relu"]
Cleaning = Literal["none", "lower", "clip", "canonical", "clip_canonical"]


class TransformerConfig(Section):
    """What every stack of Transformer blocks states."""

    width: PositiveInt = Field(description="width of a token")
    layers: PositiveInt = Field(description="number of encoder blocks")
    heads: PositiveInt = Field(description="attention heads; they divide the width")
    mlp_ratio: float = Field(4.0, gt=0, description="hidden width of the MLP over the width of a token")
    activation: Activation = Field("gelu", description="between the two linear maps of the MLP")
    norm_eps: float = Field(1e-5, gt=0, description="added to the variance in every layer norm")

    @model_validator(mode="after")
    def _heads_divide_the_width(self) -> "TransformerConfig":
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not divisible by {self.heads} heads")
        return self

    @property
    def feature_width(self) -> int:
        """Size of the tower's feature, which the projection takes to the embedding."""
        return self.width


class ViTConfig(TransformerConfig):
    """Vision Transformer (Dosovitskiy et al. 2021): the picture cut into patches, one token each."""

    kind: Literal["vit"] = "vit"
    image_size: PositiveInt = Field(description="side of the square input, in pixels")
    patch_size: PositiveInt = Field(description="side of a patch, in pixels; pixels beyond the last whole one are cut")
    patch_bias: bool = Field(True, description="whether the patch embedding has a bias (CLIP: no, SigLIP: yes)")
    input_norm: bool = Field(False, description="layer norm of the embedded tokens, before the first block (CLIP)")
    class_token: bool = Field(True, description="whether a learned token stands before those of the patches")
    pooling: Literal["class", "mean", "map"] = Field(
        "class", description="class token, mean over the patches, or attention from a learned probe (SigLIP)"
    )

    @model_validator(mode="after")
    def _tokens_are_there(self) -> "ViTConfig":
        if self.patch_size > self.image_size:
            raise ValueError(f"patch_size {self.patch_size} is larger than image_size {self.image_size}")
        if self.pooling == "class" and not self.class_token:
            raise ValueError('pooling "class" needs class_token')
        return self

    @property
    def grid(self) -> int:
        """Patches along one side."""
        return self.image_size // self.patch_size


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

    @property
    def feature_width(self) -> int:
        """Size of the tower's feature."""
        return self.stage_widths[-1]


class HybridConfig(TransformerConfig, _Stages):
    """ResNet stages whose last feature map becomes a Transformer's tokens (the hybrid of Dosovitskiy et al. 2021)."""

    kind: Literal["hybrid"] = "hybrid"


class ModifiedResNetConfig(Section):
    """CLIP's ResNet (Radford et al. 2021, 2.4): three-convolution stem, anti-aliased strides, attention pooling."""

    kind: Literal["modified_resnet"] = "modified_resnet"
    image_size: PositiveInt = Field(description="side of the square input, in pixels; a multiple of 32")
    width: PositiveInt = Field(
        multiple_of=2, description="channels after the stem; the last stage has 32 times as many"
    )
    stage_depths: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt] = Field(description="blocks of each stage")
    heads: PositiveInt = Field(description="heads of the attention pooling; they divide 32 × width")
    output_width: PositiveInt = Field(description="width of the pooled feature; CLIP's embedding, without projection")

    @model_validator(mode="after")
    def _sizes_fit(self) -> "ModifiedResNetConfig":
        if self.image_size % 32:
            raise ValueError(f"image_size {self.image_size} is not a multiple of 32, by which the stages shrink it")
        if 32 * self.width % self.heads:
            raise ValueError(f"32 × width {self.width} is not divisible by {self.heads} heads")
        return self

    @property
    def feature_width(self) -> int:
        """Size of the tower's feature."""
        return self.output_width


VisionConfig = Annotated[ViTConfig | ResNetConfig | HybridConfig | ModifiedResNetConfig, Field(discriminator="kind")]


class _Texts(Section):
    """What every text tower states."""

    vocab_size: PositiveInt = Field(description="number of tokens in the tokenizer's vocabulary")
    context_length: PositiveInt = Field(description="tokens read of a text; the rest is cut off")


class TextTransformerConfig(TransformerConfig, _Texts):
    """Text Transformer, whatever its vocabulary: token and learned position embeddings, N blocks, a pooled feature."""

    kind: Literal["transformer"] = "transformer"
    attention: Literal["bidirectional", "causal"] = Field(
        "bidirectional", description="whether a token also looks at those behind it (CLIP: causal)"
    )
    attends_padding: bool = Field(False, description="whether padding is looked at like any token (SigLIP)")
    pooling: Literal["mean", "first_eot", "last"] = Field(
        "mean", description="mean of the real tokens, the first end-of-text token (CLIP), or the last place (SigLIP)"
    )

    @property
    def reads_padding(self) -> bool:
        """Whether the feature depends on the padding: it then has to be there, always as much."""
        return self.pooling == "last" or (self.attends_padding and self.attention == "bidirectional")


class TextConfig(TextTransformerConfig):
    """Text Transformer with its vocabulary."""

    eot_id: NonNegativeInt | None = Field(None, description="id of the end-of-text token, for pooling by it")

    @model_validator(mode="after")
    def _pooled_token_is_known(self) -> "TextConfig":
        if (self.pooling == "first_eot") != (self.eot_id is not None):
            raise ValueError('eot_id goes with pooling "first_eot", and only with it')
        if self.eot_id is not None and self.eot_id >= self.vocab_size:
            raise ValueError(f"eot_id {self.eot_id} is not below vocab_size {self.vocab_size}")
        return self


class RecurrentTextConfig(_Texts):
    """Recurrent text tower, the baseline that attention replaced (LSTM: Hochreiter and Schmidhuber 1997)."""

    kind: Literal["lstm", "gru"]
    width: PositiveInt = Field(description="width of a token and of the state, of both directions together")
    layers: PositiveInt = Field(description="stacked recurrent layers")
    bidirectional: bool = Field(False, description="whether a second one reads from the end, half the width for each")
    pooling: Literal["mean", "last"] = Field("last", description="mean of the real tokens, or the last state")

    @model_validator(mode="after")
    def _directions_share_the_width(self) -> "RecurrentTextConfig":
        if self.bidirectional and self.width % 2:
            raise ValueError(f"width {self.width} is odd, and two directions share it")
        return self

    @property
    def feature_width(self) -> int:
        """Size of the tower's feature."""
        return self.width


TextTowerConfig = Annotated[TextConfig | RecurrentTextConfig, Field(discriminator="kind")]


class TokenizationConfig(Section):
    """What happens to a text around `tokenizer.json`."""

    cleaning: Cleaning = Field(
        "none",
        description="before the tokenizer: nothing, lower case alone, CLIP's (ftfy, HTML unescaped twice, white space, "
        "lower case), SigLIP's canonical form (lower case, no punctuation), or that after CLIP's repairs (open_clip)",
    )
    padding: Literal["longest", "context"] = Field(
        "longest", description="up to the longest text of a batch, or always to context_length (SigLIP)"
    )
    pad_id: NonNegativeInt = Field(0, description="id of the padding token")


class ModelConfig(Section):
    """`config.json`: a CLIP model (Radford et al. 2021; SigLIP: Zhai et al. 2023), an image tower and a text tower."""

    model_type: Literal["parallax"] = "parallax"
    name: str = Field(min_length=1, description="the name people see")
    embedding_dim: PositiveInt = Field(description="size of the shared embedding")
    vision: VisionConfig
    text: TextTowerConfig
    tokenization: TokenizationConfig = TokenizationConfig()
    image_projection: Literal["linear", "none"] = Field(
        "linear", description="from the image feature to the embedding; with none the tower's width is the embedding's"
    )
    text_projection: Literal["linear", "affine", "none"] = Field(
        "linear", description="from the text feature to the embedding: a matrix, a matrix and a bias (SigLIP), nothing"
    )
    logit_bias: bool = Field(False, description="whether the model has a learned bias of its logits (SigLIP)")

    @model_validator(mode="after")
    def _parts_fit(self) -> "ModelConfig":
        towers = (("image", self.image_projection, self.vision), ("text", self.text_projection, self.text))
        for name, projection, tower in towers:
            if projection == "none" and tower.feature_width != self.embedding_dim:
                raise ValueError(
                    f'{name}_projection "none" needs a tower as wide as the embedding: '
                    f"its feature is {tower.feature_width}, embedding_dim is {self.embedding_dim}"
                )
        if isinstance(self.text, TextConfig) and self.text.reads_padding and self.tokenization.padding == "longest":
            raise ValueError('text.attends_padding and text.pooling "last" need tokenization.padding "context"')
        if self.tokenization.pad_id >= self.text.vocab_size:
            raise ValueError(f"pad_id {self.tokenization.pad_id} is not below vocab_size {self.text.vocab_size}")
        return self


_Level = Annotated[int, Field(ge=0, le=255)]
_Shift = Annotated[float, Field(allow_inf_nan=False)]
_Scale = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class PreprocessConfig(Section):
    """`preprocessor_config.json`: how an upright RGB picture becomes the image tower's input."""

    size: PositiveInt = Field(description="side of the square input, in pixels")
    resize_mode: Literal["pad", "crop", "squash"] = Field(
        "pad",
        description="fit the whole picture in and pad the rest with `pad_color`; scale the shortest side and cut the "
        "centre out (CLIP); or stretch both sides (SigLIP)",
    )
    resample: Literal["bicubic", "bilinear"] = Field("bicubic", description="filter of the resize, antialiased")
    crop_rounding: Literal["even", "down"] = Field(
        "even",
        description="where the centre lies between two pixels: at the even one (torchvision, and so OpenAI and "
        "open_clip), or always at the first (transformers)",
    )
    pad_color: tuple[_Level, _Level, _Level] = Field((255, 255, 255), description="RGB of the padding, 0 to 255")
    image_mean: tuple[_Shift, _Shift, _Shift] = Field(description="subtracted per channel, after scaling to 0 … 1")
    image_std: tuple[_Scale, _Scale, _Scale] = Field(description="divided by per channel, after scaling to 0 … 1")
