"""The rules of the house: arrows point downward, imports are light, every setting is documented."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from agent import errors
from agent.settings import EFFORTS, variables

ROOT = Path(__file__).parent.parent
ROOMS = {"retrieval": set[str](), "agent": {"retrieval"}, "server": {"agent", "retrieval"}}
FORBIDDEN_NAMES = {"utils", "helpers", "base", "common", "manager", "misc"}


def modules(room: str) -> list[Path]:
    return [ROOT / "server.py"] if room == "server" else sorted((ROOT / room).rglob("*.py"))


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_arrows_point_downward(room):
    for path in modules(room):
        wrong = imports(path) & (set(ROOMS) - ROOMS[room] - {room})
        assert not wrong, f"{path.relative_to(ROOT)} imports {wrong}"


def test_only_the_server_knows_its_framework():
    for room in ("retrieval", "agent"):
        for path in modules(room):
            assert not imports(path) & {"fastapi", "starlette", "uvicorn"}, path


def test_stages_know_no_adapter():
    for path in (ROOT / "retrieval").glob("*.py"):
        text = path.read_text()
        assert "from retrieval.engines" not in text, path
        assert "from retrieval.embedders" not in text, path


def test_files_are_named_after_what_they_hold():
    for room in ROOMS:
        for path in modules(room):
            assert path.stem not in FORBIDDEN_NAMES, path


def test_imports_are_light():
    """Importing any module touches no network and loads neither weights nor the heavy packages."""
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for room in ROOMS
        for path in modules(room)
        if path.stem not in {"__main__", "llama_child"}
    ]
    code = f"""
import socket, sys
def refuse(*args): raise AssertionError("network on import")
socket.socket.connect = refuse
import {", ".join(names)}
heavy = {{"torch", "onnxruntime", "onnx", "faiss", "xllamacpp", "sentence_transformers", "tokenizers"}}
heavy &= set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_readme_tells_what_each_effort_buys():
    readme = (ROOT / "README.md").read_text()
    for name, effort in EFFORTS.items():
        (row,) = re.findall(rf"^\| `{name}` \|.*$", readme, re.MULTILINE)
        figures = (effort.source_tokens, effort.thinking_tokens, effort.answer_tokens, effort.seconds)
        assert row.endswith(" | ".join(f"{figure:,}" for figure in figures) + " |")
        assert f"| {effort.queries or 'none'} | {effort.rounds} | {effort.read_factor:g} |" in row


def test_every_setting_is_in_the_readme():
    readme = (ROOT / "README.md").read_text()
    assert [name for name in variables() if f"`{name}`" not in readme] == []


def test_every_dependency_has_its_reason():
    text = (ROOT / "docs" / "dependencies.md").read_text()
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    rows = project["dependencies"] + [row for extra in project["optional-dependencies"].values() for row in extra]
    names = {row.split(">")[0].split("[")[0] for row in rows} - {"wellread"}
    assert [name for name in sorted(names) if f"`{name}`" not in text] == []


def subclasses(kind):
    return [kind, *(below for child in kind.__subclasses__() for below in subclasses(child))]


def test_every_error_has_its_status_in_the_tree():
    tree = errors.__doc__ or ""
    for kind in (kind for kind in subclasses(errors.AgentError) if not kind.__name__.startswith("_")):
        assert kind.__name__ in tree
        line = next(line for line in tree.splitlines() if kind.__name__ in line)
        assert str(kind.status) in line
        assert kind.type in line
