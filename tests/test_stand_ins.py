import re

import pytest

from retrieval.stand_ins import KINDS, LISTING, MOST_CHARS, PAYWALL, stand_in, without_paywall

PATTERNS = (*KINDS.values(), LISTING, PAYWALL)

PAGES = {
    "a page not found": [
        (
            "Page not found",
            "Sorry, the page you are looking for could not be found. It may have been moved or deleted.",
        ),
        ("Ошибка 404", "Запрашиваемая вами страница не найдена. Вернуться на главную."),
        ("Example", "404 Not Found"),
    ],
    "a wall of consent": [
        (
            "We value your privacy",
            "We and our 1,432 partners store and access information on a device, such as cookies.",
        ),
        ("Новости", "Мы используем файлы cookie, чтобы сайт работал лучше. Принять все."),
    ],
    "a check for robots": [
        ("Just a moment...", "Checking your browser before accessing the site. This process is automatic."),
        ("Ой!", "Подтвердите, что запросы отправляли вы, а не робот. Введите текст с картинки."),
        ("Attention Required!", "Please complete the security check to access example.org. Ray ID: 8f00"),
    ],
    "a page for a script": [
        ("App", "You need to enable JavaScript to run this app."),
        ("Приложение", "Включите JavaScript, чтобы продолжить."),
    ],
    "a wall of registration": [("Log in", "Forgot your password? Create an account. Remember me")],
    "a parked name": [
        ("bridge.example", "This domain is for sale! Buy this domain. Related searches: insurance, flights."),
        ("мост.рф", "Домен продаётся. Купить этот домен."),
    ],
    "an error of its server": [
        ("Error", "PDOException: SQLSTATE[HY000] [1045] Access denied for user 'root'@'10.0.0.5' in index.php:42"),
        ("Сайт", "Сайт временно недоступен. Ведутся технические работы."),
    ],
    "a template without text": [("Our services", "Lorem ipsum dolor sit amet, consectetur adipiscing elit.")],
    "a list of files": [("Index of /pub", "f0.zip 2020-01-01 10:00 1.2M\n" * 900)],
}
HONEST = (
    ("HTTP 503 Service Unavailable - MDN", "The HTTP 503 Service Unavailable server error response status code says "
     "that the server cannot handle the request now. Causes are a server that is down for maintenance or overloaded."),
    ("DDoS protection", "Plans begin at 20 euros a month. DDoS protection is part of each. 10 Gbit/s are filtered."),
    ("Обработка персональных данных", "Обработка персональных данных регулируется законом 152-ФЗ. Он с 2006 года."),
    ("HTTP 404", "404 is a status code of HTTP. A server sends it for an address that it does not know. Sites often "
     "send a page of their own with it, with a search field and links. Search engines drop those."),
    ("Cookies explained", "Lou Montulli invented the cookie in 1994 at Netscape. Browsers send it back with "
     "each request. Sites must ask before they set some of them: accept or reject. That is law since 2009."),
    ("The pier", "The pier is 80 metres long. It was opened in 1904 and burnt down in 1931. We use cookies."),
    ("Пирс", "Пирс построен в 1904 году. Его длина 80 метров. Проверка браузера для этого не нужна."),
)  # fmt: skip


@pytest.mark.parametrize(("kind", "page"), [(kind, page) for kind, pages in PAGES.items() for page in pages])
def test_what_stands_for_another_page_is_named(kind, page):
    assert stand_in(*page) == kind


@pytest.mark.parametrize("page", HONEST)
def test_pages_that_say_something_are_kept(page):
    assert stand_in(*page) is None


def test_a_long_page_is_never_one():
    assert stand_in("Page not found", "The page you requested does not exist. " * MOST_CHARS) is None


@pytest.mark.parametrize(
    "line",
    ["Subscribe to continue reading.", "Already a subscriber? Log in. Get unlimited digital access for 1 euro a month.",
     "Оформите подписку, чтобы читать дальше", "Материал доступен только по подписке"],
)  # fmt: skip
def test_what_a_paywall_says_is_left_out_of_a_teaser(line):
    assert without_paywall(f"The pier is 80 metres long.\n{line}\nIt burnt down.") == (
        "The pier is 80 metres long.\nIt burnt down."
    )


def test_a_long_paragraph_about_subscriptions_stays():
    text = "Newspapers ask readers to subscribe to continue reading. " * 10
    assert without_paywall(text.strip()) == text.strip()


@pytest.mark.parametrize("phrase", [phrase for pattern in PATTERNS for phrase in pattern.pattern.split("|")])
def test_phrases_are_in_small_letters(phrase):
    """Texts are made small before they are looked through."""
    assert re.sub(r"\\[A-Z]", "", phrase) == re.sub(r"\\[A-Z]", "", phrase).lower()


@pytest.mark.parametrize(("kind", "page"), [(kind, page) for kind, pages in PAGES.items() for page in pages])
def test_the_case_of_letters_tells_nothing(kind, page):
    title, text = page
    assert stand_in(title.upper(), text.upper()) == kind
