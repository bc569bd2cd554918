"""Uses Open WebUI as a person does, in headless Chromium, and tells what was seen as JSON on the last line.

Runs in the environment of Open WebUI: `browse.py ADDRESS CHROMIUM SCREENSHOT QUESTION FOLLOW_UP SLOW_QUESTION`.
"""

import json
import sys

from playwright.sync_api import Page, sync_playwright

# No sandbox inside a container; and nothing that calls home.
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WAIT_MS = 60_000
# A line of progress, in words that no page has.
PROGRESS = "; reading up to "
CHIP = "button[aria-label^='View source:']"


def ask(page: Page, question: str) -> None:
    """Type a question and send it."""
    page.locator("#chat-input").click()
    page.keyboard.type(question)
    page.keyboard.press("Enter")


def answered(page: Page, answers: int) -> None:
    """Wait for the end of an answer: its row of buttons has one to ask it again."""
    page.get_by_role("button", name="Regenerate").nth(answers - 1).wait_for()


def pages_of(page: Page, chips: int) -> list[dict]:
    """Click the chips of the first answer, and tell what each is named and which page it opens."""
    opened = []
    for chip in page.locator(CHIP).all()[:chips]:
        with page.context.expect_page() as other:
            chip.click()
        opened.append({"chip": chip.inner_text(), "url": other.value.url, "title": other.value.title()})
        other.value.close()
        page.keyboard.press("Escape")
    return opened


def look(page: Page, screenshot: str, question: str, follow_up: str, slow: str) -> dict:
    """Ask, look at what is shown, ask on, and stop an answer."""
    ask(page, question)
    answered(page, 1)
    folded = page.get_by_role("button", name="Thought for").first
    thoughts = page.get_by_text(PROGRESS).count()
    folded.click()
    unfolded = page.get_by_text(PROGRESS).first
    unfolded.wait_for()
    # The row of follow-ups and the title come in their own time.
    page.get_by_role("button", name="Follow up").first.wait_for()
    seen = {
        "heading": folded.inner_text(),
        "thoughts_when_folded": thoughts,
        "thoughts_when_unfolded": unfolded.count(),
        "sources": page.get_by_role("button", name="Toggle").inner_text(),
    }
    page.screenshot(path=screenshot)
    seen["opened"] = pages_of(page, 3)
    seen["title"] = page.title()
    ask(page, follow_up)
    answered(page, 2)
    seen["chips"] = page.locator(CHIP).count()
    ask(page, slow)
    page.get_by_text("word 3").wait_for()
    page.get_by_role("button", name="Stop").click()
    answered(page, 3)
    return seen


def main(address: str, chromium: str, screenshot: str, *questions: str) -> None:
    """Open the front end and look."""
    with sync_playwright() as drivers:
        browser = drivers.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(WAIT_MS)
        page.goto(address)
        page.get_by_role("button", name="Okay, Let's Go!").click()
        try:
            seen = look(page, screenshot, *questions)
        finally:
            page.screenshot(path=screenshot + ".last.png")
        browser.close()
    sys.stdout.write("\n" + json.dumps(seen))


main(*sys.argv[1:])
