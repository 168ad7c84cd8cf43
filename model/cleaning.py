"""What happens to a text before its tokenizer, as the authors of each family of models did it when they trained.

Texts that are cleaned otherwise become other tokens, and the model finds less, without an error anywhere.
"""

import html
import string
from collections.abc import Callable, Mapping
from types import MappingProxyType

import ftfy

from model.config import Cleaning

_PUNCTUATION = str.maketrans("", "", string.punctuation)


def repair(text: str) -> str:
    """Undo wrong decodings ("cafÃ©") and HTML escapes, of which web pages can have two on top of each other."""
    return html.unescape(html.unescape(ftfy.fix_text(text))).strip()


def collapse_white_space(text: str) -> str:
    """Every run of white space becomes one space; none at the ends."""
    return " ".join(text.split())


def clip(text: str) -> str:
    """CLIP (Radford et al. 2021), OpenAI's and open_clip's: repaired, white space collapsed, lower case."""
    return collapse_white_space(repair(text)).lower()


def canonical(text: str) -> str:
    """SigLIP (Zhai et al. 2023) in Hugging Face's form: lower case, no ASCII punctuation, white space collapsed."""
    return collapse_white_space(text.lower().translate(_PUNCTUATION))


def clip_canonical(text: str) -> str:
    """SigLIP in open_clip's form: repaired as for CLIP, an underscore is a space, and lower case comes last.

    The order shows in Greek alone, whose sigma is another letter at the end of a word: "ΑΣ-Α" ends one, "ΑΣΑ" does not.
    """
    return collapse_white_space(repair(text).replace("_", " ").translate(_PUNCTUATION).lower())


def unchanged(text: str) -> str:
    """The text itself; its tokenizer does what there is to do."""
    return text


CLEANINGS: Mapping[Cleaning, Callable[[str], str]] = MappingProxyType(
    {
        "none": unchanged,
        "lower": str.lower,
        "clip": clip,
        "canonical": canonical,
        "clip_canonical": clip_canonical,
    }
)
"""The names that `TokenizationConfig.cleaning` takes."""
