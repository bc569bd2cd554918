"""Asks a deployment, and once more when the machine that worked on it was lost."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from ray.exceptions import RayActorError
from ray.serve.handle import DeploymentResponse

T = TypeVar("T")

# How often one piece of work is begun: each time another machine has it.
ATTEMPTS = 3


class Lost(Exception):
    """The work was begun as often as it may be, and each machine was lost."""


async def asked(ask: Callable[[], "DeploymentResponse[T]"]) -> T:
    """Wait for a reply without holding the event loop; who stops waiting stops the work. Raises Lost."""
    for _ in range(ATTEMPTS):
        response = ask()
        try:
            return await response
        except RayActorError:
            continue
        except asyncio.CancelledError:
            response.cancel()
            raise
    raise Lost


def asked_from_thread(ask: Callable[[], "DeploymentResponse[T]"], seconds: float) -> T:
    """Wait for a reply in this thread. Raises Lost, or TimeoutError."""
    for _ in range(ATTEMPTS):
        try:
            return ask().result(timeout_s=seconds)
        except RayActorError:
            continue
    raise Lost
