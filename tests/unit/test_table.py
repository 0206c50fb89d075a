"""Tables on terminals of every width, and in pipes."""

import pytest

from supatoss.cli.table import Column, Cut, cut, display_width, lines

COLUMNS = (
    Column("event", Cut.NEVER),
    Column("type", shorten=lambda text: text.removesuffix("_STATUS_CHANGED")),
    Column("order", Cut.MIDDLE, least=10),
    Column("amount", Cut.NEVER, is_number=True),
    Column("name", drop=1),
    Column("key", Cut.NEVER, drop=2),
)
ROWS = (
    ("7c4d91ab", "PAYMENT_STATUS_CHANGED", "주문-2026-000000001", "₩9,900", "토스 티셔츠 외 2건", "k" * 30),
    ("0a5f527b", "BILLING_DELETED", "", "", "", ""),
)


def shown(width: int | None) -> list[str]:
    return lines(COLUMNS, ROWS, width, has_style=False)


@pytest.mark.parametrize("width", range(50, 200))
def test_every_row_is_one_line_that_fits(width: int) -> None:
    assert len(shown(width)) == 3
    assert max(map(display_width, shown(width))) <= width


def test_columns_line_up_although_korean_letters_are_wide() -> None:
    head, first, second = shown(120)
    assert display_width(first[: first.index("₩9,900")]) == head.index("amount")
    assert second == "0a5f527b  BILLING_DELETED"


def test_a_key_is_whole_or_left_out() -> None:
    for width in range(50, 200):
        assert ("k" * 30 in shown(width)[1]) == ("key" in shown(width)[0].split())
    assert "k" * 30 in shown(130)[1]


def test_short_forms_come_before_cuts() -> None:
    assert "PAYMENT_STATUS_CHANGED" in shown(100)[1]
    assert shown(50)[1].split()[1] == "PAYMENT"


def test_a_pipe_gets_everything_between_tabs() -> None:
    assert shown(None) == ["\t".join(cells) for cells in (["event", "type", "order", "amount", "name", "key"], *ROWS)]


@pytest.mark.parametrize(
    ("text", "width", "where", "expected"),
    [
        ("order-123456", 8, Cut.END, "order-1…"),
        ("order-123456", 8, Cut.MIDDLE, "orde…456"),
        ("주문번호입니다", 7, Cut.END, "주문번…"),
        ("주문번호입니다", 8, Cut.MIDDLE, "주문…다"),
        ("short", 8, Cut.END, "short"),
        ("never cut", 3, Cut.NEVER, "never cut"),
    ],
)
def test_cuts(text: str, width: int, where: Cut, expected: str) -> None:
    assert cut(text, width, where) == expected
    assert where is Cut.NEVER or display_width(cut(text, width, where)) <= width


def test_letters_that_combine_take_no_room() -> None:
    assert display_width("e\u0301") == 1
    assert display_width("한글 abc") == 8


def test_styles_do_not_change_the_widths() -> None:
    columns = (Column("a", style=lambda _cell: {"fg": "red"}), Column("b"))
    plain, styled = (lines(columns, [("x", "y")], 80, has_style=has_style)[1] for has_style in (False, True))
    assert plain == "x  y"
    assert styled == "\x1b[31mx\x1b[0m  y"
