"""The scripted model, watched."""

from contextlib import aclosing

from agent.models.echo import EchoModel
from agent.reason import ModelInfo


class Watched(EchoModel):
    """The scripted model that ships, with its prompts kept; `plans` are those for a schema."""

    def __init__(self, info: ModelInfo | None = None, error: Exception | None = None) -> None:
        super().__init__()
        self.prompts, self.plans = [], []
        self._info, self._error = info, error

    async def info(self):
        return self._info or await super().info()

    async def stream(self, prompt):
        (self.plans if prompt.schema else self.prompts).append(prompt)
        if self._error:
            raise self._error
        async with aclosing(super().stream(prompt) if prompt.schema else self.say(prompt)) as events:
            async for event in events:
                yield event

    def say(self, prompt):
        """Answer; what a test gives another way of."""
        return super().stream(prompt)
