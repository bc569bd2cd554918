"""The page at `/` and the page of a run: files that a browser is given as they are, and under which policy.

Nothing is built, nothing comes from elsewhere, and no word of a web page becomes markup: see `ask.js`.
"""

from importlib.resources import files
from typing import Final

# Only what is listed here is served.
TYPES: Final = {".css": "text/css", ".html": "text/html", ".js": "text/javascript", ".svg": "image/svg+xml"}
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {"content-security-policy": POLICY, "referrer-policy": "no-referrer", "cache-control": "no-cache"}


def _media_type(name: str) -> str | None:
    return TYPES.get(name[name.rfind(".") :])


FILES: Final = {
    each.name: (f"{kind}; charset=utf-8", each.read_bytes())
    for each in files(__name__).iterdir()
    if (kind := _media_type(each.name))
}
