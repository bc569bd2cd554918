"""Recognises pages that stand where another was asked for: walls, errors, parked names, empty templates. Pure.

Sites send them with status 200. Told by their words in English and Russian, and the commonest in some other languages:
such a page is short and says little else. An article about cookies or status 404 is longer, and says more.
"""

import re
from collections.abc import Sequence
from typing import Final

# Longer texts say something of their own.
MOST_CHARS: Final = 2_500
# Of a text's characters, what must stand in sentences of one kind; less where the title says hardly anything else.
SHARE: Final = 0.6
SHARE_WITH_TITLE: Final = 0.3
SHARE_OF_TITLE: Final = 0.7
TITLE_CHARS: Final = 200
SENTENCE: Final = re.compile(r"[^\n.!?…]{1,1000}[.!?…]*")
LINE_CHARS: Final = 400


def _any_of(phrases: Sequence[str]) -> re.Pattern[str]:
    """Return a pattern for texts in small letters: to ignore their case costs three times as much."""
    return re.compile("|".join(phrases))


KINDS: Final = {
    "a page not found": _any_of((
        r"page (?:you (?:are|were) looking for|you requested|does not exist|(?:was )?not found)",
        r"page (?:can|could) ?not be found",
        r"(?:may|might|could) have been (?:moved|deleted|removed|renamed)", r"no longer (?:exists|available)",
        r"error 404|404 not found", r"(?:go back|return) to the home ?page", r"try searching",
        r"страниц\w* (?:не найдена|не существует|(?:была )?удалена|перемещена)",
        r"такой страницы (?:нет|не существует)",
        r"запрашиваем\w+ (?:вами )?страниц", r"ошибка 404", r"(?:вернуться|перейдите|вернитесь) на главную",
        r"seite (?:wurde )?nicht gefunden", r"page introuvable", r"página no encontrada", r"pagina non trovata",
        r"页面不存在|找不到页面", r"ページが見つかりません",
    )),
    "a wall of consent": _any_of((
        r"we value your privacy", r"\bpartners\b.{0,80}\b(?:store|access|process|use)\b",
        r"cookies?\b.{0,120}\b(?:accept|consent|agree|manage|preferences|choices|experience)",
        r"(?:accept|reject|manage) (?:all|cookies|choices|preferences|options)", r"manage your choices",
        r"(?:accept|consent|agree)\b.{0,120}\bcookies?", r"\bwe\b.{0,80}process personal data",
        r"файл\w* cookie", r"использу\w+ (?:файлы )?(?:cookie|куки)", r"принять все",
        r"согласи\w+ на обработку",
        r"wir verwenden cookies|alle akzeptieren", r"nous utilisons des cookies|tout accepter",
        r"usamos cookies|aceptar todo",
    )),
    "a check for robots": _any_of((
        r"checking (?:your browser|if the site connection is secure)", r"just a moment",
        r"verif(?:y|ying) (?:that )?you are (?:a )?human", r"are you a (?:robot|human)|not a robot",
        r"unusual traffic", r"security check", r"ddos protection by", r"\bray id\b", r"enable cookies and",
        r"your browser will redirect", r"please allow up to \d+ seconds", r"this process is automatic",
        r"access (?:to this page )?(?:has been |is )?denied(?! for user)", r"complete the (?:captcha|challenge)",
        r"human verification|attention required",
        r"(?:я|вы) не робот", r"проверк\w+ (?:вашего )?браузера", r"подозрительн\w+ (?:трафик|активност)",
        r"подтвердите,? что (?:вы|запросы)", r"запросы (?:с вашего устройства )?похожи на автоматические",
        r"доступ (?:временно )?(?:ограничен|запрещ[её]н|заблокирован)", r"введите (?:символы|код|текст) с картинки",
    )),
    "a page for a script": _any_of((
        r"(?:enable|turn on|requires?|needs?|without) javascript",
        r"javascript (?:is|appears to be|must be|has been) (?:disabled|enabled|required|turned off)",
        r"unsupported browser|browser is (?:not supported|out of date|outdated)", r"^loading\W*$",
        r"включите javascript", r"javascript (?:отключ[её]н|выключен|необходим)",
        r"ваш браузер (?:не поддерживается|устарел)", r"^(?:идёт )?загрузка\W*$",
    )),
    "a wall of registration": _any_of((
        r"forgot(?:ten)? (?:your )?password", r"(?:log|sign) ?in (?:to (?:continue|view|read|see)|with|required)",
        r"create (?:an )?account", r"remember me", r"don.t have an account", r"please (?:log|sign) in",
        r"you must be logged in",
        r"забыли пароль", r"войдите,? чтобы", r"(?:войти|вход) (?:через|в аккаунт|на сайт)", r"запомнить меня",
        r"необходимо (?:войти|авторизоваться|зарегистрироваться)", r"зарегистрируйтесь", r"нет аккаунта",
    )),
    "a parked name": _any_of((
        r"domain (?:name )?(?:is |may be )?(?:for sale|parked|available|expired)", r"buy this domain",
        r"related searches", r"this domain (?:has expired|was (?:recently )?registered)", r"make an offer",
        r"домен\w* (?:прода[её]тся|выставлен\w* на продажу|припаркован|зарегистрирован|освобод)",
        r"купить (?:этот )?домен", r"срок регистрации домена",
    )),
    "an error of its server": _any_of((
        r"sqlstate\[", r"stack ?trace", r"fatal error:", r"uncaught (?:\w+)?(?:error|exception)",
        r"access denied for user", r"traceback \(most recent call last\)", r"ora-\d{5}", r"syntax error, unexpected",
        r"you have an error in your sql syntax", r"\.(?:php|py|java|cs|rb):\d+|on line \d+", r"\w+exception\b",
        r"error establishing a database connection",
        r"\A(?:http )?(?:error )?(?:5\d\d)?\W*(?:internal server error|bad gateway|gateway time-?out)",
        r"\A(?:http )?(?:error )?(?:503)?\W*service (?:temporarily )?unavailable",
        r"внутренняя ошибка сервера", r"ошибка (?:соединения|подключения) (?:с|к) баз",
        r"(?:сервис|сайт) временно недоступен", r"ведутся технические работы",
    )),
    "a template without text": _any_of((
        r"lorem ipsum|dolor sit amet|consectetur adipisc|sed do eiusmod|ut labore et dolore", r"рыба-?текст",
        r"just another wordpress site|welcome to wordpress", r"your content goes here|this is a sample page",
    )),
}  # fmt: skip
LISTING: Final = _any_of((r"\Aindex of /", r"\Adirectory listing (?:for|of) /", r"\Aсодержание каталога /"))
# What a paywall says among the lines of a teaser.
PAYWALL: Final = _any_of((
    r"subscribe (?:now )?to (?:continue|keep|read|unlock)", r"unlimited (?:digital )?access",
    r"already a (?:subscriber|member)", r"to (?:continue|keep) reading",
    r"(?:this|the) (?:article|content|story) is (?:only )?(?:for|available (?:only )?to) (?:subscribers|members)",
    r"(?:оформите|купите) подписк\w+,? чтобы", r"уже (?:есть подписка|подписаны)", r"продолжение доступно",
    r"(?:материал|статья|текст) доступ\w+ (?:только )?(?:по подписке|подписчикам)",
    r"чтобы (?:читать|дочитать|прочитать) (?:дальше|до конца|полностью|статью)",
))  # fmt: skip

# One of these is in whatever that finds.
PAYWALL_WORDS: Final = ("subscri", "unlimited", "reading", "member", "подпис", "чтобы", "продолжение")


def stand_in(title: str, text: str) -> str | None:
    """Name what a page is instead of the one that was asked for; None where it seems to be that."""
    title = title[:TITLE_CHARS].strip().lower()
    if LISTING.search(title):
        return "a list of files"
    if len(text) > MOST_CHARS:
        return None
    sentences = [found[0].strip() for found in SENTENCE.finditer(text.lower())]
    whole = sum(map(len, sentences)) or 1
    for kind, pattern in KINDS.items():
        said = sum(len(sentence) for sentence in sentences if pattern.search(sentence))
        if said / whole >= (SHARE_WITH_TITLE if _entitled(pattern, title) else SHARE):
            return kind
    return None


def _entitled(pattern: re.Pattern[str], title: str) -> bool:
    return sum(len(found[0]) for found in pattern.finditer(title)) >= SHARE_OF_TITLE * max(1, len(title))


def without_paywall(text: str) -> str:
    """Return a text without the lines in which a paywall speaks."""
    small = text.lower()
    if not any(word in small for word in PAYWALL_WORDS):
        return text  # at a fraction of the cost
    return "\n".join(line for line in text.splitlines() if len(line) > LINE_CHARS or not PAYWALL.search(line.lower()))
