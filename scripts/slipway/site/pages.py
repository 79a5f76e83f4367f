"""Pages as HTML: Jinja templates that escape every text, and the frame with navigation, search and policy around each page."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
from markupsafe import Markup, escape

from slipway import counts
from slipway.charts import plot, short, short_size
from slipway.site.lineage_plot import BOX_HEIGHT, BOX_WIDTH

ASSETS = Path(__file__).with_name("assets")
TEMPLATES = Path(__file__).with_name("templates")
NAVIGATION = (
    ("index.html", "Overview"),
    ("tables.html", "Tables"),
    ("lineage.html", "Lineage"),
    ("releases.html", "Releases"),
    ("runs.html", "Runs"),
    ("quality.html", "Quality"),
    ("landing.html", "Landing"),
    ("comparisons.html", "Comparisons"),
    ("dbt.html", "dbt docs"),
)
POLICY = (
    "default-src 'none'; script-src 'self' file:; style-src 'self' file:; img-src 'self' file: data:; "
    "base-uri 'none'; form-action 'none'; object-src 'none'"
)
"""Scripts and styles are the site's own files. ``file:`` counts where a page was opened from a folder: not every browser takes that for ``'self'``."""


class Pages:
    """Renders the pages of one site.

    Args:
        project: the name of the dbt project.
        target: the environment.
        as_of: the newest moment that a record tells of.
        packed: kinds of pages that share files, to the number of these files.
    """

    def __init__(self, project: str, target: str, as_of: str, packed: Mapping[str, int]) -> None:
        self._frame = {"project": project, "target": target, "as_of": as_of, "navigation": NAVIGATION}
        self._packed = packed
        self._jinja = _templates()

    def is_packed(self, kind: str) -> bool:
        """Whether pages of a kind share files."""
        return bool(self._packed.get(kind))

    def part(self, template: str, kind: str = "", **given: Any) -> str:
        """The part of a page that is its own; ``kind`` is that of a page in a folder."""
        root = "../" if kind and not self.is_packed(kind) else ""
        return self._jinja.get_template(template).render(
            **given, root=root, link=lambda *names: self.link(root, *names), **self._frame
        )

    def link(self, root: str, kind: str, name: object) -> str:
        """The address of a page, relative to a page whose way to the first folder is ``root``."""
        written = quote(str(name), safe="")
        return f"{root}{kind}.html#{written}" if self.is_packed(kind) else f"{root}{kind}/{written}.html"

    def whole(self, title: str, part: str, *, at: str, root: str = "", pack: str = "", file: str = "") -> str:
        """A page: the frame around the part that is its own.

        Args:
            title: of the page.
            part: HTML.
            at: the entry of the navigation that it belongs to.
            root: the way to the first folder.
            pack: the kind of pages that it shows one of, from shared files.
            file: the file that has its part, without folder and ending; empty where the part is in the page.
        """
        return self._jinja.get_template("frame.html").render(
            title=title,
            part=Markup(part),  # noqa: S704 - rendered by these templates
            at=at,
            root=root,
            pack=pack,
            file=file,
            buckets=self._packed.get(pack, 0),
            **self._frame,
        )


@cache
def _templates() -> jinja2.Environment:
    """What all sites of a process are rendered by: compiling the templates takes longer than a small site."""
    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {
        "number": number,
        "size": lambda value: "" if value is None else counts.size(value),
        "when": when,
        "delta": lambda value: "" if value is None else f"{value:+,}" if value else "0",
        "seconds": seconds,
        "plural": counts.plural,
        "prose": prose,
    }
    found.globals |= {
        "plot": plot,
        "short": short,
        "short_size": short_size,
        "box_width": BOX_WIDTH,
        "box_height": BOX_HEIGHT,
        "policy": POLICY,
    }
    return found


def number(value: float | None) -> str:
    """A count with separators, empty when it is not known."""
    return "" if value is None else f"{value:,}"


def when(value: str) -> Markup:
    """A time as people read it, which scripts and programs find as well; empty for none."""
    if not value:
        return Markup("")
    shown = f"{value[:10]} {value[11:16]}"
    return Markup('<time datetime="{}" title="UTC">{}</time>').format(value, shown)


def seconds(value: float | None) -> str:
    """A length of time in the units that fit it."""
    if value is None:
        return ""
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def prose(text: str) -> Markup:
    """A description, escaped, with what is between backticks as code; all other Markdown stays as it was written."""
    parts = text.split("`")
    if len(parts) % 2 == 0:  # one of them has no partner
        return escape(text)
    shown = (
        Markup("<code>{}</code>").format(part) if at % 2 else escape(part) for at, part in enumerate(parts)
    )
    return Markup("").join(shown)
