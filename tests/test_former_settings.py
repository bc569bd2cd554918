"""Settings under former names: understood with a warning, or refused with the remedy; and slips of the pen."""

import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import former_settings
from agent.errors import BadSettings
from agent.former_settings import FORMER, Removed, Renamed, understood, unknown
from agent.settings import PREFIX, load_settings, outdated, variables

ROOT = Path(__file__).parent.parent
RELEASE = re.compile(r"\d+\.\d+\.\d+")
TABLE = (
    Renamed("WELLREAD_PAGE_COUNT", "WELLREAD_PAGES", "0.2.0", "0.4.0"),
    Renamed("WELLREAD_KEYS", "WELLREAD_API_KEYS", "0.2.0", "0.4.0"),
    Removed("WELLREAD_TURBO", "0.3.0", "Set WELLREAD_EFFORT to low instead."),
)
NAMES = st.sampled_from(sorted(variables()))
VALUES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)


@pytest.fixture
def former(monkeypatch, no_settings):
    monkeypatch.setattr(former_settings.understood, "__defaults__", (TABLE,))
    monkeypatch.setattr(former_settings.unknown, "__defaults__", (TABLE,))


def test_the_table_is_one_that_can_be_followed():
    """Every row leads to a setting of now, and none is kept beyond its time."""
    now = release(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"])
    assert len({row.name for row in FORMER}) == len(FORMER)
    for row in FORMER:
        assert row.name.startswith(PREFIX)
        assert row.name not in variables()
        assert RELEASE.fullmatch(row.since)
        if isinstance(row, Renamed):
            assert row.now in variables()
            assert release(row.since) < release(row.until)
            assert now < release(row.until), f"{row.name}: its time is over, make it a Removed"
        else:
            assert row.remedy.endswith(".")


def release(text):
    return tuple(map(int, text.split(".")))


@given(st.dictionaries(st.text(max_size=30), VALUES))
def test_an_environment_without_former_names_is_left_alone(environment):
    assert understood(environment, ()).values == {}
    assert understood(environment, ()).warnings == ()


@given(VALUES, st.booleans())
def test_a_renamed_setting_keeps_its_value_and_is_told(value, lower):
    name = "WELLREAD_PAGE_COUNT".lower() if lower else "WELLREAD_PAGE_COUNT"
    found = understood({name: value}, TABLE)

    assert found.values == ({"WELLREAD_PAGES": value} if value else {})
    assert len(found.warnings) == bool(value)
    for warning in found.warnings:
        assert warning == ("WELLREAD_PAGE_COUNT is WELLREAD_PAGES since 0.2.0: rename it, 0.4.0 will not know it.")


@given(VALUES, VALUES)
def test_two_names_of_one_setting_must_agree_and_no_value_is_shown(former, now):
    environment = {"WELLREAD_KEYS": f"s3cret{former}", "WELLREAD_API_KEYS": f"s3cret{now}"}
    if former == now:
        assert understood(environment, TABLE).values == {"WELLREAD_API_KEYS": f"s3cret{now}"}
        return
    with pytest.raises(BadSettings, match="WELLREAD_KEYS is now WELLREAD_API_KEYS, and both are set") as caught:
        understood(environment, TABLE)
    assert "s3cret" not in str(caught.value)


def test_a_removed_setting_stops_the_start_with_the_remedy():
    with pytest.raises(
        BadSettings, match=r"WELLREAD_TURBO is gone since 0\.3\.0\. Set WELLREAD_EFFORT to low instead\."
    ):
        understood({"WELLREAD_TURBO": "1"}, TABLE)
    assert understood({"WELLREAD_TURBO": ""}, TABLE).values == {}


@given(NAMES, st.data())
def test_a_slip_of_the_pen_is_guessed(name, data):
    tail = name.removeprefix(PREFIX)
    place = data.draw(st.integers(0, len(tail) - 1))
    slip = data.draw(st.sampled_from([tail[:place] + tail[place + 1 :], tail[:place] + tail[place] + tail[place:]]))
    if PREFIX + slip in variables() or len(tail) < 5:
        return
    told = unknown([PREFIX + slip], PREFIX, variables(), ())
    assert f"{PREFIX}{slip} (did you mean {name}?)" in told


@given(st.sets(NAMES))
def test_known_names_are_no_strangers(names):
    assert unknown([*names, *(name.lower() for name in names), "PATH"], PREFIX, variables(), TABLE) == ""
    assert unknown([row.name for row in TABLE], PREFIX, variables(), TABLE) == ""


def test_what_resembles_nothing_is_guessed_at_by_nothing():
    told = unknown(["WELLREAD_XYZZY"], PREFIX, variables(), ())
    assert told.startswith("Unknown settings: WELLREAD_XYZZY. Known: ")


def test_the_variables_of_kubernetes_are_explained():
    told = unknown(["WELLREAD_SERVICE_HOST", "WELLREAD_PORT_8000_TCP"], PREFIX, variables(), ())
    assert "enableServiceLinks" in told


@pytest.mark.usefixtures("former")
def test_settings_are_read_under_their_former_names(monkeypatch):
    monkeypatch.setenv("WELLREAD_PAGE_COUNT", "7")
    monkeypatch.setenv("WELLREAD_KEYS", "one, two")

    settings = load_settings()

    assert settings.pages == 7
    assert [key.get_secret_value() for key in settings.api_keys] == ["one", "two"]
    assert len(outdated()) == 2


@pytest.mark.usefixtures("former")
def test_the_command_line_comes_before_a_former_name(monkeypatch):
    monkeypatch.setenv("WELLREAD_PAGE_COUNT", "7")

    assert load_settings(pages=9).pages == 9


@pytest.mark.usefixtures("former")
def test_a_wrong_value_under_a_former_name_is_told(monkeypatch):
    monkeypatch.setenv("WELLREAD_PAGE_COUNT", "many")

    with pytest.raises(BadSettings, match="WELLREAD_PAGES: "):
        load_settings()
