"""langchain-openai, plain and asynchronous, over chat completions and over responses; and langchain-deepseek."""

import asyncio

from asking import BASE, BREAKS, KEY, MODEL, QUESTION, UNKNOWN, failure, tell
from langchain_deepseek import ChatDeepSeek
from langchain_openai import ChatOpenAI
from openai import APIError

OPTIONS = {"base_url": f"{BASE}/v1", "api_key": KEY, "max_retries": 0}
chat = ChatOpenAI(model=MODEL, **OPTIONS)
newer = ChatOpenAI(model=MODEL, use_responses_api=True, **OPTIONS)
deepseek = ChatDeepSeek(model=MODEL, api_base=f"{BASE}/v1", api_key=KEY, max_retries=0)


def blocks(message):
    """Part a message into text, reasoning and addresses."""
    said = message.content_blocks
    text = [block for block in said if block["type"] == "text"]
    notes = [note for block in text for note in block.get("annotations", ())]
    return {
        "text": "".join(block["text"] for block in text),
        "reasoning": "".join(block.get("reasoning", "") for block in said if block["type"] == "reasoning"),
        "citations": [note["url"] for note in notes if note["type"] == "citation"],
    }


async def stream():
    whole, pieces = None, 0
    async for chunk in chat.astream(QUESTION):
        whole, pieces = chunk if whole is None else whole + chunk, pieces + bool(chunk.content)
    return {"text": whole.content, "pieces": pieces}


def responses_stream():
    whole = None
    for chunk in newer.stream(QUESTION):
        whole = chunk if whole is None else whole + chunk
    return blocks(whole)


def thoughts():
    return "".join(chunk.additional_kwargs.get("reasoning_content", "") for chunk in deepseek.stream(QUESTION))


def raised(call):
    try:
        call()
    except APIError as error:
        return failure(error)


async def cancelled():
    events = chat.astream(QUESTION)
    async for chunk in events:
        if chunk.content:
            break
    await events.aclose()
    return True


async def both():
    return await stream(), await cancelled()


streamed, left = asyncio.run(both())
tell(
    plain={"text": chat.invoke(QUESTION).content},
    stream=streamed,
    responses=blocks(newer.invoke(QUESTION)),
    responses_stream=responses_stream(),
    deepseek=thoughts(),
    error=raised(lambda: ChatOpenAI(model=UNKNOWN, **OPTIONS).invoke(QUESTION)),
    broken=raised(lambda: list(chat.stream(BREAKS))),
    cancelled=left,
)
