"""Wellread on Ray Serve: the API answers, and lets readers and embedders on other machines do what costs computing.

`serve run deploy.ray.app:app`, or a configuration file. The settings are those of the server alone, and must be in the
environment of every node.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from ray import serve
from ray.serve.handle import DeploymentHandle

from agent.build import Elsewhere, Reading, open_tools
from agent.errors import BadSettings
from agent.settings import Settings, load_settings
from agent.telemetry import log_to_stderr
from agent.tools import Tools
from deploy.ray.embedding import Embedders, remote_embedding
from deploy.ray.reading import Reader, RemoteReading
from server import create_app


def built() -> FastAPI:
    """Make the application of one replica. Raises BadSettings."""
    settings = load_settings()
    if not settings.api_keys and "host" not in settings.model_fields_set:
        raise BadSettings(
            "WELLREAD_API_KEYS: the cluster's proxy may be reached by others and no key is set. Set keys; or set "
            "WELLREAD_HOST=127.0.0.1 if only this machine reaches it."
        )
    log_to_stderr(settings.log_level.upper(), settings.log_format)
    return create_app(settings, opened=opened)


@asynccontextmanager
async def opened(settings: Settings) -> AsyncGenerator[Tools, None]:
    """Open the tools, with the readers and embedders of this application in place of those of a process alone."""
    reading = RemoteReading(_handle(Reader.name))
    embedding = await remote_embedding(_handle(Embedders.name))
    async with open_tools(settings, Elsewhere(Reading(reading, reading), embedding)) as tools:
        yield tools


def _handle(deployment: str) -> DeploymentHandle:
    return serve.get_deployment_handle(deployment, serve.get_replica_context().app_name)


@serve.deployment
@serve.ingress(built)
class Api:
    """The HTTP API. It is given the deployments that it asks, so that they are deployed with it."""

    def __init__(self, readers: DeploymentHandle, embedders: DeploymentHandle) -> None:
        self._asked = (readers, embedders)


app = Api.bind(Reader.bind(), Embedders.bind())
