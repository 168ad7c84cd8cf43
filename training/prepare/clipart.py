"""The clip art data set: Debian's package `openclipart-svg`, drawings of real things in the public domain.

Titles and keywords stand in each file's metadata (Dublin Core). They were typed by thousands of people: the rules below
keep the drawings whose title says what they show.
"""

import hashlib
import io
import re
import subprocess
import tempfile
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from training.prepare.drawings import Concept, Drawing, SourceError, render, squeeze
from training.prepare.pictogram import read_concepts

PACKAGE = "openclipart-svg"
SHA256 = "989712d90d57dfa3230049f553bb43b76c30ee4d4b8c5f6e106e33f7db5cbdc5"
LICENCE = "CC-PDDC"

_PUBLIC_DOMAIN = re.compile("publicdomain", re.IGNORECASE)
_DC = "{http://purl.org/dc/elements/1.1/}"
_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_CREDIT = re.compile(r"^clip ?art by [^-]+ - ", re.IGNORECASE)
_NOT_A_SUBJECT = re.compile(
    r"\b(theme|collection|part of|clip ?arts?|icons?|icon ?set|lemon|untitled|unsorted|svg|symbol signs|map symbols)\b"
    r"|various|submis|sibmis",
    re.IGNORECASE,
)
_FILING = frozenset({"hash", "icons", "icon", "theme", "sign", "signs and symbols", "unsorted", "computer", "action"})
_MOST_OF_ONE_TITLE = 12
"""A title on more drawings than that names a series, not what each shows."""

_SIZE = 96
_PAGE = 384


def fetch(folder: Path) -> Path:
    """The package's drawings, unpacked below `folder` from Debian's archive where they are missing."""
    drawings = folder / "usr/share/openclipart/svg"
    if not drawings.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        try:
            subprocess.run(["apt-get", "download", PACKAGE], cwd=folder, check=True, stdout=subprocess.DEVNULL)
            archive = next(folder.glob(f"{PACKAGE}_*.deb"))
            found = hashlib.sha256(archive.read_bytes()).hexdigest()
            if found != SHA256:
                raise SourceError(f"{archive.name} has SHA-256 {found}, not {SHA256}: review the new version first")
            with tempfile.TemporaryDirectory(dir=folder) as part:
                subprocess.run(["dpkg-deb", "--extract", archive, part], check=True)
                drawings.parent.mkdir(parents=True, exist_ok=True)
                (Path(part) / drawings.relative_to(folder)).rename(drawings)  # all of it or nothing
        except (OSError, StopIteration, subprocess.CalledProcessError) as error:
            raise SourceError(
                f"The clip art is Debian's package {PACKAGE}, and fetching it with apt-get failed ({error}). On "
                f"another system unpack that package by hand, so that {drawings} exists"
            ) from error
    return drawings


def read_clipart(drawings: Path, packages: Path) -> Iterator[Drawing]:
    """Every drawing whose title names what it shows; a title that is an emoji's label is that concept."""
    emoji = {squeeze(concept.label): concept for concept in read_concepts(packages).values()}
    found = [
        (path, title, keywords, svg)
        for path in sorted(drawings.rglob("*.svg"))
        if (svg := path.read_text("utf-8", errors="replace")) and (described := _description(svg))
        for title, keywords in (described,)
    ]
    titles = Counter(squeeze(title) for _, title, _, _ in found)
    for path, title, keywords, svg in found:
        if titles[squeeze(title)] > _MOST_OF_ONE_TITLE:
            continue
        concept = emoji.get(squeeze(title))
        yield Drawing(
            concept=Concept(
                hexcode=concept.hexcode if concept else f"name:{squeeze(title)}",
                label=title,
                tags=keywords,
                group=path.relative_to(drawings).parts[0],
                labels=concept.labels if concept else {},
            ),
            style="openclipart",
            name=path.stem,
            licence=LICENCE,
            svg=svg,
        )


def picture(drawing: Drawing) -> bytes | None:
    """The drawing as PNG, cut to what is drawn: many stand in a corner of a sheet of paper. None if nothing shows."""
    try:
        page = render(drawing.svg, _PAGE)
    except ValueError:  # old files need elements that the renderer has not
        return None
    with Image.open(io.BytesIO(page)) as image:
        sheet = image.convert("RGBA")
    box = sheet.getchannel("A").getbbox()
    if box is None or min(box[2] - box[0], box[3] - box[1]) < 8:
        return None
    cut = sheet.crop(box)
    cut.thumbnail((_SIZE, _SIZE), Image.Resampling.BOX)
    out = io.BytesIO()
    cut.save(out, "PNG")
    return out.getvalue()


def held_out(drawing: Drawing) -> bool:
    """Whether a drawing is of the tenth that is never trained on; all of one title are, or none."""
    digest = hashlib.sha256(f"openclipart:{drawing.concept.hexcode}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % 10 == 0


def _description(svg: str) -> tuple[str, tuple[str, ...]] | None:
    """Title and keywords; None where the file is damaged, under a licence, or titled for its collection."""
    try:
        root = ET.fromstring(svg.encode())
    except ET.ParseError:
        return None
    licences = [element.get(f"{_RDF}resource", "") for element in root.iter() if element.tag.endswith("}license")]
    title = _words(next((element.text for element in root.iter(f"{_DC}title") if element.text), ""))
    if not licences or not _PUBLIC_DOMAIN.search(licences[0]) or len(squeeze(title)) < 3 or len(title) > 60:
        return None
    if _NOT_A_SUBJECT.search(title):
        return None
    keywords = (
        _words(item.text)
        for subject in root.iter(f"{_DC}subject")
        for item in subject.iter(f"{_RDF}li")
        if item.text and len(item.text) < 40
    )
    return title, tuple(dict.fromkeys(word for word in keywords if word and word not in _FILING))


def _words(text: str) -> str:
    """`jigsaw_blue_05` → `jigsaw blue`: lower case, words apart, without the number of the drawing."""
    words = re.sub(r"[\s_]+", " ", _CREDIT.sub("", text.strip())).strip().lower()
    return re.sub(r"( ?\d+[a-z]?)+$", "", words).strip(" -.,")
