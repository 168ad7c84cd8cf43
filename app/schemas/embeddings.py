"""/v1/embeddings, as OpenAI's API has it, and pictures beside."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

MAX_INPUTS = 2048
"""As OpenAI's API."""
MAX_INPUT_TEXT = 32_768
"""Characters. What is longer than the model reads is cut off by the model."""


class EmbeddingInput(BaseModel):
    """A text or a picture."""

    model_config = ConfigDict(extra="forbid")

    text: str | None = Field(None, min_length=1, max_length=MAX_INPUT_TEXT)
    image: str | None = Field(None, min_length=1, description="A picture in base64; a data URI is fine too.")

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.text is None) == (self.image is None):
            raise ValueError("give either text or image")
        return self


def _item(value: object) -> object:
    """A string is always text, whatever it looks like."""
    if isinstance(value, str):
        return {"text": value}
    if isinstance(value, int | list):
        sentence = (
            "numbers of tokens mean nothing here: every model has its own. Send the text"
            " (LangChain's OpenAIEmbeddings does with check_embedding_ctx_length=False)"
        )
        raise PydanticCustomError("tokens", sentence)
    return value


def _items(value: object) -> object:
    return [value] if isinstance(value, str | dict) else value


_Item = Annotated[EmbeddingInput, BeforeValidator(_item)]

_SCHEMA: dict[str, Any] = {
    "title": "Input",
    "description": "A string is always text; a picture is given as an object.",
    "examples": ["a red apple", ["a red apple", "a green one"], [{"text": "a red apple"}, {"image": "iVBORw0KGgo…"}]],
    "anyOf": [
        {"type": "string", "minLength": 1, "maxLength": MAX_INPUT_TEXT},
        {
            "type": "array",
            "minItems": 1,
            "maxItems": MAX_INPUTS,
            "items": {
                "anyOf": [
                    {"type": "string", "minLength": 1, "maxLength": MAX_INPUT_TEXT},
                    EmbeddingInput.model_json_schema(),
                ]
            },
        },
    ],
}


class EmbeddingsBody(BaseModel):
    """What is to become vectors."""

    model_config = ConfigDict(extra="forbid")

    input: Annotated[
        list[_Item],
        Field(min_length=1, max_length=MAX_INPUTS),
        BeforeValidator(_items),
        WithJsonSchema(_SCHEMA),
    ]
    model: str | None = Field(None, description="Any name: there is one model here, and the answer names it.")
    encoding_format: Literal["float", "base64"] | None = Field(
        "float", description="As numbers, or as the bytes of little-endian float32 in base64."
    )
    dimensions: int | None = Field(None, description="Only the size that the model's vectors have.")
    user: str | None = Field(None, description="Of no consequence here.")


class Embedding(BaseModel):
    """The vector of an input, of unit length."""

    object: Literal["embedding"] = "embedding"
    index: int = Field(description="Of the input.")
    embedding: list[float] | str


class Usage(BaseModel):
    """What OpenAI's clients want to read. Nothing is paid by it here."""

    prompt_tokens: int = Field(description="Words in the texts.")
    total_tokens: int


class EmbeddingsAnswer(BaseModel):
    """The vectors of all inputs, in their order."""

    object: Literal["list"] = "list"
    data: list[Embedding]
    model: str = Field(description="The model that made them.")
    usage: Usage
