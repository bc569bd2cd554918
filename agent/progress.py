"""What people read while pages are read, in the language of the question: Russian for Russian, else English."""

from collections.abc import Iterable, Sequence

from agent.types import Coverage, Disagreement, Plan, Reading

QUERY_CHARS = 80
REASONS = {
    "timeout": ("no answer in time", "нет ответа вовремя"),
    "blocked_address": ("address not allowed", "адрес не разрешён"),
    "forbidden": ("access refused", "доступ закрыт"),
    "rate_limited": ("site asks to wait", "сайт просит подождать"),
    "not_found": ("not found", "не найдено"),
    "server_error": ("site error", "ошибка сайта"),
    "network_error": ("connection failed", "ошибка связи"),
    "too_large": ("too large", "слишком велико"),
    "wrong_type": ("not a text page", "не текстовая страница"),
    "bad_encoding": ("unreadable encoding", "непонятная кодировка"),
    "robots": ("robots.txt forbids", "запрещено robots.txt"),
    "empty": ("no text", "нет текста"),
    "duplicate": ("duplicate", "повтор"),
    "parser_limit": ("too hard to parse", "слишком сложная разметка"),
    "late": ("not needed any more", "уже не нужна"),
}


def searching(plan: Plan) -> str:
    """Say what is searched."""
    queries = _listed(query.text for query in plan.queries)
    return _line(plan.language, f"Searching the web: {queries}", f"Ищу в сети: {queries}")


def searching_further(plan: Plan) -> str:
    """Say what else is searched: what was planned, and what the first results made worth it."""
    asked = plan.queries[0].text if plan.queries else ""
    names = _listed(query.text.removesuffix(asked).strip() or query.text for query in plan.further)
    return _line(plan.language, f"Searching further: {names}", f"Ищу дальше: {names}")


def another_round(language: str, missing: str, queries: Sequence[str]) -> str:
    """Say what is missing after a round, and what is searched for it."""
    why = f" ({missing})" if missing else ""
    listed = _listed(queries)
    return _line(language, f"Still missing{why}; searching: {listed}", f"Ещё не найдено{why}; ищу: {listed}")


def found(plan: Plan, hits: int, wanted: int) -> str:
    """Say how many pages were found and how many will be read."""
    wanted = min(hits, wanted)
    return _line(
        plan.language,
        f"Found {hits} pages; reading up to {wanted}.",
        f"Найдено страниц: {hits}; читаю до {wanted}.",
    )


def reading(plan: Plan, read: int, title: str) -> str:
    """Say how many pages have been read, and which came last."""
    return _line(
        plan.language, f"Read {read} pages, the last one: {title}", f"Прочитано страниц: {read}, последняя: {title}"
    )


def covered(language: str, coverage: Coverage) -> str:
    """Say how many pages were read and why the others were not."""
    skipped = _skipped(language, coverage)
    return _line(
        language,
        f"Read {coverage.read} of {coverage.asked} pages asked for{f' (not read: {skipped})' if skipped else ''}.",
        f"Прочитано страниц: {coverage.read} из {coverage.asked}{f' (не прочитаны: {skipped})' if skipped else ''}.",
    )


def packed(reading: Reading) -> str:
    """Say what the model is given."""
    sources, passages = len(reading.context.sources), sum(len(source.passages) for source in reading.context.sources)
    return _line(
        reading.plan.language,
        f"Ranked {len(reading.ranked)} passages; the model gets the best {passages}, from {sources} pages.\n",
        f"Отобрано отрывков: {len(reading.ranked)}; модель получает лучшие {passages} с {sources} страниц.\n",
    )


def nothing_read(reading: Reading) -> str:
    """Make the whole answer when no page could be read: no model is asked to invent one."""
    coverage, language = reading.coverage, reading.plan.language
    skipped = _skipped(language, coverage) or ("none was found" if language != "ru" else "ничего не найдено")
    return _line(
        language,
        f"I could not read a single page for this question, so I cannot answer it from sources. "
        f"Searched for: {_sought(reading.plan)}. "
        f"Found: {coverage.found}, asked for: {coverage.asked}, not read: {skipped}.",
        f"Для этого вопроса не удалось прочитать ни одной страницы, поэтому ответить по источникам я не могу. "
        f"Искал: {_sought(reading.plan)}. "
        f"Найдено: {coverage.found}, запрошено: {coverage.asked}, не прочитаны: {skipped}.",
    ).strip()


def unrelated(reading: Reading) -> str:
    """Make the whole answer when nothing that was read has to do with the question."""
    read, nearest = reading.coverage.read, reading.context.sources[0].document
    return _line(
        reading.plan.language,
        f"None of the {read} pages that were read has to do with this question, so I cannot answer it from them. "
        f"Searched for: {_sought(reading.plan)}. The nearest was “{nearest.title}” ({nearest.site}).",
        f"Ни одна из прочитанных страниц ({read}) не относится к этому вопросу, поэтому ответить по ним я не могу. "
        f"Искал: {_sought(reading.plan)}. Ближе всего оказалась «{nearest.title}» ({nearest.site}).",
    ).strip()


def unwritten(language: str) -> str:
    """Make the whole answer when the model thought but wrote none."""
    return _line(
        language,
        "The model thought about this but wrote no answer. Ask again, or ask a smaller question.",
        "Модель подумала над вопросом, но ответа не написала. Спросите ещё раз или задайте вопрос поуже.",
    ).strip()


def out_of_time(language: str) -> str:
    """Say at the end of an answer that the clock ended the thinking before it."""
    return _note(
        language,
        "The time for this answer ran out, so it was written from what was read without thinking it through.",
        "Время на этот ответ вышло, поэтому он написан по прочитанному, без полного обдумывания.",
    )


def unproven(language: str) -> str:
    """Say at the end of an answer that no page says what it says."""
    return _note(
        language,
        "None of the pages that were read could be found to say this. Check it before you rely on it.",
        "Ни на одной из прочитанных страниц это не нашлось. Проверьте, прежде чем на это полагаться.",
    )


def disagreement(language: str, found: Disagreement) -> str:
    """Say after an answer that has one of two values what speaks for each, with marks as a model writes them."""
    sides = (found.one, found.other)
    english = "\n".join(f"- “{each.quote}” [{each.number}] (sites: {each.sites})" for each in sides)
    russian = "\n".join(f"- «{each.quote}» [{each.number}] (сайтов: {each.sites})" for each in sides)
    return _note(language, f"The pages disagree:\n{english}", f"Страницы расходятся:\n{russian}")


def anew(language: str) -> str:
    """Say in mid-answer that the model left its language, and that the answer follows once more."""
    return (
        _note(
            language,
            "The model slipped into another language. Once more:",
            "Модель перешла на другой язык. Ещё раз:",
        )
        + "\n\n"
    )


def _listed(texts: Iterable[str]) -> str:
    """List queries, each cut to a length that can be read in passing."""
    return " · ".join(text if len(text) <= QUERY_CHARS else f"{text[:QUERY_CHARS].rstrip()}…" for text in texts)


def _sought(plan: Plan) -> str:
    """List what was searched, but for names before the whole question."""
    texts = dict.fromkeys([plan.question, *plan.beside_question, *plan.addresses])
    return "; ".join(f"“{text.rstrip('.')}”" for text in texts)


def _skipped(language: str, coverage: Coverage) -> str:
    rows = sorted(coverage.skipped.items(), key=lambda row: -row[1])
    return ", ".join(f"{REASONS[reason][language == 'ru']}: {count}" for reason, count in rows)


def _note(language: str, english: str, russian: str) -> str:
    """Write a paragraph of its own, behind what the model said."""
    return "\n\n" + _line(language, english, russian).strip()


def _line(language: str, english: str, russian: str) -> str:
    return (russian if language == "ru" else english) + "\n"
