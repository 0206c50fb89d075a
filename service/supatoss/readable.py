"""Amounts and data from outside as people read them, in the log, the command line and the page. Pure."""

from decimal import Decimal, InvalidOperation

_SYMBOLS = {"KRW": "₩", "USD": "US$", "JPY": "JP¥", "EUR": "€", "CNY": "CN¥"}
_CENTS = {"USD": 2, "EUR": 2, "CNY": 2}


def money(amount: object, currency: object = "KRW") -> str:
    """An amount with its currency: ₩37,400, US$12.34. A dash if there is none."""
    if amount is None or isinstance(amount, bool):
        return "–"
    try:
        value = Decimal(str(amount))
    except InvalidOperation:
        return str(amount)
    if not value.is_finite():
        return str(amount)
    code = str(currency or "KRW")
    # Unexpected cents are shown, never rounded away.
    written = -min(int(value.normalize().as_tuple().exponent), 0)
    text = f"{abs(value):,.{max(written, _CENTS.get(code, 0))}f}"
    sign = "−" if value < 0 else ""
    return f"{sign}{_SYMBOLS[code]}{text}" if code in _SYMBOLS else f"{sign}{text} {code}"


def plain(value: object) -> str:
    """Outside data as one line that cannot control a terminal: unprintable characters are escaped."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in str(value))
