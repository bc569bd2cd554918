from pathlib import Path

import pytest
from pydantic import ValidationError

from agent.errors import BadSettings
from agent.settings import EFFORTS, Settings, is_loopback, load_settings, variables

pytestmark = pytest.mark.usefixtures("no_settings")


def test_defaults_serve_this_machine_only():
    settings = load_settings()

    assert (settings.host, settings.port, settings.api_keys) == ("127.0.0.1", 8000, ())
    assert (settings.pages, settings.read_seconds, settings.effort) == (50, 8.0, "medium")
    assert settings.search == ("ddgs",)


def test_lists_are_read_at_their_commas(monkeypatch):
    monkeypatch.setenv("WELLREAD_API_KEYS", "one, two,")
    monkeypatch.setenv("WELLREAD_SEARCH", "searxng,ddgs")
    monkeypatch.setenv("WELLREAD_ALLOW_NETS", "127.0.0.0/8:8900, [::1/128]:8900")

    settings = load_settings()

    assert [key.get_secret_value() for key in settings.api_keys] == ["one", "two"]
    assert settings.search == ("searxng", "ddgs")
    assert settings.allow_nets == ("127.0.0.0/8:8900", "[::1/128]:8900")


def test_an_empty_variable_is_an_unset_one(monkeypatch):
    monkeypatch.setenv("WELLREAD_PORT", "")

    assert load_settings().port == 8000


def test_the_command_line_comes_first(monkeypatch):
    monkeypatch.setenv("WELLREAD_PORT", "1234")

    assert load_settings(port=0).port == 0


def test_an_unknown_variable_stops_the_start_and_lists_the_known(monkeypatch):
    monkeypatch.setenv("WELLREAD_PAGE", "10")

    with pytest.raises(BadSettings, match=r"WELLREAD_PAGE\b.*Known: .*WELLREAD_PAGES"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WELLREAD_PORT", "http"),
        ("WELLREAD_PAGES", "0"),
        ("WELLREAD_PAGES", "101"),
        ("WELLREAD_EFFORT", "hard"),
        ("WELLREAD_MODEL_PROFILE", "gpt"),
        ("WELLREAD_MODEL_URL", "localhost:8000/v1"),
        ("WELLREAD_SEARCH", " , "),
    ],
)
def test_a_wrong_value_is_named_with_what_the_variable_is_for(monkeypatch, name, value):
    monkeypatch.setenv(name, value)

    with pytest.raises(BadSettings) as raised:
        load_settings()

    assert str(raised.value).startswith(f"{name}: ")
    assert variables()[name] in str(raised.value)


def test_without_keys_only_loopback_may_be_bound(monkeypatch):
    monkeypatch.setenv("WELLREAD_HOST", "0.0.0.0")
    with pytest.raises(BadSettings, match="WELLREAD_API_KEYS"):
        load_settings()

    monkeypatch.setenv("WELLREAD_API_KEYS", "key")
    assert load_settings().host == "0.0.0.0"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost"])
def test_loopback_hosts(host):
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.1", "example.org", "localhost.example.org"])
def test_other_hosts(host):
    assert not is_loopback(host)


def test_secrets_are_never_shown(monkeypatch):
    monkeypatch.setenv("WELLREAD_API_KEYS", "s3cret-a")
    monkeypatch.setenv("WELLREAD_MODEL_API_KEY", "s3cret-b")
    assert "s3cret" not in repr(load_settings())

    monkeypatch.setenv("WELLREAD_PORT", "s3cret-c")
    with pytest.raises(BadSettings) as raised:
        load_settings()
    assert "s3cret" not in str(raised.value)


def test_settings_do_not_change():
    with pytest.raises(ValidationError):
        load_settings().port = 1


def test_weights_lie_in_the_users_cache(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")

    assert load_settings().models_dir == Path("/somewhere/wellread")


def test_every_setting_says_what_it_is_for():
    assert len(variables()) == len(Settings.model_fields)
    assert all(variables().values())


def test_more_effort_never_buys_less():
    low, medium, high = (EFFORTS[step] for step in ("low", "medium", "high"))

    for name in low.__slots__:
        assert getattr(low, name) <= getattr(medium, name) <= getattr(high, name)
