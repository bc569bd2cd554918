"""Keeps what is secret out of what the doctor says: keys, and what an address holds besides its place. Pure."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from pydantic import SecretStr

from agent.settings import PREFIX, Settings

HIDDEN = "(hidden)"
# Secret because they may be addresses with a password in them; a folder or a word is none.
PLACES = frozenset({"cache", "shared", "memory"})
# Shorter ones would be found in the middle of other words.
LEAST_CHARS = 4


def shown(settings: Settings) -> tuple[str, ...]:
    """Write what is set, other than by default, as `NAME=value`; what is secret is hidden."""
    given = sorted(settings.model_fields_set)
    return tuple(f"{PREFIX}{name.upper()}={_shown(name, getattr(settings, name))}" for name in given)


def _shown(name: str, value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(_shown(name, each) for each in value)
    if isinstance(value, SecretStr):
        plain = value.get_secret_value()
        return _place(plain) if name in PLACES else HIDDEN
    return _place(str(value))


def _place(value: str) -> str:
    """Return an address without its user, password, query and fragment; another text as it is."""
    if "://" not in value:
        return value
    try:
        parts = urlsplit(value)
        port = f":{parts.port}" if parts.port else ""
        host = parts.hostname or ""
    except ValueError:
        return HIDDEN
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}{port}{parts.path}"


def secrets(settings: Settings) -> tuple[str, ...]:
    """Return every text of the settings that nobody may see, the longest first."""
    found = {each for name in type(settings).model_fields for each in _secrets(name, getattr(settings, name))}
    return tuple(sorted((each for each in found if len(each) >= LEAST_CHARS), key=len, reverse=True))


def _secrets(name: str, value: object) -> Iterator[str]:
    if isinstance(value, tuple):
        for each in value:
            yield from _secrets(name, each)
    elif isinstance(value, SecretStr) and name not in PLACES:
        yield value.get_secret_value().strip()
    elif isinstance(value, SecretStr | str):
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if "@" in text and "://" in text:
            userinfo = text.partition("://")[2].rpartition("@")[0]
            yield userinfo
            yield userinfo.partition(":")[2]


def masked(text: str, hidden: tuple[str, ...]) -> str:
    """Return a text without the secrets: the last defence, since messages come from many places."""
    for secret in hidden:
        text = text.replace(secret, HIDDEN)
    return text
