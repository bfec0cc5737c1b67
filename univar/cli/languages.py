"""Languages on the command line."""

from __future__ import annotations

from univar.errors import DataError, UsageError


def parse_languages(text: str | None) -> tuple[str, ...]:
    """`eng,zh` as ("eng", "zho"); nothing for no option."""
    from univar.schema import normalize_language

    try:
        codes = [normalize_language(code) for code in (text or "").split(",") if code.strip()]
    except DataError as error:
        raise UsageError(str(error)) from None
    return tuple(dict.fromkeys(codes))
