"""One and many of English words, as far as plain rules go."""

from __future__ import annotations


def other_number(word: str) -> str:
    """The plural of a singular and the other way round: shirt, shirts."""
    return _singular(word) if _is_plural(word) else plural(word)


def plural(word: str) -> str:
    """The plural of a singular; a plural stays: shirts, trousers."""
    if _is_plural(word):
        return word
    if word.endswith(("s", "x", "z", "ch", "sh")):
        return f"{word}es"
    return f"{word[:-1]}ies" if word.endswith("y") and word[-2:-1] not in "aeiou" else f"{word}s"


def _is_plural(word: str) -> bool:
    return word.endswith("s") and not word.endswith("ss")


def _singular(word: str) -> str:
    if word.endswith(("sses", "xes", "ches", "shes")):
        return word[:-2]
    return f"{word[:-3]}y" if word.endswith("ies") else word[:-1]
