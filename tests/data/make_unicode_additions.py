#!/usr/bin/env python3
"""Writes src/text/unicode_additions.inc: the characters Hugging Face's tokenizers know and Unicode 14 (PCRE2 10.42) does not.

Needs PyPI `tokenizers` and a Python whose unicodedata is Unicode 14 (3.11):
  python3 tests/data/make_unicode_additions.py > src/text/unicode_additions.inc
"""

import unicodedata

from tokenizers import Regex, pre_tokenizers

CATEGORIES = [
    "Lu",
    "Ll",
    "Lt",
    "Lm",
    "Lo",
    "Mn",
    "Mc",
    "Me",
    "Nd",
    "Nl",
    "No",
    "Pc",
    "Pd",
    "Ps",
    "Pe",
    "Pi",
    "Pf",
    "Po",
    "Sm",
    "Sc",
    "Sk",
    "So",
]


def members(category: str) -> set[int]:
    text = "".join(chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000)
    others: set[int] = set()
    for _, (begin, end) in pre_tokenizers.Split(Regex(rf"\p{{{category}}}"), "removed").pre_tokenize_str(text):
        others.update(map(ord, text[begin:end]))
    return set(map(ord, text)) - others


def main() -> None:
    assert unicodedata.unidata_version.startswith("14."), unicodedata.unidata_version
    print("// Written by tests/data/make_unicode_additions.py.")
    for category in CATEGORIES:
        new = sorted(c for c in members(category) if unicodedata.category(chr(c)) != category)
        ranges: list[list[int]] = []
        for code in new:
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1][1] = code
            else:
                ranges.append([code, code])
        for first, last in ranges:
            print(f'{{0x{first:X}, 0x{last:X}, "{category}"}},')


main()
