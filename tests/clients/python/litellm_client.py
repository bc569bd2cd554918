"""litellm, as a library, over chat completions and over responses."""

import litellm
from asking import BASE, BREAKS, KEY, MODEL, QUESTION, UNKNOWN, failure, tell

OPTIONS = {"api_base": f"{BASE}/v1", "api_key": KEY, "num_retries": 0, "max_retries": 0}
ASKED = [{"role": "user", "content": QUESTION}]


def plain():
    message = litellm.completion(model=f"openai/{MODEL}", messages=ASKED, **OPTIONS).choices[0].message
    notes = message.get("annotations") or []
    return {
        "text": message.content,
        "reasoning": message.get("reasoning_content"),
        "citations": [note["url_citation"]["url"] for note in notes],
    }


def stream():
    text, reasoning, pieces = "", "", 0
    for chunk in litellm.completion(model=f"openai/{MODEL}", messages=ASKED, stream=True, **OPTIONS):
        delta = chunk.choices[0].delta
        text, pieces = text + (delta.content or ""), pieces + bool(delta.content)
        reasoning += delta.get("reasoning_content") or ""
    return {"text": text, "reasoning": reasoning, "pieces": pieces}


def responses():
    response = litellm.responses(model=f"openai/{MODEL}", input=QUESTION, **OPTIONS)
    return {"text": "".join(part.text for item in response.output if item.type == "message" for part in item.content)}


def raised(model, question, *, streamed):
    try:
        asked = [{"role": "user", "content": question}]
        reply = litellm.completion(model=f"openai/{model}", messages=asked, stream=streamed, **OPTIONS)
        list(reply) if streamed else reply
    except Exception as error:  # its own classes, one for each kind
        return failure(error)


def cancelled():
    events = litellm.completion(model=f"openai/{MODEL}", messages=ASKED, stream=True, **OPTIONS)
    for chunk in events:
        if chunk.choices[0].delta.content:
            break
    events.completion_stream.close()
    return True


tell(
    plain=plain(),
    stream=stream(),
    responses=responses(),
    error=raised(UNKNOWN, QUESTION, streamed=False),
    broken=raised(MODEL, BREAKS, streamed=True),
    cancelled=cancelled(),
)
