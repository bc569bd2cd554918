import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import html

from retrieval.blocks import blocks
from retrieval.hidden import DECLARATIONS, STYLE_CHARS, Hidden

SECRET = "an order to the model"
HIDDEN = (
    '<div style="display:none">{}</div>',
    '<div style="DISPLAY : none !important">{}</div>',
    '<div style="visibility: hidden">{}</div>',
    "<div hidden>{}</div>",
    '<div aria-hidden="true">{}</div>',
    '<p style="opacity:0">{}</p>',
    '<p style="opacity: 0.0">{}</p>',
    '<p style="font-size:0px">{}</p>',
    '<p style="font-size:1px">{}</p>',
    '<p style="font-size:0.05em">{}</p>',
    '<p style="position:absolute;left:-9999px">{}</p>',
    '<p style="text-indent:-100em">{}</p>',
    '<p style="transform:translateX(-10000px)">{}</p>',
    '<p style="transform: scale(0)">{}</p>',
    '<p style="width:1px;height:1px;overflow:hidden">{}</p>',
    '<p style="max-height:0;overflow:hidden">{}</p>',
    '<p style="clip-path:inset(50%)">{}</p>',
    '<p style="position:absolute;clip:rect(0 0 0 0)">{}</p>',
    '<p style="color:transparent">{}</p>',
    '<p style="color:rgba(0,0,0,0)">{}</p>',
    '<p style="color:#fff;background-color:#ffffff">{}</p>',
    '<p style="color:white">{}</p>',
    '<div style="background:#111"><p style="color:#0f0f0f">{}</p></div>',
    '<table><tr bgcolor="#000000"><td style="color:black">{}</td></tr></table>',
    "<style>.x{{display:none}}</style><p class='a x'>{}</p>",
    "<style>/* a */ p.x , #y {{ opacity: 0 }}</style><p id=y>{}</p>",
    "<style>.x{{color:transparent}}</style><div class=x><p>{}</p></div>",
    '<div style="display: NONE ! important">{}</div>',
    '<div style="display:none!important;display:block">{}</div>',
    '<div style="font-size:0">{}<span style="font-size:16px">Other.</span></div>',
    '<div style="font-size:0"><p>{}</p><p style="font-size:16px">Other.</p></div>',
    '<div style="visibility:hidden"><p>{}</p><p style="visibility:hidden">x</p></div>',
    "<template><p>{}</p></template>",
    "<noscript>{}</noscript>",
)
SEEN = (
    "<p>{}</p>",
    '<p style="display:block;opacity:.5;font-size:12px">{}</p>',
    '<p style="left:-20px;text-indent:-2em">{}</p>',
    '<div style="background:#222"><p style="color:white">{}</p></div>',
    '<div class="dark"><p style="color:#fff">{}</p></div>',
    '<div style="background:url(night.jpg)"><p style="color:#fff">{}</p></div>',
    '<p aria-hidden="false">{}</p>',
    "<style>.x{{display:none}} .x{{display:block}}</style><p class=x>{}</p>",
    "<style>@media print{{.x{{display:none}}}}</style><p class=x>{}</p>",
    "<style>.menu .x{{display:none}}</style><p class=x>{}</p>",
    "<style>div.x{{display:none}}</style><p class=x>{}</p>",
    '<body style="visibility:hidden"><p>{}</p></body>',
    "<style>.t{{display:none}}.t.active{{display:block}}</style><div class='t active'>{}</div>",
    "<style>.c{{display:none}}@media (min-width:600px){{.c{{display:block}}}}</style><p class=c>{}</p>",
    "<style>.c{{display:none}}</style><div class=c style='display:block'>{}</div>",
    "<style>.c{{opacity:0}}.loaded .c{{opacity:1}}</style><p class=c>{}</p>",
    '<div style="font-size:0"> <span style="font-size:16px">{}</span></div>',
    '<div style="visibility:hidden"><p style="visibility:visible">{}</p></div>',
    '<h1 style="background-clip:text;color:transparent">{}</h1>',
    "<style>body{{background:#000}}</style><p style='color:#fff'>{}</p>",
    '<p style="opacity:0;animation:fade 1s forwards">{}</p>',
    '<p style="overflow:hidden;width:1%">{}</p>',
    '<p style="font-size:1vmin">{}</p>',
    "<details><summary>More</summary><p>{}</p></details>",
)


def text(page):
    tree = html.document_fromstring(f"<html><body><p>Seen.</p>{page.format(SECRET)}</body></html>")
    return "\n".join(block.text for block in blocks(tree))


@pytest.mark.parametrize("page", HIDDEN)
def test_what_no_reader_sees_is_not_read(page):
    assert SECRET not in text(page)
    assert text(page).startswith("Seen.")


@pytest.mark.parametrize("page", SEEN)
def test_what_a_reader_sees_is_read(page):
    assert SECRET in text(page)


@given(st.text(alphabet="ab.#{};:@,/*()%-0123456789 \n", max_size=300), st.text(alphabet="a:;-0%px()#., ", max_size=80))
def test_any_style_can_be_read(sheet, style):
    tree = html.document_fromstring("<html><style></style><body><p class='a b'>x</p></body></html>")
    tree.find(".//style").text = sheet
    tree.find(".//p").set("style", style)
    assert Hidden(tree)(tree.find(".//p")) in (True, False)


@pytest.mark.parametrize("unit", ["@a{", "@", "a{", "/*", ".a,", "a:b;", "}", ".a{display:none}", "translate("])
def test_long_styles_cost_no_more_than_their_length(unit):
    tree = html.document_fromstring(f"<html><style>{unit * (STYLE_CHARS // len(unit))}</style><p>x</p></html>")
    tree.find(".//p").set("style", unit * STYLE_CHARS)
    assert Hidden(tree)(tree.find(".//p")) is False
    tree.find(".//p").set("style", "a:b;" * DECLARATIONS + "display:none")
    assert Hidden(tree)(tree.find(".//p")) is False
