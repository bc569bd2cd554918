"""The openai package, chat completions and responses; the same code for its old and its new major version."""

from asking import BASE, BREAKS, KEY, MODEL, QUESTION, UNKNOWN, failure, tell
from openai import APIError, OpenAI

client = OpenAI(base_url=f"{BASE}/v1", api_key=KEY, max_retries=0)
ASKED = [{"role": "user", "content": QUESTION}]


def urls(annotations):
    return [annotation["url_citation"]["url"] for annotation in annotations]


def plain():
    completion = client.chat.completions.create(model=MODEL, messages=ASKED)
    message = completion.choices[0].message
    return {
        "text": message.content,
        "reasoning": message.reasoning_content,
        "citations": urls(annotation.model_dump() for annotation in message.annotations),
        "usage": completion.usage.total_tokens,
    }


def stream():
    text, reasoning, citations, pieces, usage = "", "", [], 0, 0
    options = {"include_usage": True}
    for chunk in client.chat.completions.create(model=MODEL, messages=ASKED, stream=True, stream_options=options):
        usage = chunk.usage.total_tokens if chunk.usage else usage
        for choice in chunk.choices:
            text += choice.delta.content or ""
            reasoning += getattr(choice.delta, "reasoning_content", None) or ""
            citations += urls(getattr(choice.delta, "annotations", None) or [])
            pieces += bool(choice.delta.content)
    return {"text": text, "reasoning": reasoning, "citations": citations, "pieces": pieces, "usage": usage}


def helper():
    with client.chat.completions.stream(model=MODEL, messages=ASKED) as events:
        return events.get_final_completion().choices[0].message.content


def responses():
    text, reasoning, citations, kinds = "", "", [], []
    with client.responses.stream(model=MODEL, input=QUESTION) as events:
        for event in events:
            kinds.append(event.type)
            text += event.delta if event.type == "response.output_text.delta" else ""
            reasoning += event.delta if event.type == "response.reasoning_summary_text.delta" else ""
        final = events.get_final_response()
    for item in final.output:
        if item.type == "message":
            citations = [annotation.url for annotation in item.content[0].annotations]
    whole = client.responses.create(model=MODEL, input=QUESTION).output_text
    return {"text": text, "final": final.output_text, "whole": whole, "reasoning": reasoning, "citations": citations}


def error():
    try:
        client.chat.completions.create(model=UNKNOWN, messages=ASKED)
    except APIError as raised:
        return failure(raised)


def broken():
    try:
        for _ in client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": BREAKS}], stream=True
        ):
            pass
    except APIError as raised:
        return failure(raised)


def cancelled():
    events = client.chat.completions.create(model=MODEL, messages=ASKED, stream=True)
    for chunk in events:
        if chunk.choices[0].delta.content:
            break
    events.close()
    return True


tell(
    plain=plain(),
    stream=stream(),
    helper=helper(),
    responses=responses(),
    error=error(),
    broken=broken(),
    cancelled=cancelled(),
)
