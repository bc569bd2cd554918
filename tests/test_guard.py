import ipaddress

import httpcore2
import pytest

from retrieval.guard import BlockedAddress, Guard, GuardedBackend, parse_allowed_net

pytestmark = pytest.mark.anyio

REFUSED = """
0.0.0.0 10.0.0.1 100.64.0.1 100.100.100.200 127.0.0.1 127.8.8.8 168.63.129.16 169.254.169.254 172.16.0.1 192.0.0.192
192.0.2.1 192.88.99.1 192.168.1.1 198.18.0.1 203.0.113.9 224.0.0.1 240.0.0.1 255.255.255.255 :: ::1 ::7f00:1
::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:0:127.0.0.1 64:ff9b::7f00:1 64:ff9b:1::a9fe:a9fe 100::1 2001::1 2001:db8::1
2002:7f00:1::1 2002:a9fe:a9fe::1 3fff::1 5f00::1 fc00::1 fd00:ec2::254 fe80::1 fec0::1 ff02::1
ab1::1 4000::1 e000::1
""".split()  # noqa: SIM905  (a table reads better)
PUBLIC = ["1.1.1.1", "8.8.8.8", "93.184.216.34", "2606:4700:4700::1111", "2a00:1450:4001::1"]


@pytest.mark.parametrize("address", REFUSED)
def test_addresses_that_are_not_public(address):
    assert not Guard().permits(ipaddress.ip_address(address), 80)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_on_web_ports_only(address):
    parsed = ipaddress.ip_address(address)
    assert Guard().permits(parsed, 80)
    assert Guard().permits(parsed, 443)
    assert not Guard().permits(parsed, 22)
    assert not Guard().permits(parsed, 8080)


def test_the_operator_can_allow_a_net_and_a_port():
    guard = Guard(
        (parse_allowed_net("127.0.0.0/8:8900"), parse_allowed_net("[fd00::/8]:443"), parse_allowed_net("10.1.0.0/16"))
    )
    assert guard.permits(ipaddress.ip_address("127.4.5.6"), 8900)
    assert not guard.permits(ipaddress.ip_address("127.4.5.6"), 8901)
    assert guard.permits(ipaddress.ip_address("fd00::1"), 443)
    assert guard.permits(ipaddress.ip_address("10.1.2.3"), 80)
    assert not guard.permits(ipaddress.ip_address("10.1.2.3"), 8080)


@pytest.mark.parametrize("text", ["nonsense", "127.0.0.0/8:0", "127.0.0.0/8:70000", "127.0.0.1/8", "fd00::/8"])
def test_wrong_nets_are_told(text):
    with pytest.raises(ValueError, match=r".+"):
        parse_allowed_net(text)


NAMES = [
    "localhost", "127.1", "0x7f000001", "2130706433", "0177.0.0.1", "127。0。0。1", "localhost.", "vllm", "a.internal",
    "metadata.google.internal", "kubernetes.default.svc", "host.docker.internal.local", "x" * 300 + ".org", "",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
async def test_internal_names_are_refused_without_a_look_up(name, monkeypatch):
    async def look_up(host, port):
        raise AssertionError(f"looked up {host}")

    monkeypatch.setattr("retrieval.guard.look_up", look_up)
    with pytest.raises(BlockedAddress):
        await Guard().resolve(name, 80)


@pytest.mark.parametrize("answers", [["127.0.0.1"], ["1.1.1.1", "10.0.0.1"], ["1.1.1.1", "::1"]])
async def test_one_private_answer_blocks_the_name(answers, monkeypatch):
    calls = []

    async def look_up(host, port):
        calls.append(host)
        return answers

    monkeypatch.setattr("retrieval.guard.look_up", look_up)
    with pytest.raises(BlockedAddress):
        await Guard().resolve("rebind.example.org", 80)
    assert calls == ["rebind.example.org"]


async def test_the_checked_address_is_the_one_that_is_used(monkeypatch):
    async def look_up(host, port):
        return ["93.184.216.34", "1.1.1.1"]

    monkeypatch.setattr("retrieval.guard.look_up", look_up)
    assert await Guard().resolve("example.org", 443) == "93.184.216.34"


@pytest.mark.parametrize("port", [0, 65_536, 65_616, 99_999])
async def test_ports_do_not_wrap_around(port):
    with pytest.raises(BlockedAddress):
        await GuardedBackend(Guard()).connect_tcp("1.1.1.1", port)


def test_a_blocked_address_is_a_connect_error():
    assert issubclass(BlockedAddress, httpcore2.ConnectError)
