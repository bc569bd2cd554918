"""The errors that a client may see, each with its HTTP status and OpenAI `type` and `code`.

    AgentError                  500 server_error internal_error
    ├── BadRequest              400 invalid_request_error, names the field in `param`
    │   ├── ContextOverflow     400 invalid_request_error context_length_exceeded
    │   ├── ModelNotFound       404 invalid_request_error model_not_found
    │   ├── RunNotFound         404 invalid_request_error run_not_found
    │   └── RequestTooLarge     413 invalid_request_error request_too_large
    ├── Unauthorized            401 invalid_request_error invalid_api_key | missing_api_key
    ├── QueueFull               429 rate_limit_error queue_full, with Retry-After
    ├── RateLimited             429 rate_limit_error rate_limit_exceeded, with Retry-After: a key's own limit
    ├── SearchUnavailable       502 server_error upstream_error: every engine failed, each is named
    ├── Starting                503 server_error overloaded: what answers are made with is still being opened
    ├── Stopping                503 server_error overloaded: the server is being stopped
    ├── ModelUnavailable        503 server_error overloaded: the model cannot be reached
    ├── ModelFailed             502 server_error upstream_error: the model broke off or answered nonsense
    └── ModelTimeout            504 server_error timeout

`BadSettings` stands apart: it stops the start and never reaches a client.
"""

from typing import ClassVar


class BadSettings(Exception):
    """A setting is wrong; the message names it and the remedy."""


class AgentError(Exception):
    """Anything a client is told. The message is shown to people: plain, complete, without secrets."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    code: str | None = "internal_error"
    param: str | None = None
    retry_after_s: int | None = None


class BadRequest(AgentError):
    """The request cannot be served as it is; `param` is the dotted path of the field at fault."""

    status = 400
    type = "invalid_request_error"

    def __init__(self, message: str, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.param = param
        self.code = code


class ContextOverflow(BadRequest):
    """What the model would be told is longer than its window."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "messages", "context_length_exceeded")


class ModelNotFound(BadRequest):
    """The requested model id is not one of ours."""

    status = 404

    def __init__(self, model: str, known: tuple[str, ...]) -> None:
        super().__init__(
            f"The model {model!r} does not exist here. Known models: {', '.join(known)}.", "model", "model_not_found"
        )


class RunNotFound(BadRequest):
    """No record is kept under an id; whether another owner has one there is not told."""

    status = 404

    def __init__(self, *, kept_here: bool) -> None:
        none = "No runs are kept here: WELLREAD_RUN_SECONDS sets for how long they are."
        gone = "There is no such run: its id is not known, or its time is over."
        super().__init__(gone if kept_here else none, None, "run_not_found")


class RequestTooLarge(BadRequest):
    """The body is larger than the server takes."""

    status = 413

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"The request body is larger than {limit_bytes} bytes.", None, "request_too_large")


class Unauthorized(AgentError):
    """No key, or not one of ours."""

    status = 401
    type = "invalid_request_error"

    def __init__(self, *, missing: bool) -> None:
        super().__init__(
            "No API key was given: send 'Authorization: Bearer KEY'." if missing else "The API key is not valid here."
        )
        self.code = "missing_api_key" if missing else "invalid_api_key"


class QueueFull(AgentError):
    """As many requests run and wait as the settings allow."""

    status = 429
    type = "rate_limit_error"
    code = "queue_full"

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"The server is busy: all places are taken. Try again in {retry_after_s} seconds.")
        self.retry_after_s = retry_after_s


class RateLimited(AgentError):
    """A key has made, or has running, as many requests as the settings allow it."""

    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"

    def __init__(self, limit: str, retry_after_s: int) -> None:
        super().__init__(f"This key may {limit}. Try again in {retry_after_s} seconds.")
        self.retry_after_s = retry_after_s


class Starting(AgentError):
    """The server has begun, and what it answers with is still being opened."""

    status = 503
    code = "overloaded"
    retry_after_s = 5

    def __init__(self) -> None:
        super().__init__("The server is starting. Try again in a moment; /ready tells when it can answer.")


class Stopping(AgentError):
    """The server is being stopped: nothing new begins, and what has not finished in time ends."""

    status = 503
    code = "overloaded"
    retry_after_s = 10

    def __init__(self) -> None:
        super().__init__("The server is stopping. Try again in a moment.")


class SearchUnavailable(AgentError):
    """Every search engine failed."""

    status = 502
    code = "upstream_error"

    def __init__(self, engines: dict[str, str]) -> None:
        self.engines = engines
        reasons = "; ".join(f"{name}: {error}" for name, error in engines.items())
        super().__init__(f"The web could not be searched, so nothing was read. {reasons}")


class ModelUnavailable(AgentError):
    """The model cannot be reached, or says that it is not ready."""

    status = 503
    code = "overloaded"
    retry_after_s = 10


class ModelFailed(AgentError):
    """The model broke off in mid-answer or sent what cannot be understood."""

    status = 502
    code = "upstream_error"


class ModelTimeout(AgentError):
    """The model was silent for too long."""

    status = 504
    code = "timeout"
