"""Captions of a picture: its label, its keywords, and what people would type of both."""

from collections.abc import Sequence

from numpy.random import Generator

from training.data.example import Example

TEMPLATES = (
    "{}",
    "{}",
    "{}",
    "a {}",
    "{} emoji",
    "{} icon",
    "a picture of {}",
    "a drawing of {}",
    "an icon of a {}",
    "{} symbol",
)


def phrases(label: str) -> list[str]:
    """A label as people write it: `flag: Japan` is also `flag of Japan`, `Japan flag` and `Japan`."""
    kind, colon, detail = label.partition(": ")
    if not colon:
        return [label]
    forms = [f"{kind} {detail}", f"{detail} {kind}"]
    if kind == "flag":
        forms += [f"flag of {detail}", f"{detail} flag", f"flag of {detail}", f"{detail}"]
    return forms


def captions(example: Example, count: int, rng: Generator) -> list[str]:
    """One caption in English; each further one in a random language of those that the example has, English too.

    Of an example with several captions, different ones as they were written, as long as there are.
    """
    if example.captions:
        return written(example, count, rng)
    return [caption(example, rng), *(_in_any_language(example, rng) for _ in range(count - 1))]


def written(example: Example, count: int, rng: Generator) -> list[str]:
    """So many captions as people wrote them: different ones as long as there are."""
    texts = (example.label, *example.captions)
    order = rng.permutation(len(texts))
    return [texts[order[number % len(texts)]] for number in range(count)]


def _in_any_language(example: Example, rng: Generator) -> str:
    languages = list(example.labels)
    chosen = rng.integers(len(languages) + 1)
    if chosen == len(languages):
        return caption(example, rng)
    language = languages[chosen]
    tags = example.keywords.get(language, ())
    if not tags or rng.random() < 0.65:
        return query(example.labels[language])
    some = rng.permutation(len(tags))[: rng.integers(1, 4)]
    return " ".join(tags[index] for index in some)


def query(label: str) -> str:
    """A label as a person types it: `flag: Japan` without its colon."""
    return label.replace(": ", " ")


def caption(example: Example, rng: Generator) -> str:
    """A random caption: the label in a template, some keywords, or both; never all keywords at once, nor always."""
    label = _thinned(str(rng.choice(phrases(example.label))), rng)
    tags: Sequence[str] = example.tags
    draw = rng.random()
    if draw < 0.6 or not tags:
        return str(rng.choice(TEMPLATES)).format(label)
    some = rng.permutation(len(tags))[: rng.integers(1, 4)]
    words = " ".join(tags[index] for index in some)
    if draw < 0.75:
        return words
    return f"{label} {words}" if rng.random() < 0.5 else f"{words} {label}"


def _thinned(label: str, rng: Generator) -> str:
    """The label, or now and then the label without one of its words: each word has to mean something by itself."""
    words = label.split()
    if len(words) > 1 and rng.random() < 0.15:
        del words[rng.integers(len(words))]
    return " ".join(words)


def vocabulary_texts(examples: Sequence[Example]) -> list[str]:
    """Every distinct label, caption and keyword of every language, the texts a tokenizer is trained on."""
    texts = {text for example in examples for text in (*phrases(example.label), *example.tags)}
    texts |= {query(label) for example in examples for label in example.labels.values()}
    texts |= {tag for example in examples for tags in example.keywords.values() for tag in tags}
    texts |= {caption for example in examples for caption in example.captions}
    return sorted(texts) + [template.replace("{}", "") for template in TEMPLATES]
