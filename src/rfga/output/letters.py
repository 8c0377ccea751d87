"""Letters of names that nobody sees, or that change how everything behind them reads."""

from __future__ import annotations

# Those that turn the direction of writing, and the controls beyond ASCII.
_TURNING = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A), *range(0x80, 0xA0))
_CODES = {code: f"\\u{code:04x}" for code in (*range(0x20), 0x7F, *_TURNING) if chr(code) not in "\t\n\r"}


def legible(text: str) -> str:
    r"""The text with such letters as their codes, so that no name looks like another or steers a terminal.

    Example:
        >>> print(legible("cat\u202egpj.exe"), legible("\x1b[2Jdog"))
        cat\u202egpj.exe \u001b[2Jdog
    """
    return text if text.isascii() and text.isprintable() else text.translate(_CODES)
