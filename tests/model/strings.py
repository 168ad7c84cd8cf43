"""Ten thousand texts that a tokenizer may meet, the same ones each time, so that they need not be stored."""

import random
import unicodedata
from collections.abc import Callable

SEED = 20_210_226
SCRIPTS = (
    (0x0020, 0x007E),  # ASCII
    (0x00A0, 0x024F),  # Latin with accents
    (0x0370, 0x03FF),  # Greek
    (0x1F00, 0x1FFF),  # polytonic Greek
    (0x0400, 0x052F),  # Cyrillic
    (0x0531, 0x058A),  # Armenian
    (0x0591, 0x05F4),  # Hebrew
    (0x0600, 0x06FF),  # Arabic
    (0x0900, 0x097F),  # Devanagari
    (0x0980, 0x09FE),  # Bengali
    (0x0B82, 0x0BFA),  # Tamil
    (0x0E01, 0x0E5B),  # Thai
    (0x0F00, 0x0FDA),  # Tibetan
    (0x10A0, 0x10FF),  # Georgian
    (0x1100, 0x11FF),  # Hangul, letter by letter
    (0x1200, 0x137C),  # Ethiopic
    (0x1780, 0x17F9),  # Khmer
    (0x1E00, 0x1EFF),  # Vietnamese and others
    (0x2000, 0x206F),  # spaces, dashes, directions
    (0x2070, 0x218B),  # superscripts, currencies, fractions, Roman numerals
    (0x2190, 0x27BF),  # arrows, mathematics, symbols
    (0x0300, 0x036F),  # combining marks
    (0x3041, 0x30FF),  # Japanese syllables
    (0x4E00, 0x9FFC),  # Chinese characters
    (0xAC00, 0xD7A3),  # Hangul
    (0xFB00, 0xFB06),  # ligatures
    (0xFF01, 0xFFEE),  # full width and half width
    (0x1D400, 0x1D7FF),  # mathematical letters
    (0x1F300, 0x1FAF6),  # emoji
    (0x20000, 0x2A6DF),  # rare Chinese characters
    (0xE000, 0xE0FF),  # private use
)
WORDS = (
    "a photo of a red apple Dog CAT naïve façade Straße İstanbul ΟΔΥΣΣΕΥΣ άνθρωπος мир שלום سلام नमस्ते สวัสดี 東京 "
    "ラーメン 한국어 smiling-face T-shirt e.g. 3.14 1,000,000 #hashtag @someone https://example.com/?q=1&r=2 C++ 50% "
    "don't I'M you'LL we've they're he'd it's 'tis rock'n'roll o'clock ’s ‘quoted’ “double” … — snake_case <b>bold</b> "
    "a/b\\c $5 €7 wi'ſe"
)
ENTITIES = (
    "&amp; &lt; &gt; &quot; &apos; &nbsp; &copy; &eacute; &EACUTE; &hearts; &#39; &#x27; &#128512; &#x1F600; &amp;amp; "
    "&amp;lt; &amp;amp;amp; &amp;#39; e&#769; &notit; &amp &lt &bogus; &#0; &#133; &#x110000; &; &#; &#xD83D;"
)
SPACES = " \t\n\r\x0b\x0c\x1c\x1d\x1f\x85\xa0\u1680\u2003\u2009\u200b\u2028\u2029\u202f\u205f\u3000\ufeff"
CONTROLS = "\x00\x01\x07\x08\x1b\x7f\x80\x9f\xad\u061c\u200d\u200e\u202e\u2066\ufe0f\ufffc\ufffd\U000e0001"
EMOJI = "😀 👍🏽 👨‍👩‍👧‍👦 🏳️‍🌈 🇯🇵 🇺🇳 1️⃣ ❤️ ☕ 🧑🏿‍🚀 ♂ ⚧ 🏴󠁧󠁢󠁳󠁣󠁴󠁿"


def strings(count: int = 10_000) -> list[str]:
    """`count` texts in an order that mixes their kinds; those of 10 kB are few, as they take long."""
    chance = random.Random(SEED)
    alphabets = [
        [chr(code) for code in range(first, last + 1) if unicodedata.category(chr(code)) != "Cn"]
        for first, last in SCRIPTS
    ]

    words, entities, emoji = WORDS.split(), ENTITIES.split(), EMOJI.split()

    def one_of(choices: str | list[str] | tuple[str, ...]) -> str:
        return choices[int(chance.random() * len(choices))]

    def up_to(most: int) -> range:
        return range(1 + int(chance.random() * most))

    def written() -> str:
        """A word or a few in one script."""
        alphabet = alphabets[int(chance.random() * len(alphabets))]
        return " ".join("".join(one_of(alphabet) for _ in up_to(12)) for _ in up_to(5))

    def mixed() -> str:
        alphabet = [one_of(alphabets[int(chance.random() * len(alphabets))]) for _ in range(12)]
        return "".join(one_of(alphabet) for _ in up_to(40))

    def sentence() -> str:
        return " ".join(one_of(words) for _ in up_to(14))

    def escaped() -> str:
        return "".join(one_of((*entities, one_of(words), " ", "")) for _ in up_to(12))

    def wrongly_decoded() -> str:
        """UTF-8 that was read as something else, once or twice."""
        text = one_of((sentence(), written(), one_of(emoji)))
        for _ in range(1 + (chance.random() < 0.2)):
            text = text.encode().decode(one_of(("latin-1", "cp1252", "cp1251", "mac_roman")), errors="replace")
        return text

    def spaced() -> str:
        return "".join(one_of(SPACES) if chance.random() < 0.6 else one_of(words) for _ in up_to(16))

    def pictured() -> str:
        return one_of(("", " ", "x")).join(one_of((*emoji, one_of(words))) for _ in up_to(10))

    def controlled() -> str:
        return "".join(one_of((one_of(CONTROLS), one_of(SPACES), one_of(words), one_of(emoji))) for _ in up_to(12))

    def cased() -> str:
        return "".join(one_of((letter.upper(), letter.lower(), letter.title())) for letter in written())

    def numbered() -> str:
        return "".join(one_of("0123456789²½Ⅷ٣९,.:-/%°'\"!?()") for _ in up_to(30))

    def long() -> str:
        kind = kinds[int(chance.random() * len(kinds))]
        text = ""
        while len(text) < 10_000:
            text += kind() + one_of((" ", "", "\n"))
        return text

    kinds: list[Callable[[], str]] = [
        *(sentence, written, written, mixed, escaped, wrongly_decoded, spaced, pictured, controlled, cased, numbered)
    ]
    made = ["", " ", "\n\t ", "\x00", "\u0345", "'", "''s", "\ufeff", "\ud83d\ude00", "\ud83d"]
    while len(made) < count:
        made.append(long() if len(made) % 500 == 0 else kinds[len(made) % len(kinds)]())
    return made
