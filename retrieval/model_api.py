"""Asks a server that hosts an embedding or a ranking model over HTTP: vLLM, text-embeddings-inference and their like.

No error holds the key, what was sent, or more of the reply than its status.
"""

import time
from typing import TypeVar

import httpx2
from pydantic import BaseModel, SecretStr, ValidationError

from retrieval.errors import RetrievalError
from retrieval.limits import ModelApiLimits

Reply = TypeVar("Reply", bound=BaseModel)


class ModelApi:
    """One server. Safe to use from many threads. `error` is raised for whatever goes wrong, and says `name`.

    `trouble` is what went wrong the last time; None when all went well, or nothing was asked.
    """

    def __init__(
        self, name: str, url: str, key: SecretStr | None, error: type[RetrievalError], limits: ModelApiLimits
    ) -> None:
        headers = {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}
        self._client = httpx2.Client(base_url=url, headers=headers, timeout=limits.seconds, trust_env=False)
        self._name, self._error, self._limits = name, error, limits
        self._left_alone_until = 0.0
        self.trouble: str | None = None

    def post(self, path: str, body: dict[str, object], shape: type[Reply]) -> Reply:
        """Send a request and read its JSON reply. Blocks. Raises the error of this server."""
        if time.monotonic() < self._left_alone_until:
            raise self._error(f"{self._name} could not be reached just now")
        try:
            reply = self._post(path, body, shape)
        except self._error as error:
            self.trouble = str(error)
            raise
        self.trouble = None
        return reply

    def _post(self, path: str, body: dict[str, object], shape: type[Reply]) -> Reply:
        try:
            with self._client.stream("POST", path, json=body) as reply:
                if reply.status_code != 200:
                    raise self._error(f"{self._name} answered {reply.status_code}")
                return shape.model_validate_json(self._read(reply))
        except httpx2.HTTPError as error:
            self._left_alone_until = time.monotonic() + self._limits.retry_seconds
            raise self._error(f"{self._name} cannot be reached ({type(error).__name__})") from error
        except ValidationError as error:
            raise self._error(f"{self._name} sent a reply of another shape") from error

    def _read(self, reply: httpx2.Response) -> bytes:
        body = bytearray()
        for piece in reply.iter_bytes():
            body += piece
            if len(body) > self._limits.body_bytes:
                raise self._error(f"{self._name} sent more than {self._limits.body_bytes} bytes")
        return bytes(body)
