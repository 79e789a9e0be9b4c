"""Counts as bars of text."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["bars"]

_EIGHTHS = " ▏▎▍▌▋▊▉"
_LONGEST_KEY = 45


def bars(
    counts: Mapping[str, int], *, top: int = 10, width: int = 40, ascii_only: bool = False
) -> list[str]:
    """One line an outcome, most frequent first: the outcome, a bar, its share and its count.

    Args:
        counts: how often each outcome was seen.
        top: how many outcomes to show; the others share one last line.
        width: length of the longest bar, in characters.
        ascii_only: draw with ``#`` for terminals without block characters.
    """
    total = sum(counts.values())
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = [(_short(key, ascii_only), n) for key, n in ranked[:top] if n > 0]
    if not shown:
        return ["(no outcomes)"]
    longest = shown[0][1]
    key_width = max(len(key) for key, _ in shown)
    number_width = len(f"{longest:,}")
    lines = [
        f"{key:>{key_width}}  {_bar(n / longest, width, ascii_only)}"
        f"  {n / total:6.1%}  {n:>{number_width},}"
        for key, n in shown
    ]
    return lines + _rest(ranked[top:], total, ascii_only)


def _short(key: str, ascii_only: bool) -> str:
    if len(key) <= _LONGEST_KEY:
        return key
    half = _LONGEST_KEY // 2 - 1
    return f"{key[:half]}{'..' if ascii_only else '…'}{key[-half:]}"


def _bar(share: float, width: int, ascii_only: bool) -> str:
    if ascii_only:
        return ("#" * max(1, round(share * width))).ljust(width)
    eighths = max(1, round(share * width * 8))
    return ("█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()).ljust(width)


def _rest(others: list[tuple[str, int]], total: int, ascii_only: bool) -> list[str]:
    rest = sum(n for _, n in others)
    if rest == 0:
        return []
    dots = "..." if ascii_only else "…"
    noun = "outcome" if len(others) == 1 else "outcomes"
    return [f"{dots} {len(others):,} more {noun} with {rest / total:.1%} together ({rest:,})"]
