"""What lies under deploy/, held against the tools that read it (`make test-deploy`); a missing one is named."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import httpx2
import kubernetes_validate
import pytest
import yaml

from tests import test_searx
from tests import web as local
from tests.deployed import DEPLOY, KUBERNETES, ROOT, documents, env_file, of_kind, unit

BIN = Path(sys.executable).parent
OVERLAYS = ("cpu", "gpu", "remote-model")
# The oldest Kubernetes whose preStop may sleep without being asked to, and the newest that the schemas know.
VERSIONS = ("1.30", kubernetes_validate.latest_version())
UNITS = ("wellread.service", "wellread-vllm.service")

pytestmark = [pytest.mark.deploy, pytest.mark.usefixtures("no_settings")]


def needs(command):
    return pytest.mark.skipif(shutil.which(command) is None, reason=f"{command} is not installed here")


def run(*command, **given):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, **given)


def said(done):
    return done.stdout + done.stderr


# The image and compose


def test_hadolint_finds_nothing(tmp_path):
    done = run(BIN / "hadolint", DEPLOY / "docker" / "Dockerfile", DEPLOY / "ray" / "Dockerfile")
    assert (done.returncode, said(done)) == (0, "")
    worse = tmp_path / "Dockerfile"
    worse.write_text(
        (DEPLOY / "docker" / "Dockerfile").read_text().replace("python:3.11-slim-bookworm", "python:latest")
    )
    assert run(BIN / "hadolint", worse).returncode == 1


def test_compose_is_what_its_specification_says(tmp_path):
    def checked(path):
        return run(BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", path)

    done = checked(DEPLOY / "compose.yaml")
    assert done.returncode == 0, said(done)
    worse = tmp_path / "compose.yaml"
    worse.write_text((DEPLOY / "compose.yaml").read_text().replace("mem_limit:", "memory_limit:"))
    assert "memory_limit" in said(checked(worse))


# Kubernetes


@pytest.mark.parametrize("version", VERSIONS)
def test_every_document_is_valid(version):
    for document in documents():
        kubernetes_validate.validate(document, version, strict=True)
    worse = of_kind("Deployment", documents())[0]
    worse["spec"]["template"]["spec"]["enableServiceLink"] = False
    with pytest.raises(kubernetes_validate.ValidationError, match="enableServiceLink"):
        kubernetes_validate.validate(worse, version, strict=True)


def rendered(folder):
    done = run("kubectl", "kustomize", folder)
    assert done.returncode == 0, said(done)
    return list(yaml.safe_load_all(done.stdout))


def pod_of(given):
    (deployment,) = (each for each in of_kind("Deployment", given) if each["metadata"]["name"] == "wellread")
    return deployment["spec"]["template"]["spec"]


def server_of(given):
    return pod_of(given)["containers"][0]


def settings_of(given):
    name = server_of(given)["envFrom"][0]["configMapRef"]["name"]
    (found,) = (each for each in of_kind("ConfigMap", given) if each["metadata"]["name"] == name)
    return found["data"]


@needs("kubectl")
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_each_overlay_renders_to_valid_documents(overlay):
    found = rendered(KUBERNETES / "overlays" / overlay)
    for document in found:
        for version in VERSIONS:
            kubernetes_validate.validate(document, version, strict=True)
    assert {each["metadata"].get("namespace") for each in found if each["kind"] != "Namespace"} == {"wellread"}
    assert server_of(found)["image"] == "registry.example.org/wellread:0.1.0"
    assert ("WELLREAD_MODEL_URL" in settings_of(found)) == (overlay != "cpu")
    assert settings_of(found)["WELLREAD_SEARCH"] == "searxng,ddgs"
    assert of_kind("Secret", found) == []


@needs("kubectl")
def test_the_overlays_change_what_they_say():
    cpu, gpu, remote = (rendered(KUBERNETES / "overlays" / overlay) for overlay in OVERLAYS)
    assert server_of(cpu)["resources"]["limits"]["memory"] == "5Gi"
    (cache,) = (each for each in pod_of(cpu)["volumes"] if each["name"] == "cache")
    assert cache["emptyDir"] == {"sizeLimit": "4Gi"}
    host = re.fullmatch(r"http://(\w+):8000/v1", settings_of(gpu)["WELLREAD_MODEL_URL"])[1]
    assert host in {each["metadata"]["name"] for each in of_kind("Service", gpu)}
    assert "WELLREAD_MODEL_API_KEY" in {each["name"] for each in server_of(remote)["env"]}
    assert "WELLREAD_API_KEYS" in {each["name"] for each in server_of(remote)["env"]}


@needs("kubectl")
def test_replicas_by_the_queue_in_place_of_processor_time(tmp_path):
    def at(name):
        return os.path.relpath(KUBERNETES / name, tmp_path.resolve())

    told = {"resources": [at("overlays/gpu")], "components": [at("components/queue")]}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(told))
    (scaler,) = of_kind("HorizontalPodAutoscaler", rendered(tmp_path))
    kubernetes_validate.validate(scaler, VERSIONS[0], strict=True)
    assert [metric["type"] for metric in scaler["spec"]["metrics"]] == ["Pods"]
    assert scaler["spec"]["maxReplicas"] == 8


# systemd


def with_a_program(name, folder):
    """Copy a unit whose program is one that every machine has: theirs are not installed here."""
    text = (DEPLOY / "systemd" / name).read_text()
    path = folder / name
    path.write_text(re.sub(r"(?m)^ExecStart=\S+", "ExecStart=/bin/true", text))
    return path


@needs("systemd-analyze")
def test_systemd_understands_the_units(tmp_path):
    paths = [with_a_program(name, tmp_path) for name in UNITS]
    done = run("systemd-analyze", "verify", *paths)
    assert (done.returncode, said(done)) == (0, "")
    paths[0].write_text(paths[0].read_text().replace("KillMode=mixed", "KilMode=mixed"))
    assert "KilMode" in said(run("systemd-analyze", "verify", *paths))


@needs("systemd-analyze")
@pytest.mark.parametrize(("name", "tenths"), [("wellread.service", 20), ("wellread-vllm.service", 25)])
def test_systemd_calls_the_units_contained(name, tenths):
    unit_file = DEPLOY / "systemd" / name
    done = run("systemd-analyze", "security", "--offline=true", f"--threshold={tenths}", unit_file)
    assert done.returncode == 0, said(done)
    assert run("systemd-analyze", "security", "--offline=true", "--threshold=5", unit_file).returncode != 0


# Prometheus


@needs("promtool")
@pytest.mark.parametrize("name", ["prometheus.yml", "prometheus-compose.yml"])
def test_prometheus_understands_its_settings(name):
    done = run("promtool", "check", "config", "--syntax-only", DEPLOY / "monitoring" / name)
    assert done.returncode == 0, said(done)


# What is started


def over(below, above):
    """Lay our settings over those that searx brings."""
    if not (isinstance(below, dict) and isinstance(above, dict)):
        return above
    return below | {key: over(below.get(key), value) for key, value in above.items()}


@pytest.mark.skipif(not (test_searx.COMMAND and test_searx.EXAMPLE.exists()), reason="searx is not installed here")
def test_a_searx_with_our_settings_answers_in_json(tmp_path):
    ours = yaml.safe_load((DEPLOY / "searxng" / "settings.yml").read_text())
    assert ours.pop("use_default_settings")  # it wants SearXNG's own file, which this ancestor does not have
    port = local.free_port()
    given = {"server": {"port": port, "secret_key": "for this test"}, "engines": []}
    path = tmp_path / "settings.yml"
    path.write_text(yaml.safe_dump(over(over(yaml.safe_load(test_searx.EXAMPLE.read_text()), ours), given)))
    process = test_searx.started(path, port)
    try:
        reply = httpx2.get(
            f"http://127.0.0.1:{port}/search", params={"q": "pier", "format": "json"}, trust_env=False, timeout=20
        )
        # Without JSON among its formats it answers 403, with its limiter on 429.
        assert (reply.status_code, reply.json()["results"]) == (200, [])
    finally:
        process.terminate()
        process.wait()


READ_ONLY = """
mount --make-rprivate /
for kept in "$KEPT" "$TMPDIR"; do mount --bind "$kept" "$kept"; done
awk '$3 ~ /^(ext4|xfs|btrfs|overlay|tmpfs)$/ {print $2}' /proc/mounts | while read -r point; do
  case "$point" in "$KEPT"|"$TMPDIR"|/dev*|/proc*|/sys*) ;; *) mount -o remount,bind,ro "$point" ;; esac
done
touch "$PROBE" 2>/dev/null && { echo "$PROBE can be written"; exit 1; }
exec "$@"
"""


def may_mount():
    return shutil.which("unshare") is not None and run("unshare", "--mount", "true").returncode == 0


@pytest.mark.skipif(not may_mount(), reason="no mount namespace can be made here")
def test_the_server_runs_where_only_its_cache_and_tmp_can_be_written(tmp_path):
    kept, temporary = tmp_path / "cache", tmp_path / "tmp"
    kept.mkdir()
    temporary.mkdir()
    # As the unit starts it, but for what would fetch weights or ask the web.
    _, *arguments = unit("wellread.service")["ExecStart"][0].split()
    settings = env_file(DEPLOY / "systemd" / "wellread.env.example")
    settings |= {"WELLREAD_PORT": "0", "WELLREAD_EMBEDDER": "none", "WELLREAD_EMBEDDED_MODEL": "echo"}
    settings.pop("WELLREAD_MODEL_URL")
    places = {"KEPT": kept, "TMPDIR": temporary, "XDG_CACHE_HOME": kept, "HOME": kept / "wellread", "PROBE": ROOT / "x"}
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    environment |= {name: str(place) for name, place in places.items()} | settings
    command = ["unshare", "--mount", "sh", "-c", READ_ONLY, "sh", str(BIN / "wellread"), *arguments]
    with subprocess.Popen(command, env=environment, cwd="/", stdout=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline()
            port = re.search(r"listens on http://127\.0\.0\.1:(\d+)", line)[1]
            checked = run(sys.executable, DEPLOY / "docker" / "health.py", env={"WELLREAD_PORT": port})
            assert checked.returncode == 0, said(checked)
            assert httpx2.get(f"http://127.0.0.1:{port}/ready", trust_env=False).json()["checks"]["model"] == "ok"
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
    assert process.returncode == 0
    # So the cache was written, and nothing beside it.
    assert [path.name for path in kept.iterdir()] == ["wellread"]
