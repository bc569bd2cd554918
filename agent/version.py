"""Which release this is."""

from importlib import metadata
from typing import Final


def _version() -> str:
    try:
        return metadata.version("wellread")
    except metadata.PackageNotFoundError:
        return "0+checkout"


VERSION: Final = _version()
