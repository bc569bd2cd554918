import pytest
from pydantic import SecretStr

from agent.build import open_tools
from agent.errors import BadSettings
from agent.settings import Settings
from retrieval.cooldown import PatientEngine
from retrieval.errors import EngineRefused
from retrieval.types import Hit, Query

pytestmark = pytest.mark.anyio
KEYED = ("brave", "deepseek", "serper", "tavily")


def settings(*search: str, **given) -> Settings:
    return Settings(search=search, embedder="none", embedded_model="echo", **given)


@pytest.mark.parametrize("name", KEYED)
async def test_an_engine_without_its_key_stops_the_start(name):
    message = f"WELLREAD_SEARCH names {name}: set WELLREAD_{name.upper()}_API_KEY to your key"
    for given in ({}, {f"{name}_api_key": SecretStr("  ")}):
        with pytest.raises(BadSettings, match=message):
            async with open_tools(settings("ddgs", name, **given)):
                pass


@pytest.mark.parametrize("name", KEYED)
@pytest.mark.parametrize("key", ["SECRET KEY", "SECRET\r\nX-Evil: 1", "SECRETключ"])
async def test_what_is_no_key_stops_the_start_and_is_not_shown(name, key):
    with pytest.raises(BadSettings, match=f"WELLREAD_{name.upper()}_API_KEY") as caught:
        async with open_tools(settings(name, **{f"{name}_api_key": SecretStr(key)})):
            pass
    assert "SECRET" not in str(caught.value)


MODEL_SERVERS = {"model": {}, "embedder": {"embedder": "openai"}, "reranker": {"reranker": "openai"}}


@pytest.mark.parametrize("name", MODEL_SERVERS)
async def test_what_is_no_key_of_a_model_server_stops_the_start_and_is_not_shown(name):
    given = {f"{name}_url": "http://127.0.0.1:9/v1", f"{name}_api_key": SecretStr("SECRETключ")}
    if name != "model":
        given[f"{name}_model"] = "some"
    chosen = settings("sample").model_copy(update={**given, **MODEL_SERVERS[name]})
    with pytest.raises(BadSettings, match=f"WELLREAD_{name.upper()}_API_KEY") as caught:
        async with open_tools(chosen):
            pass
    assert "SECRET" not in str(caught.value)


async def test_keyed_engines_open_in_order_and_hide_their_keys():
    keys = {f"{name}_api_key": SecretStr(f"SECRET-{name}\n") for name in KEYED}
    async with open_tools(settings(*KEYED, **keys)) as tools:
        assert [engine.name for engine in tools.engines] == list(KEYED)
        assert "SECRET" not in repr(tools)
        assert "SECRET" not in repr([vars(engine._engine) for engine in tools.engines])
        assert tools.engine_health() == dict.fromkeys(KEYED, "not asked yet")


class Refusing:
    name = "refusing"

    async def search(self, query: Query, page: int) -> tuple[Hit, ...]:
        raise EngineRefused("answered 429: too many requests")


async def test_the_search_is_not_ready_while_every_engine_cools():
    async with open_tools(settings("ddgs", "serper", serper_api_key=SecretStr("SECRET"))) as tools:
        for engine in tools.engines:
            assert isinstance(engine, PatientEngine)
            engine._engine = Refusing()
        assert (await tools.check())["search"] == "ok"
        with pytest.raises(EngineRefused):
            await tools.engines[0].search(Query("pier"), 1)
        assert (await tools.check())["search"] == "ok"
        with pytest.raises(EngineRefused):
            await tools.engines[1].search(Query("pier"), 1)
        assert (await tools.check())["search"].startswith("refusing: answered 429: too many requests; asked again in")
