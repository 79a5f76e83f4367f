"""dbt's own documentation as one page, with row counts and snapshots from Iceberg.

Descriptions, SQL and comments are texts of many people. In the page they are data: the JSON cannot end its script element, and the
page's policy lets only the scripts of dbt's page run (W3C, "Content Security Policy Level 3": hashes of inline scripts), whatever
dbt's page does with a text.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import Any

from slipway.errors import SlipwayError
from slipway.secrets import hide_in
from slipway.site.shared_shapes import RESTORE, shared
from slipway.site.site_folder import squeezed

_PLACES = re.compile(r'"(MANIFEST|CATALOG)\.JSON INLINE DATA"')
_SCRIPT = re.compile(r"<script\b[^>]*>(.*?)</script\s*>", re.DOTALL | re.IGNORECASE)
_LARGE = 8_000_000  # characters of JSON
_DATA = "application/x-slipway-deflate"
_START = f"""{RESTORE}const unpack = async (text) => {{
  const bytes = Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"))).json();
}};
const packed = [...document.querySelectorAll('script[type="{_DATA}"]')];
Promise.all(packed.map((one) => unpack(one.textContent))).then(([app, found]) => {{
  globalThis.slipwayDocs = restore(found);
  const script = document.createElement("script");
  script.textContent = app;
  document.head.append(script);
}});
"""
_BODY = re.compile(r"<body\b[^>]*>", re.IGNORECASE)
_BACK = (
    '<a href="index.html" style="position:fixed;left:1rem;bottom:1rem;z-index:9999;padding:.4rem .8rem;border-radius:6px;'
    'background:#17202c;color:#fff;font:14px/1.4 system-ui,sans-serif;text-decoration:none">Back to the site</a>'
)
_MARKUP = re.compile("[<>&\u2028\u2029]")


def page_of(template: str, manifest: object, catalog: object) -> str:
    """dbt's own page with both of its documents in it.

    Args:
        template: the page as dbt brings it.
        manifest: dbt's manifest.json.
        catalog: dbt's catalog.json.

    Raises:
        SlipwayError: the page is not that of a dbt that this was made for.
    """
    # values that are secrets are masked: compiled SQL may hold some
    documents = [hide_in(manifest), hide_in(catalog)]
    texts = [json.dumps(one, separators=(",", ":")) for one in documents]
    parts = _PLACES.split(template)
    if parts[1::2] != ["MANIFEST", "CATALOG"]:
        raise SlipwayError(
            "The site was not built", "dbt's page has another form", "Use the dbt of requirements.lock"
        )
    if sum(map(len, texts)) > _LARGE:
        page, scripts = _compressed(parts[0], parts[2], parts[4], documents)
    else:
        page = "".join([parts[0], in_script(texts[0]), parts[2], in_script(texts[1]), parts[4]])
        page = page.replace("\r\n", "\n")
        scripts = [found[1] for found in _SCRIPT.finditer(page)]
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in scripts
    )
    # dbt's page makes functions of its own templates
    policy = f"script-src {hashes} 'unsafe-eval'; worker-src blob:; object-src 'none'; base-uri 'none'; frame-src 'none'"
    head, found, rest = page.partition("<head>")
    if not found:
        raise SlipwayError(
            "The site was not built", "dbt's page has no head", "Use the dbt of requirements.lock"
        )
    start = _BODY.search(rest)
    at = start.end() if start else len(rest)
    return f'{head}{found}<meta http-equiv="Content-Security-Policy" content="{policy}">{rest[:at]}{_BACK}{rest[at:]}'


def _compressed(before: str, between: str, after: str, documents: list[Any]) -> tuple[str, list[str]]:
    """dbt's page with its script and both documents compressed (shapes apart, RFC 1951, in base64), and the scripts that its policy has to allow.

    The last script of the page carries out the first when all of it is there.
    """
    whole = f"{before}globalThis.slipwayDocs[0]{between}globalThis.slipwayDocs[1]{after}"
    page = whole.replace("\r\n", "\n")
    app = _SCRIPT.search(page)
    if app is None:
        raise SlipwayError(
            "The site was not built", "dbt's page has no script", "Use the dbt of requirements.lock"
        )
    data = "".join(
        f'<script type="{_DATA}">{squeezed(document)}</script>'
        for document in (json.dumps(app[1]).encode(), shared(documents))
    )
    head, found, rest = f"{page[: app.start()]}{page[app.end() :]}".rpartition("</body>")
    return f"{head}{data}<script>{_START}</script>{found}{rest}", [app[1], _START]


def in_script(document: str) -> str:
    """JSON that means the same and cannot be taken for the end of a script, a comment or a line of JavaScript."""
    return _MARKUP.sub(lambda found: f"\\u{ord(found[0]):04x}", document)
