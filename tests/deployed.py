"""Reads what lies under deploy/: services as Compose would see them, documents of Kubernetes, units of systemd."""

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
# What a name in compose's text stands for: ${NAME}, ${NAME:-what else} or ${NAME:?what is missing}.
NAMED = re.compile(r"\$\{(?P<name>\w+)(?::(?P<kind>[-?])(?P<text>[^}]*))?\}")


def texts() -> dict[str, str]:
    """Return every file under deploy/ that holds text, by its path."""
    found = (path for path in sorted(DEPLOY.rglob("*")) if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in found}


def env_file(path: Path) -> dict[str, str]:
    """Read a file of NAME=value lines."""
    lines = (line.strip() for line in path.read_text().splitlines())
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def compose(given: dict[str, str]) -> dict[str, Any]:
    """Read compose.yaml with names replaced. Raises KeyError where one that must be given is not."""

    def value(match: re.Match[str]) -> str:
        name, kind, text = match["name"], match["kind"], match["text"]
        if given.get(name):
            return given[name]
        if kind == "?":
            raise KeyError(name)
        return text if kind == "-" else ""

    return replaced(yaml.safe_load((DEPLOY / "compose.yaml").read_text()), value)


def replaced(value: Any, by: Any) -> Any:
    if isinstance(value, dict):
        return {key: replaced(each, by) for key, each in value.items()}
    if isinstance(value, list):
        return [replaced(each, by) for each in value]
    return NAMED.sub(by, value) if isinstance(value, str) else value


def kustomizations() -> list[Path]:
    return sorted(DEPLOY.rglob("kustomization.yaml"))


def patches() -> set[Path]:
    """Return the files that change documents of others, and are none themselves."""
    rows = ((path.parent, yaml.safe_load(path.read_text()).get("patches", ())) for path in kustomizations())
    return {folder / row["path"] for folder, listed in rows for row in listed}


def documents() -> list[dict[str, Any]]:
    """Return every whole document of Kubernetes, the example of a secret among them."""
    files = set(KUBERNETES.rglob("*.yaml")) - set(kustomizations()) - patches()
    return [document for path in sorted(files) for document in yaml.safe_load_all(path.read_text())]


def of_kind(kind: str, given: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [document for document in given if document["kind"] == kind]


def unit(name: str) -> dict[str, list[str]]:
    """Read a unit of systemd: every value of each name, in order."""
    found: dict[str, list[str]] = {}
    for line in (DEPLOY / "systemd" / name).read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            key, value = line.split("=", 1)
            found.setdefault(key, []).append(value)
    return found


def seconds(text: str) -> float:
    """Read a time of compose or systemd that is in seconds."""
    return float(text.removesuffix("s"))
