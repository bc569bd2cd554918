"""pydantic-ai, over chat completions and over responses."""

import asyncio

from asking import BASE, BREAKS, KEY, MODEL, QUESTION, UNKNOWN, failure, tell
from openai import AsyncOpenAI
from pydantic_ai import Agent
from pydantic_ai.messages import TextPart, ThinkingPart
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

provider = OpenAIProvider(openai_client=AsyncOpenAI(base_url=f"{BASE}/v1", api_key=KEY, max_retries=0))


def parts(result):
    said = [part for message in result.all_messages() for part in message.parts]
    return {
        "text": "".join(part.content for part in said if isinstance(part, TextPart)),
        "reasoning": "".join(part.content for part in said if isinstance(part, ThinkingPart)),
    }


async def streamed(agent):
    pieces = 0
    async with agent.run_stream(QUESTION) as result:
        async for _ in result.stream_text(delta=True, debounce_by=None):
            pieces += 1
    return {**parts(result), "pieces": pieces}


async def raised(agent, question):
    try:
        async with agent.run_stream(question) as result:
            async for _ in result.stream_text(delta=True):
                pass
    except Exception as error:  # whatever the package makes of it
        return failure(error)


async def cancelled(agent):
    async with agent.run_stream(QUESTION) as result:
        async for _ in result.stream_text(delta=True, debounce_by=None):
            return True


async def main():
    chat, newer = (
        Agent(OpenAIChatModel(MODEL, provider=provider)),
        Agent(OpenAIResponsesModel(MODEL, provider=provider)),
    )
    tell(
        plain=parts(await chat.run(QUESTION)),
        stream=await streamed(chat),
        responses=parts(await newer.run(QUESTION)),
        responses_stream=await streamed(newer),
        error=await raised(Agent(OpenAIChatModel(UNKNOWN, provider=provider)), QUESTION),
        broken=await raised(chat, BREAKS),
        cancelled=await cancelled(chat),
    )


asyncio.run(main())
