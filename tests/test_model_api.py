"""The embedder and the reranker that ask a server."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest
from pydantic import SecretStr

from agent.build import open_tools
from agent.errors import BadSettings
from agent.settings import Settings
from retrieval.embedders.openai_compatible import OpenAICompatibleEmbedder
from retrieval.errors import EmbedderUnavailable, RerankerUnavailable
from retrieval.limits import ModelApiLimits, RankLimits
from retrieval.rank import Ranking
from retrieval.rerank import reranked
from retrieval.rerankers.openai_compatible import OpenAICompatibleReranker
from retrieval.types import Document, Passage, Ranked

LIMITS = ModelApiLimits(seconds=0.5, texts_at_once=2, body_bytes=10_000)
KEY = SecretStr("sk-secret")


@dataclass
class Models:
    """A server of models. `reply` is sent instead of the right answer; `shift` moves an index."""

    url: str = ""
    status: int = 200
    reply: bytes | None = None
    delay: threading.Event | None = None
    seen: list[tuple[str, dict[str, Any], str]] = field(default_factory=list)

    def answer(self, path: str, body: dict[str, Any]) -> bytes:
        if path.endswith("/embeddings"):
            # Backwards: what counts is the index.
            rows = [{"index": i, "embedding": [float(len(text)), 1.0]} for i, text in enumerate(body["input"])]
            return json.dumps({"object": "list", "data": rows[::-1], "model": body["model"]}).encode()
        scores = [{"index": i, "relevance_score": float(len(text))} for i, text in enumerate(body["documents"])]
        return json.dumps({"results": sorted(scores, key=lambda row: -row["relevance_score"])}).encode()


@pytest.fixture
def models() -> Iterator[Models]:
    state = Models()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            state.seen.append((self.path, body, self.headers["Authorization"] or ""))
            if state.delay:
                state.delay.wait(5)
            sent = state.answer(self.path, body) if state.reply is None else state.reply
            self.send_response(state.status)
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield state
    if state.delay:
        state.delay.set()
    server.shutdown()
    server.server_close()
    thread.join()


def test_vectors_come_in_the_order_of_the_texts_and_have_length_one(models):
    embedder = OpenAICompatibleEmbedder(models.url, "m", KEY, LIMITS)
    vectors = embedder.embed(("a", "bb", "ccc", "dddd", "eeeee"), "passage")
    assert vectors.shape == (5, embedder.dimensions) == (5, 2)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1)
    assert (np.diff(vectors[:, 0]) > 0).all()
    assert sorted(len(body["input"]) for _, body, _ in models.seen) == [1, 2, 2]
    assert {key for _, _, key in models.seen} == {"Bearer sk-secret"}


@pytest.mark.parametrize(("model", "sent"), [("intfloat/multilingual-e5-small", "query: a"), ("BAAI/bge-m3", "a")])
def test_only_the_e5_family_is_told_what_is_a_query(models, model, sent):
    OpenAICompatibleEmbedder(models.url, model, None, LIMITS).embed(("a",), "query")
    assert models.seen[0][1]["input"] == [sent]


BAD_EMBEDDINGS = [
    b"",
    b"<html>",
    b'{"data": []}',
    b'{"data": [{"index": 1, "embedding": [1.0]}]}',
    b'{"data": [{"index": 0, "embedding": []}]}',
    b'{"data": [{"index": 0, "embedding": [0.0, 0.0]}]}',
    b'{"data": [{"index": 0, "embedding": [1e999]}]}',
    b'{"data": [{"index": 0, "embedding": ["x"]}]}',
    b'{"data": "' + b"x" * 20_000 + b'"}',
]


@pytest.mark.parametrize("reply", BAD_EMBEDDINGS)
def test_a_bad_reply_is_no_vector(models, reply):
    models.reply = reply
    with pytest.raises(EmbedderUnavailable) as raised:
        OpenAICompatibleEmbedder(models.url, "m", KEY, LIMITS).embed(("a",), "query")
    assert "secret" not in str(raised.value)
    assert models.url not in str(raised.value)


def test_vectors_of_another_length_than_before_are_refused(models):
    embedder = OpenAICompatibleEmbedder(models.url, "m", None, LIMITS)
    embedder.embed(("a",), "query")
    models.reply = b'{"data": [{"index": 0, "embedding": [1.0]}]}'
    with pytest.raises(EmbedderUnavailable, match="different lengths"):
        embedder.embed(("a",), "query")


@pytest.mark.parametrize("status", [401, 404, 429, 500, 503])
def test_the_status_of_a_refusal_is_told(models, status):
    models.status = status
    with pytest.raises(EmbedderUnavailable, match=f"the embedding server answered {status}"):
        OpenAICompatibleEmbedder(models.url, "m", KEY, LIMITS).embed(("a",), "query")
    with pytest.raises(RerankerUnavailable, match=f"the reranking server answered {status}"):
        OpenAICompatibleReranker(models.url, "m", KEY, LIMITS).score("q", ("a",))


def test_a_server_that_hangs_or_is_not_there_is_given_up(models):
    models.delay = threading.Event()
    with pytest.raises(EmbedderUnavailable, match="cannot be reached"):
        OpenAICompatibleEmbedder(models.url, "m", None, LIMITS).embed(("a",), "query")
    with pytest.raises(RerankerUnavailable, match="cannot be reached"):
        OpenAICompatibleReranker("http://127.0.0.1:9/v1", "m", None, LIMITS).score("q", ("a",))


def test_scores_come_in_the_order_of_the_texts(models):
    scores = OpenAICompatibleReranker(models.url, "m", KEY, LIMITS).score("q", ("bb", "a", "ccc"))
    assert scores.tolist() == [2.0, 1.0, 3.0]
    assert models.seen[0][1] == {"model": "m", "query": "q", "documents": ["bb", "a", "ccc"], "top_n": 3}


@pytest.mark.parametrize(
    "reply",
    [
        b"{}",
        b'{"results": []}',
        b'{"results": [{"index": 0, "relevance_score": NaN}]}',
        b'{"results": [{"index": 5, "score": 1}]}',
    ],
)
def test_a_bad_reply_is_no_score(models, reply):
    models.reply = reply
    with pytest.raises(RerankerUnavailable):
        OpenAICompatibleReranker(models.url, "m", None, LIMITS).score("q", ("a",))


def ranking(*texts: str) -> Ranking:
    passages = [Passage(Document(f"https://a.b/{text}", "T", text, "a.b"), 0, len(text)) for text in texts]
    return Ranking(tuple(Ranked(passage, 1.0 - i / 10, 0.0) for i, passage in enumerate(passages)))


def test_the_best_passages_are_ordered_anew_and_scores_go_on_falling(models):
    reranker = OpenAICompatibleReranker(models.url, "m", None, LIMITS)
    made = reranked("q", ranking("a", "ccc", "bb", "dddddd"), reranker, RankLimits(reranked=3))
    assert [row.passage.text for row in made.passages] == ["ccc", "bb", "a", "dddddd"]
    assert [row.score for row in made.passages] == [1.0, 0.9, 0.8, 0.7]
    assert made.note is None


def test_a_reranker_that_fails_leaves_the_order_and_a_note(models):
    models.status = 500
    before = ranking("a", "ccc")
    made = reranked("q", before, OpenAICompatibleReranker(models.url, "m", KEY, LIMITS), RankLimits())
    assert made.passages == before.passages
    assert made.note == "not reranked: the reranking server answered 500"
    assert reranked("q", Ranking(()), OpenAICompatibleReranker(models.url, "m", KEY, LIMITS), RankLimits()) == Ranking(
        ()
    )


@pytest.mark.anyio
async def test_settings_open_both(models):
    given = {
        "search": ("searxng",),
        "searxng_url": "http://127.0.0.1:9",
        "embedded_model": "echo",
        "cache": "off",
        "embedder": "openai",
        "embedder_url": models.url,
        "embedder_model": "m",
        "reranker": "openai",
        "reranker_url": models.url,
        "reranker_model": "r",
    }
    async with open_tools(Settings(**given)) as tools:
        assert isinstance(tools.embedder, OpenAICompatibleEmbedder)
        assert isinstance(tools.reranker, OpenAICompatibleReranker)
        assert tools.rank_limits.candidates == 1_000
        assert tools.rank_limiter.total_tokens > 1
    for missing in ("embedder_url", "embedder_model", "reranker_url", "reranker_model"):
        with pytest.raises(BadSettings, match=f"WELLREAD_{missing.upper()}"):
            async with open_tools(Settings(**(given | {missing: None}))):
                pass
