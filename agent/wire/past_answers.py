"""Cleans earlier answers of ours that clients send back: no thoughts, and marks without their links. Pure."""

import re

THOUGHT = re.compile(r"<think>.*?</think>\s*", re.DOTALL)
LINK_MARK = re.compile(r"\[\[(\d{1,4})\]\]\((?:[^()\s]|\([^()\s]*\))*\)")


def past_answer(text: str) -> str:
    """Clean an earlier answer of ours."""
    return LINK_MARK.sub(r"[\1]", _without_thoughts(text))


def _without_thoughts(text: str) -> str:
    """Drop thoughts, also one cut off. The pattern sees no opening without its close, so its time stays linear."""
    closed = text.rfind("</think>") + len("</think>") if "</think>" in text else 0
    rest = text[closed:].lstrip()
    return THOUGHT.sub("", text[:closed]) + ("" if rest.startswith("<think>") else rest)
