"""Tells the requests that chat front ends send on the side - titles, tags, follow-ups - from what people ask. Pure.

Such a request is answered short and searches nothing. The markers are the beginnings of the templates that ship with
the front ends, as of 2026-11; users may edit those, so more can be set.
"""

import re
from collections.abc import Sequence

from agent.types import Message

# What a user's turn begins with: Open WebUI, LibreChat, NextChat, Chatbox, Jan, Cherry Studio.
USER_MARKERS = (
    "### Task:\nYou are an autocompletion system.",
    "Your task is to reflect the speaker's likely facial expression",
    "You have been provided with a set of responses from various models",
    "Provide a concise, 5-word-or-less title for the conversation",
    "Analyze this conversation and provide:\n1. The detected language",
    "Please generate a four to five word title summarizing our conversation",
    "使用四到五个字直接返回这句话的简要主题",
    "Based on the chat history, give this conversation a name.",
    "Summarize in a 10-word Title. Give the title only.",
)
# What a system turn begins with: NextChat, LobeChat, Chatbox, big-AGI.
SYSTEM_MARKERS = (
    "Summarize the discussion briefly in 200 words or less",
    "简要总结一下对话内容",
    "You are a professional conversation summarizer. Generate a concise title",
    "As a professional web researcher who can access latest data",
    "You are an AI conversation titles assistant",
)
# Cherry Studio puts these into either.
MARKERS = (
    "You are an assistant skilled in conversation. You need to summarize the user's conversation into a title",
    "You are an AI question rephraser.",
    "You are a translation expert. Your only task is to translate text enclosed with <translate_input>",
    "Your task is to precisely identify the language used",
)
# Open WebUI: all its tasks over a chat hold the history; its question over documents does not, and is a real one.
TASK, HISTORY = "### Task:\n", "<chat_history>"
DOCUMENTS = "### Task:\nRespond to the user query using the provided context"
# Open WebUI's choice of tools.
TOOLS = ("Available Tools:", "Your task is to choose and return the correct tool(s)")
# What Open WebUI calls them in the header X-Task, where a connection sends it.
TASKS = frozenset(
    {
        "title_generation",
        "tags_generation",
        "follow_up_generation",
        "query_generation",
        "emoji_generation",
        "image_prompt_generation",
        "autocomplete_generation",
        "function_calling",
        "moa_response_generation",
    }
)
SHORT_ANSWER_TOKENS = 64
SHORT_CHARS = 400
# Not "this chat protocol" or "this discussion paper": no noun follows.
TALK = (
    r"(?:conversation|chat|dialog(?:ue)?|discussion)\b"
    r"(?!\s+(?!(?:in|into|with|as|so|for|using|by|and|please|now|briefly|to|that|above|between|history|a|an|the)\b)\w)"
)
WANTED = r"(?:titles?|summar(?:y|i[sz]e)|name|tags?)"
TALK_RU = r"(?:эт\w+|наш\w+) (?:разговор|бесед|диалог|чат|переписк|обсужден)\w*"
WANTED_RU = r"(?:заголов\w+|назван\w+|назови\w*|озаглав\w+|резюм\w+|тем[ау]|подведи итог|кратко перескаж\w+)"
CONVERSATION = re.compile(
    rf"\b{WANTED}\b.{{0,80}}\b(?:this|our) {TALK}\b|\b(?:this|our) {TALK}\b.{{0,80}}\b{WANTED}\b"
    rf"|\b{WANTED_RU}\b.{{0,80}}\b{TALK_RU}",
    re.IGNORECASE | re.DOTALL,
)
CONTEXT_END = "</context>"
USER_QUERY = re.compile(r"<user_query>(.*?)</user_query>", re.DOTALL)


def is_side_request(
    messages: Sequence[Message], markers: Sequence[str] = (), *, stream: bool = True, max_tokens: int | None = None
) -> bool:
    """Tell whether a conversation ends in a side request. `markers`: further beginnings of turns that mark one."""
    if not stream and max_tokens is not None and max_tokens <= SHORT_ANSWER_TOKENS:
        return True
    system = [message.content.lstrip() for message in messages if message.role == "system"]
    if any(_marked_system(text, markers) for text in system):
        return True
    return messages[-1].role == "user" and _marked_user(messages[-1].content.lstrip(), markers)


def _marked_user(text: str, markers: Sequence[str]) -> bool:
    if text.startswith(DOCUMENTS):
        return False
    if text.startswith(TASK) and HISTORY in text:
        return True
    if text.startswith((*USER_MARKERS, *MARKERS, *markers)):
        return True
    return len(text) < SHORT_CHARS and CONVERSATION.search(text) is not None


def _marked_system(text: str, markers: Sequence[str]) -> bool:
    head, task = TOOLS
    return text.startswith((*SYSTEM_MARKERS, *MARKERS, *markers)) or (text.startswith(head) and task in text)


def asked(text: str) -> str:
    """Return what a user's turn asks: of Open WebUI's question over documents only the question itself."""
    text = text.strip()
    if not text.startswith(DOCUMENTS):
        return text
    query = USER_QUERY.search(text)
    tail = query[1] if query else text.rpartition(CONTEXT_END)[2]
    return tail.strip() or text
