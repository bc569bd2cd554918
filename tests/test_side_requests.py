import pytest

from agent.side_requests import asked, is_side_request
from agent.types import Message

HISTORY = "<chat_history>\nUSER: How tall is the Eiffel Tower?\nASSISTANT: 330 m.\n</chat_history>"


def user(text: str) -> Message:
    return Message("user", text)


def system(text: str) -> Message:
    return Message("system", text)


TURNS = (user("How tall is the Eiffel Tower?"), Message("assistant", "330 m [1]."))
# One of each template that the front ends send, as they begin.
SIDE = {
    "owui title": (
        user(
            f"### Task:\nGenerate a concise title summarizing the chat history.\n### Guidelines:\n- Short.\n{HISTORY}"
        ),
    ),
    "owui tags": (user(f"### Task:\nGenerate 1-3 broad tags categorizing the main themes of it\n{HISTORY}"),),
    "owui follow-ups": (
        user(f"### Task:\nPredict 3-5 useful messages this user might naturally send next\n{HISTORY}"),
    ),
    "owui queries": (
        user(
            "### Task:\nAnalyze the chat history to determine the necessity of generating search queries\n"
            f"### Chat History:\n{HISTORY}"
        ),
    ),
    "owui image": (user(f"### Task:\nGenerate a detailed prompt for am image generation task\n{HISTORY}"),),
    "owui autocomplete": (user("### Task:\nYou are an autocompletion system. Continue the text in `<text>`"),),
    "owui emoji": (user("Your task is to reflect the speaker's likely facial expression through a fitting emoji."),),
    "owui many answers": (
        user("You have been provided with a set of responses from various models to the latest user query: "),
    ),
    "owui tools": (
        system('Available Tools: [{"name": "clock"}]\n\nYour task is to choose and return the correct tool(s) from it'),
        user("Query: How tall is the Eiffel Tower?"),
    ),
    "librechat title": (
        user("Provide a concise, 5-word-or-less title for the conversation, using title case conventions."),
    ),
    "librechat title and language": (
        user("Analyze this conversation and provide:\n1. The detected language of it\n2. A concise title"),
    ),
    "nextchat title": (
        *TURNS,
        user("Please generate a four to five word title summarizing our conversation without any lead-in"),
    ),
    "nextchat title, Chinese": (*TURNS, user("使用四到五个字直接返回这句话的简要主题，不要解释")),
    "nextchat memory": (*TURNS, system("Summarize the discussion briefly in 200 words or less to use as a prompt")),
    "nextchat memory, Chinese": (*TURNS, system("简要总结一下对话内容，用作后续的上下文提示 prompt")),
    "lobechat title": (
        system("You are a professional conversation summarizer. Generate a concise title that captures it"),
        user("user: How tall is the Eiffel Tower?"),
    ),
    "chatbox title": (user("Based on the chat history, give this conversation a name.\nKeep it short. The name is:"),),
    "chatbox search": (
        system("As a professional web researcher who can access latest data, your primary objective is"),
        user("How tall is the Eiffel Tower?"),
    ),
    "big-agi title": (
        system("You are an AI conversation titles assistant who specializes in creating titles"),
        user("How tall is the Eiffel Tower?"),
    ),
    "cherry title": (
        system(
            "You are an assistant skilled in conversation. You need to summarize the user's conversation into a title "
            "within 10 words"
        ),
        user("How tall is the Eiffel Tower?"),
    ),
    "cherry rewriting": (user("You are an AI question rephraser. Your role is to rephrase follow-up queries"),),
    "cherry translation": (
        user("You are a translation expert. Your only task is to translate text enclosed with <translate_input> from"),
    ),
    "cherry language": (user("Your task is to precisely identify the language used in the user's input text"),),
    "jan title": (user("Summarize in a 10-word Title. Give the title only. Here is the message: How tall is it?"),),
    "in one's own words": (*TURNS, user("Give this conversation a short title, please.")),
    "in one's own words, Russian": (*TURNS, user("Придумай заголовок для этого разговора")),
}
REAL = (
    "How tall is the Eiffel Tower?",
    "What is the title of the last book by Stanislaw Lem?",
    "What is the name of the chat app that Discord's founders made first?",
    "Summarize the plot of Solaris.",
    "What is the summary of this chat protocol RFC?",
    "Name this chat client library for XMPP in Python",
    "What is the title of this discussion paper on functools by Beazley?",
    "What were the tasks of the Apollo 11 crew?",
    "### Task: what does it mean in Markdown?",
    "Кто придумал название фильма «Разговор»?",
    "Назови самую высокую башню в Париже",
    "Какая тема обсуждалась на саммите?",
    "总结一下人工智能的历史",
)
DOCUMENTS = (
    "### Task:\nRespond to the user query using the provided context, incorporating inline citations.\n\n"
    "<context>\n<source id=1>The tower. <chat_history> was here.</source>\n</context>\n"
)


@pytest.mark.parametrize("name", SIDE)
def test_what_front_ends_send_on_the_side_is_known(name):
    assert is_side_request(SIDE[name])


@pytest.mark.parametrize("text", REAL)
def test_a_question_is_none(text):
    assert not is_side_request((user(text),))
    assert not is_side_request((system("You are a helpful assistant."), *TURNS, user(text)), stream=False)


def test_a_question_over_documents_is_a_question_and_is_asked_alone():
    for text in (f"{DOCUMENTS}\nHow tall is it?", f"{DOCUMENTS}\n<user_query>\nHow tall is it?\n</user_query>\n"):
        assert not is_side_request((user(text),))
        assert asked(text) == "How tall is it?"


@pytest.mark.parametrize("text", ["How tall is it?", f"{DOCUMENTS}\n", "<context>a</context> b", "a </context> b"])
def test_other_questions_are_asked_whole(text):
    assert asked(f" {text} ") == text.strip()


def test_a_very_short_answer_in_one_piece_is_no_research():
    asked_for = (user("How tall is the Eiffel Tower?"),)
    assert is_side_request(asked_for, stream=False, max_tokens=64)
    assert not is_side_request(asked_for, stream=False, max_tokens=65)
    assert not is_side_request(asked_for, stream=True, max_tokens=64)


def test_markers_can_be_added():
    text = "Benenne diese Unterhaltung in fünf Wörtern."
    assert not is_side_request((user(text),))
    assert is_side_request((user(f"\n{text}"),), ("Benenne diese",))
    assert is_side_request((system(text), user("Hallo")), ("Benenne diese",))
