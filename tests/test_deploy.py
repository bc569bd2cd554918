"""What lies under deploy/, held against the product and against itself. test_deploy_tools.py asks the tools."""

import importlib.util
import ipaddress
import json
import re
import threading
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as draw

import server
from agent.errors import BadSettings
from agent.settings import EFFORTS, Settings, load_settings, variables
from agent.tools import Tools
from retrieval.guard import REFUSED, Guard
from tests.deployed import (
    DEPLOY,
    KUBERNETES,
    NAMED,
    ROOT,
    compose,
    documents,
    env_file,
    kustomizations,
    of_kind,
    patches,
    seconds,
    texts,
    unit,
)
from tests.watched import Watched

pytestmark = pytest.mark.usefixtures("no_settings")

SECRETS = ("WELLREAD_API_KEYS", "METRICS_KEY", "SEARXNG_SECRET", "GRAFANA_PASSWORD")
FILLED = env_file(DEPLOY / ".env.example") | dict.fromkeys(SECRETS, "4f2a")
SERVICES = compose(FILLED)["services"]
SERVERS = [name for name in SERVICES if name.startswith("server-")]
PODS = of_kind("Deployment", documents())
DRAIN_SECONDS = Settings.model_fields["drain_seconds"].default


def pod(deployment):
    return deployment["spec"]["template"]["spec"]


def container(deployment):
    (only,) = pod(deployment)["containers"]
    return only


def named(deployments, name):
    return next(each for each in deployments if each["metadata"]["name"] == name)


def set_up(monkeypatch, values):
    """Load settings from nothing but these."""
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return load_settings()


def paths_served():
    tools = Tools(Settings(), Watched(), (), None, None, None)
    return set(server.create_app(Settings(), tools).openapi()["paths"])


def pinned(image):
    tag = image.rpartition("/")[2].partition(":")[2]
    return tag not in {"", "latest", "main", "nightly"}


# The settings


def test_every_setting_that_is_named_exists():
    found = {path: set(re.findall(r"WELLREAD_[A-Z][A-Z_]*[A-Z]", text)) for path, text in texts().items()}
    assert {path: unknown for path, names in found.items() if (unknown := names - set(variables()))} == {}
    assert sum(map(len, found.values())) > 30


@pytest.mark.parametrize("name", SERVERS)
def test_each_server_of_compose_would_start(name, monkeypatch):
    given = FILLED | {"WELLREAD_MODEL_URL": "https://model.example.org/v1"}
    settings = set_up(monkeypatch, compose(given)["services"][name]["environment"] | {"WELLREAD_HOST": "0.0.0.0"})
    assert {key.get_secret_value() for key in settings.api_keys} == {"4f2a"}
    assert (settings.model_url is None) == (name == "server-cpu")


def test_a_remote_model_without_an_address_stops_the_start(monkeypatch):
    with pytest.raises(BadSettings, match="WELLREAD_MODEL_URL"):
        set_up(monkeypatch, SERVICES["server-remote"]["environment"])


@pytest.mark.parametrize("name", SECRETS)
def test_compose_wants_every_secret(name):
    with pytest.raises(KeyError, match=name):
        compose(FILLED | {name: ""})


def test_the_example_names_all_that_compose_asks_for():
    asked = {match["name"] for match in NAMED.finditer((DEPLOY / "compose.yaml").read_text())}
    assert asked == set(env_file(DEPLOY / ".env.example"))


def test_the_units_settings_are_valid(monkeypatch):
    settings = set_up(monkeypatch, env_file(DEPLOY / "systemd" / "wellread.env.example"))
    words = unit("wellread-vllm.service")["ExecStart"][0].split()
    told = dict(pairwise(words))
    assert settings.model_url == f"http://{told['--host']}:{told['--port']}/v1"


@pytest.mark.parametrize("overlay", ["cpu", "gpu", "remote-model"])
def test_the_settings_of_the_cluster_are_valid(overlay, monkeypatch):
    files = (KUBERNETES / "base", KUBERNETES / "overlays" / overlay)
    settings = set_up(monkeypatch, dict(row.split("=", 1) for folder in files for row in literals(folder)))
    assert (settings.model_url is None) == (overlay == "cpu")
    assert settings.searxng_url == "http://searxng:8080"


def literals(folder):
    made = yaml.safe_load((folder / "kustomization.yaml").read_text()).get("configMapGenerator", ())
    return [row for generator in made for row in generator.get("literals", ())]


# The image


def instructions(folder="docker"):
    text = (DEPLOY / folder / "Dockerfile").read_text().replace("\\\n", " ")
    rows = (line.strip() for line in text.splitlines())
    return [row.partition(" ")[::2] for row in rows if row and not row.startswith("#")]


def test_the_image_is_not_root_and_signals_reach_the_server():
    last = dict(instructions())
    user, _, group = last["USER"].partition(":")
    assert int(user) >= 1000
    assert int(group) >= 1000
    assert json.loads(last["ENTRYPOINT"]) + json.loads(last["CMD"]) == ["wellread", "serve"]
    assert all(pinned(rest.split()[0]) for name, rest in instructions() if name == "FROM")


def test_the_images_are_made_of_what_the_builder_is_sent():
    sent = {row[1:] for row in (ROOT / ".dockerignore").read_text().splitlines() if row.startswith("!")}
    copied = {
        source
        for name, rest in instructions() + instructions("ray")
        if name == "COPY" and "--from" not in rest
        for source in rest.split()[:-1]
    }
    assert copied == sent
    assert [source for source in copied if not (ROOT / source).exists()] == []


def test_the_extras_of_the_images_exist():
    import tomllib

    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    asked = [rest.partition("=")[2] for name, rest in instructions() + instructions("ray") if name == "ARG"]
    asked += [SERVICES["server-gpu"]["build"]["args"]["EXTRAS"]]
    assert len(asked) == 3
    assert [extra for row in asked for extra in row.split(",") if extra not in known] == []


def test_no_secret_is_given_to_the_builder():
    given = " ".join(rest for name, rest in instructions() if name in {"ARG", "ENV"})
    assert re.findall(r"\w*(?:KEY|TOKEN|SECRET|PASSWORD)\w*", given) == []


def health():
    path = DEPLOY / "docker" / "health.py"
    spec = importlib.util.spec_from_file_location("health", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("status", "lives"), [(200, True), (503, False)])
def test_the_health_check_believes_the_server(status, lives):
    asked = []

    class Server(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        assert health().lives(serving.server_port) == lives
        serving.shutdown()
    assert set(asked) <= paths_served()
    assert not health().lives(serving.server_port)


# Compose


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_is_contained(name):
    service = SERVICES[name]
    assert pinned(service["image"])
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["mem_limit"]
    assert service["pids_limit"]
    assert "privileged" not in service
    # The image of the server has a health check of its own.
    assert "healthcheck" in service or name in SERVERS
    assert set(service["networks"]) <= set(compose(FILLED)["networks"])


def test_only_the_server_is_published_beyond_this_machine():
    published = {name: service.get("ports", []) for name, service in SERVICES.items()}
    assert {name: published.pop(name) for name in SERVERS} == {name: ["0.0.0.0:8000:8000"] for name in SERVERS}
    assert [port for ports in published.values() for port in ports if not port.startswith("127.0.0.1:")] == []
    assert compose(FILLED | {"PUBLISH_ON": "127.0.0.1"})["services"][SERVERS[0]]["ports"] == ["127.0.0.1:8000:8000"]


def test_what_needs_no_internet_has_none():
    networks = compose(FILLED)["networks"]
    ways_out = {name for name, network in networks.items() if not network.get("internal")}
    quiet = {"com.docker.network.bridge.enable_ip_masquerade": "false"}
    closed = {name for name in ways_out if networks[name].get("driver_opts") == quiet}
    reaching = {name for name, service in SERVICES.items() if set(service["networks"]) & (ways_out - closed)}
    assert reaching == {*SERVERS, "vllm", "searxng"}
    assert [name for name, service in SERVICES.items() if "store" in service["networks"]] == [*SERVERS, "valkey"]


def test_each_profile_starts_one_server_and_what_it_needs():
    for profile in ("cpu", "gpu", "remote-model"):
        started = {name for name, each in SERVICES.items() if profile in each.get("profiles", [profile])}
        (only,) = started & set(SERVERS)
        assert set(SERVICES[only]["depends_on"]) <= started
        hosts = {name for name in ("vllm", "searxng", "valkey") if f"//{name}:" in str(SERVICES[only]["environment"])}
        assert hosts == set(SERVICES[only]["depends_on"])


def test_what_is_mounted_exists():
    mounts = [mount for service in SERVICES.values() for mount in service.get("volumes", [])]
    files = [mount.split(":") for mount in mounts if mount.startswith("./")]
    assert [path for path, *_ in files if not (DEPLOY / path).is_file()] == []
    assert {mode for _, _, mode in files} == {"ro"}
    assert len(files) == 6
    volumes = {mount.split(":")[0] for mount in mounts if not mount.startswith("./")}
    assert volumes == set(compose(FILLED)["volumes"])


def test_compose_waits_longer_than_the_server_drains():
    assert all(seconds(SERVICES[name]["stop_grace_period"]) > DRAIN_SECONDS for name in SERVERS)


def test_the_weights_and_the_cache_outlive_a_container():
    home = dict(row.split("=", 1) for name, rest in instructions() if name == "ENV" for row in rest.split())["HOME"]
    for name in SERVERS:
        assert f"server-cache:{home}/.cache" in SERVICES[name]["volumes"]
    mounts = container(named(PODS, "wellread"))["volumeMounts"]
    assert f"{home}/.cache" in [mount["mountPath"] for mount in mounts]


def test_the_cache_forgets_what_is_old():
    for command in (SERVICES["valkey"]["command"], container(named(PODS, "valkey"))["args"]):
        told = dict(zip(command[1::2], command[2::2], strict=True))
        assert told["--maxmemory-policy"] == "allkeys-lru"
        assert told["--maxmemory"].endswith("gb")


def test_vllm_is_started_as_its_readme_says():
    readme = (DEPLOY / "vllm" / "README.md").read_text()
    flags = {"--reasoning-parser", "--enable-prompt-tokens-details", "--max-model-len"}
    assert [flag for flag in flags if flag not in readme] == []
    kubernetes = [each for path, text in texts().items() if path.endswith("gpu/vllm.yaml") for each in [text]]
    unit_line = unit("wellread-vllm.service")["ExecStart"][0]
    for text in (str(SERVICES["vllm"]["command"]), *kubernetes, unit_line):
        assert [flag for flag in flags if flag not in text] == []
        assert re.search(r"--reasoning-parser[= ]deepseek_r1", text)
    assert len(kubernetes) == 1


# SearXNG, Prometheus, Grafana


def test_searxng_speaks_json_and_lets_us_in():
    settings = yaml.safe_load((DEPLOY / "searxng" / "settings.yml").read_text())
    assert "json" in settings["search"]["formats"]
    assert settings["server"]["limiter"] is False
    assert settings["server"]["public_instance"] is False
    assert settings["use_default_settings"] is True
    assert "secret_key" not in settings["server"]


def test_prometheus_and_grafana_find_what_they_look_for():
    monitoring = DEPLOY / "monitoring"
    scraped = yaml.safe_load((monitoring / "prometheus-compose.yml").read_text())
    (job,) = scraped["scrape_configs"]
    (target,) = job["static_configs"][0]["targets"]
    host, _, port = target.partition(":")
    assert all(host in SERVICES[name]["networks"]["inside"]["aliases"] for name in SERVERS)
    assert (int(port), job.get("metrics_path", "/metrics")) == (8000, "/metrics")
    assert "/metrics" in paths_served()
    mounted = [mount.split(":") for mount in SERVICES["prometheus"]["volumes"]]
    assert scraped["rule_files"] == ["alerts.yml"]
    assert ["./monitoring/alerts.yml", "/etc/prometheus/alerts.yml", "ro"] in mounted
    assert f"> {job['authorization']['credentials_file']} " in SERVICES["prometheus"]["command"][0]

    (source,) = yaml.safe_load((monitoring / "grafana" / "datasources.yml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    dashboard = json.loads((monitoring / "grafana-dashboard.json").read_text())
    assert source["type"] in {row["query"] for row in dashboard["templating"]["list"]}
    (provider,) = yaml.safe_load((monitoring / "grafana" / "dashboards.yml").read_text())["providers"]
    placed = [mount.split(":")[1] for mount in SERVICES["grafana"]["volumes"] if "grafana-dashboard.json" in mount]
    assert [path.rpartition("/")[0] for path in placed] == [provider["options"]["path"]]


# systemd


def test_the_unit_lets_running_answers_finish():
    told = unit("wellread.service")
    assert seconds(told["TimeoutStopSec"][0]) > DRAIN_SECONDS
    # SIGTERM to all would end its workers and its model before the answers.
    assert told["KillMode"] == ["mixed"]
    assert told["ExecStart"] == ["/opt/wellread/bin/wellread serve"]
    # The exit code of BadSettings (agent/command.py).
    assert told["RestartPreventExitStatus"] == ["2"]


@pytest.mark.parametrize("name", ["wellread.service", "wellread-vllm.service"])
def test_the_units_are_contained(name):
    told = unit(name)
    wanted = {
        "DynamicUser": "yes",
        "NoNewPrivileges": "yes",
        "ProtectSystem": "strict",
        "ProtectHome": "yes",
        "CapabilityBoundingSet": "",
        "SystemCallFilter": "@system-service",
    }
    assert {key: told[key] for key in wanted} == {key: [value] for key, value in wanted.items()}
    assert set(told["RestrictAddressFamilies"][0].split()) == {"AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK"}
    assert told["MemoryMax"]
    values = dict(row.split("=", 1) for rows in told["Environment"] for row in rows.split())
    folder = f"/var/cache/{told['CacheDirectory'][0]}"
    assert {values["HOME"], values["HF_HOME"].rpartition("/")[0]} == {folder}


def test_the_unit_keeps_weights_where_it_may_write(monkeypatch):
    values = dict(row.split("=", 1) for rows in unit("wellread.service")["Environment"] for row in rows.split())
    assert str(set_up(monkeypatch, {"XDG_CACHE_HOME": values["XDG_CACHE_HOME"]}).models_dir) == "/var/cache/wellread"


def test_the_units_know_what_their_files_set():
    asked = set(re.findall(r"\$\{(\w+)\}", unit("wellread-vllm.service")["ExecStart"][0]))
    assert asked == set(env_file(DEPLOY / "systemd" / "vllm.env.example"))


# Kubernetes


def test_what_kustomizations_name_exists():
    missing = []
    for path in kustomizations():
        told = yaml.safe_load(path.read_text())
        names = [*told.get("resources", ()), *(row["path"] for row in told.get("patches", ()))]
        names += [file for row in told.get("configMapGenerator", ()) for file in row.get("files", ())]
        missing += [f"{path}: {name}" for name in names if not (path.parent / name).exists()]
    assert missing == []
    assert len(patches()) == 3


@pytest.mark.parametrize("deployment", PODS, ids=lambda each: each["metadata"]["name"])
def test_each_pod_is_contained(deployment):
    spec, only = pod(deployment), container(deployment)
    # Services named as these make variables of the settings' own prefixes, WELLREAD_PORT among them.
    assert spec["enableServiceLinks"] is False
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert only["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert only["resources"]["limits"]["memory"]
    assert only["resources"]["requests"]["cpu"]
    assert {"readinessProbe", "livenessProbe"} <= set(only)
    assert pinned(only["image"]) or only["image"] == "wellread"  # the kustomization puts a name and a tag to it
    volumes = {volume["name"] for volume in spec.get("volumes", ())}
    assert volumes == {mount["name"] for mount in only.get("volumeMounts", ())}


def test_the_server_is_asked_by_paths_that_it_serves():
    only = container(named(PODS, "wellread"))
    asked = {probe: only[probe]["httpGet"]["path"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")}
    assert asked == {"startupProbe": "/health", "readinessProbe": "/ready", "livenessProbe": "/health"}
    assert set(asked.values()) <= paths_served()


def test_a_pod_may_take_longer_than_the_server_drains():
    deployment = named(PODS, "wellread")
    told = dict(row.split("=", 1) for row in literals(KUBERNETES / "base"))
    drain = float(told["WELLREAD_DRAIN_SECONDS"])
    assert drain >= EFFORTS["medium"].seconds
    before = container(deployment)["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod(deployment)["terminationGracePeriodSeconds"] > drain + before


def test_services_and_policies_find_their_pods():
    labels = {each["metadata"]["name"]: each["spec"]["template"]["metadata"]["labels"] for each in PODS}
    for service in of_kind("Service", documents()):
        (port,) = service["spec"]["ports"]
        name = service["metadata"]["name"]
        assert service["spec"]["selector"].items() <= labels[name].items()
        assert {"name": port["targetPort"], "containerPort": port["port"]} in container(named(PODS, name))["ports"]
    known = {label for each in labels.values() for label in each.values()}
    text = "".join(text for path, text in texts().items() if path.endswith("network.yaml"))
    assert set(re.findall(r"app\.kubernetes\.io/name: (\w+)", text)) == known


def test_secrets_are_asked_for_by_the_names_of_the_example():
    (example,) = of_kind("Secret", documents())
    assert set(example["stringData"].values()) == {""}
    asked = {
        (name, key) for text in texts().values() for name, key in re.findall(r"{name: (\w+), key: ([\w-]+)}", text)
    }
    assert {(name, key) for name, key in asked if key != "app.kubernetes.io"} == {
        (example["metadata"]["name"], key) for key in example["stringData"]
    }


# Of IANA's registries of special addresses (RFC 6890): what the guard refuses by Python's own knowledge of them.
SPECIAL = tuple(
    ipaddress.ip_network(net)
    for net in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.2.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "::1/128",
        "::/128",
    )
)


def policies(name):
    return named(of_kind("NetworkPolicy", documents()), name)["spec"]


@cache
def ways_to_the_web():
    (rule,) = policies("web")["egress"]
    assert {port["port"] for port in rule["ports"]} == {80, 443}
    return [
        (ipaddress.ip_network(to["ipBlock"]["cidr"]), [ipaddress.ip_network(net) for net in to["ipBlock"]["except"]])
        for to in rule["to"]
    ]


def let_through(address):
    return any(
        address.version == net.version and address in net and not any(address in gap for gap in gaps)
        for net, gaps in ways_to_the_web()
    )


def edges(net):
    """Return the first and last addresses of a network, and those beside it."""
    first, last = int(net.network_address), int(net.broadcast_address)
    most = 2**net.max_prefixlen - 1
    kind = type(net.network_address)
    return {kind(min(max(each, 0), most)) for each in (first - 1, first, first + 1, last - 1, last, last + 1)}


def test_the_cluster_keeps_from_what_the_server_refuses():
    gaps = [gap for _, listed in ways_to_the_web() for gap in listed]
    nets = [*gaps, *REFUSED, *SPECIAL]
    edge = {address for net in nets for address in edges(net)}
    # On both sides of every border the cluster and the guard are of one mind.
    assert {address for address in edge if let_through(address) != Guard().permits(address, 443)} == set()
    # Kubernetes takes only gaps that lie within their network.
    assert [gap for net, listed in ways_to_the_web() for gap in listed if gap == net or not gap.subnet_of(net)] == []
    four = [net for net in (*REFUSED, *SPECIAL) if net.version == 4]
    assert [net for net in four if not any(net.subnet_of(gap) for gap in gaps if gap.version == 4)] == []
    assert len(edge) > 100


@given(draw.ip_addresses())
def test_no_address_that_the_server_refuses_is_let_through(address):
    assert Guard().permits(address, 443) or not let_through(address)


def test_nothing_has_a_way_that_is_not_named():
    everything = policies("nobody-unless-named")
    assert everything == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    # No other rule of the cluster names addresses.
    blocks = [name for name, text in texts().items() if name.endswith(".yaml") and "ipBlock" in text]
    assert blocks == ["deploy/kubernetes/base/network.yaml"]
    assert str(documents()).count("ipBlock") == 2


def test_the_autoscalers_know_what_they_ask():
    (scaler,) = of_kind("HorizontalPodAutoscaler", documents())
    assert scaler["spec"]["scaleTargetRef"]["name"] == "wellread"
    assert "replicas" not in named(PODS, "wellread")["spec"]
    (metric,) = yaml.safe_load((KUBERNETES / "components" / "queue" / "scaling.yaml").read_text())["spec"]["metrics"]
    followed = re.findall(r'follow\("(\w+)"', (ROOT / "server.py").read_text())
    assert metric["pods"]["metric"]["name"].removeprefix("wellread_") in followed


# The card


def card():
    spec = importlib.util.spec_from_file_location("gpu_memory", DEPLOY / "gpu_memory.py")
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules["gpu_memory"] = module
    spec.loader.exec_module(module)
    return module


def test_the_table_of_cards_is_what_its_arithmetic_gives():
    memory = card()
    readme = (DEPLOY / "README.md").read_text()
    assert memory.markdown(memory.rows(memory.CARDS)) in readme
    assert memory.markdown(memory.parts()) in readme


def test_the_arithmetic_meets_what_is_known_of_the_models():
    memory = card()
    published = {"7b": 15.2, "8b": 16.4, "14b": 29.5, "32b": 65.5}
    computed = {name: memory.DISTILLS[name].weights_bytes / 1e9 for name in published}
    assert computed == pytest.approx(published, rel=0.005)
    medium = EFFORTS["medium"]
    question = medium.source_tokens + medium.thinking_tokens + medium.answer_tokens
    assert question < memory.QUESTION_TOKENS <= question + 1_000
    known = (118e6, 278e6, 560e6, 568e6)
    assert [each.weights_bytes / 4 for each in memory.EMBEDDERS] == pytest.approx(known, rel=0.01)


def test_the_shares_that_are_set_fit_a_card_of_24_gb():
    memory = card()
    beside = memory.fit(memory.CARDS["24 GB"], memory.DISTILLS["14b-4"], memory.EMBEDDERS[0].gib)
    assert "14B-quantized.w4a16" in FILLED["VLLM_MODEL"]
    assert FILLED["WELLREAD_EMBEDDER_MODEL"].endswith(memory.EMBEDDERS[0].name)
    assert float(FILLED["VLLM_GPU_MEMORY_UTILIZATION"]) <= beside.share
    assert beside.whole
    alone = memory.fit(memory.CARDS["24 GB"], memory.DISTILLS["14b-4"], memory.NONE)
    shares = [float(env_file(DEPLOY / "systemd" / "vllm.env.example")["CARD_SHARE"])]
    vllm = container(named(PODS, "vllm"))["args"]
    shares += [float(row.partition("=")[2]) for row in vllm if row.startswith("--gpu-memory-utilization")]
    assert len(shares) == 2
    assert [share for share in shares if share > alone.share] == []
