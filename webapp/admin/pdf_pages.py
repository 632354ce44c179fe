"""Pages of a PDF in the fonts that this application brings: any text prints, whatever script a note is written in."""

import io
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from fontTools.ttLib import TTFont, TTLibError
from fpdf import FPDF, XPos, YPos
from fpdf.fonts import FontFace

FONT = "DejaVu"
FALLBACKS = 3
"""Fonts of the system that are embedded beside ours for scripts that ours lacks, at most."""
SYSTEM_FONTS = (
    "/usr/share/fonts",
    "/usr/local/share/fonts",
    "/Library/Fonts",
    "/System/Library/Fonts",
    "C:/Windows/Fonts",
)
INK, SOFT, LINE = (23, 32, 30), (77, 91, 87), (213, 219, 216)
MARGIN, WIDTH = 16.0, 178.0  # millimetres, of an A4 page 210 wide


class Pages(FPDF):
    """An A4 document with a footer on each page."""

    def __init__(self, title: str, language: str, footer: str, texts: Iterable[str]) -> None:
        super().__init__(format="A4")
        self._footer = footer
        self._missing: set[str] = set()
        self.set_margins(MARGIN, MARGIN, MARGIN)
        self.set_auto_page_break(True, 24)
        self.set_title(title)
        self.set_lang(language)
        self.set_creator("Lesion Lens")
        for style, name in (("", "DejaVuSans"), ("B", "DejaVuSans-Bold")):
            self.add_font(FONT, style, font_folder() / f"{name}.ttf")
        self.set_text_shaping(True)
        self._add_fallbacks(set("".join(texts)))
        self.set_font(FONT, size=10)
        self.set_text_color(*INK)
        self.add_page()

    def footer(self) -> None:
        """The notice, and the page's number."""
        self.set_y(-20)
        self.set_font(FONT, size=7)
        self.set_text_color(*SOFT)
        self.multi_cell(WIDTH, 3.5, f"{self._footer}  ·  {self.page_no()} / {{nb}}")
        self.set_text_color(*INK)

    def text_block(
        self, text: str, *, size: float = 10, bold: bool = False, soft: bool = False, after: float = 1.5
    ) -> None:
        """A paragraph over the whole width."""
        self.set_font(FONT, "B" if bold else "", size)
        self.set_text_color(*(SOFT if soft else INK))
        self.multi_cell(WIDTH, size * 0.5, self.printable(text), align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        self.set_text_color(*INK)
        self.ln(after)

    def heading(self, text: str) -> None:
        """A heading that is not left alone at the end of a page."""
        if self.will_page_break(24):
            self.add_page()
        self.ln(2)
        self.text_block(text, size=12.5, bold=True, after=1)

    def facts(self, rows: Sequence[tuple[str, ...]], widths: tuple[int, ...]) -> None:
        """A table of texts: what each row is about first, then its values."""
        self.set_font(FONT, size=9)
        self.set_draw_color(*LINE)
        with self.table(
            width=WIDTH, col_widths=widths, first_row_as_headings=False, borders_layout="HORIZONTAL_LINES", padding=0.8,
            line_height=4.6, align="LEFT", text_align="LEFT", headings_style=FontFace(),
        ) as table:  # fmt: skip
            for row in rows:
                cells = table.row()
                for text in row:
                    cells.cell(self.printable(text))
        self.ln(1.5)

    def pictures(self, pictures: Sequence[tuple[bytes, str]], *, height: float) -> None:
        """Pictures side by side, none higher than `height` millimetres, each with a line below."""
        if not pictures:
            return
        gap = 4.0
        width = (WIDTH - gap * (len(pictures) - 1)) / len(pictures)
        width = min(width, 86.0)
        if self.will_page_break(height + 8):
            self.add_page()
        top = self.get_y()
        for number, (content, caption) in enumerate(pictures):
            left = MARGIN + number * (width + gap)
            self.image(io.BytesIO(content), left, top, width, height, keep_aspect_ratio=True)
            self.set_xy(left, top + height + 1)
            self.set_font(FONT, size=7.5)
            self.multi_cell(width, 3.6, self.printable(caption), align="C")
        self.set_xy(MARGIN, top + height + 8)

    def printable(self, text: str) -> str:
        """The text with every character that no font at hand has as its number, so that none is lost without a word."""
        kept = (sign if sign not in self._missing else f"[U+{ord(sign):04X}]" for sign in text)
        return "".join(kept)

    def _add_fallbacks(self, signs: set[str]) -> None:
        """Embed fonts of the system for what ours lacks, as far as there are any."""
        wanted = {sign for sign in signs if not unicodedata.category(sign).startswith(("C", "Z"))}
        missing = wanted - signs_of(font_folder() / "DejaVuSans.ttf")
        added: list[str] = []
        for path in system_fonts() if missing else ():
            covered = missing & signs_of(path)
            if covered and len(added) < FALLBACKS:
                name = f"fallback{len(added)}"
                self.add_font(name, "", path)
                self.add_font(name, "B", path)
                added.append(name)
                missing -= covered
        if added:
            self.set_fallback_fonts(added, exact_match=False)
        self._missing = missing


def font_folder() -> Path:
    """Where DejaVu lies: it comes with matplotlib, free to embed (dejavu-fonts.github.io/License.html)."""
    found = find_spec("matplotlib")
    if found is None or found.origin is None:
        raise FileNotFoundError("matplotlib")
    return Path(found.origin).parent / "mpl-data" / "fonts" / "ttf"


@lru_cache(maxsize=64)
def signs_of(path: Path) -> frozenset[str]:
    """The characters that a font has; none where it cannot be read."""
    try:
        with TTFont(path, fontNumber=0, lazy=True) as font:
            return frozenset(chr(code) for code in font.getBestCmap() or {})
    except (OSError, TTLibError, KeyError, ValueError):
        return frozenset()


@lru_cache(maxsize=1)
def system_fonts() -> tuple[Path, ...]:
    """Fonts that are installed here, Noto's first: they are free to embed, and cover most of all scripts."""
    found = [
        path
        for folder in SYSTEM_FONTS
        for path in Path(folder).rglob("*")
        if path.suffix.lower() in (".ttf", ".otf", ".ttc") and "italic" not in path.stem.lower()
    ]
    return tuple(
        sorted(found, key=lambda path: ("noto" not in path.name.lower(), "regular" not in path.name.lower(), path))
    )
