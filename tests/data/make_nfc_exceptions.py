#!/usr/bin/env python3
"""Writes src/text/nfc_exceptions.inc: characters that utf8proc's NFC reorders, decomposes or composes and Hugging Face's
tokenizers (whose tables are those of Unicode 9) leave alone. One is not newer but a fault of utf8proc 2.8: U+11A7, which
it swallows behind a Hangul syllable.

Needs PyPI `tokenizers` and Debian's libutf8proc2:
  python3 tests/data/make_nfc_exceptions.py > src/text/nfc_exceptions.inc
"""

import ctypes
import unicodedata

from tokenizers import normalizers

NFC_OPTIONS = (1 << 1) | (1 << 3)  # UTF8PROC_STABLE | UTF8PROC_COMPOSE
utf8proc = ctypes.CDLL("libutf8proc.so.2")
libc = ctypes.CDLL(None)


def utf8proc_nfc(text: str) -> str:
    raw = text.encode()
    out = ctypes.c_void_p()
    size = utf8proc.utf8proc_map(raw, ctypes.c_ssize_t(len(raw)), ctypes.byref(out), NFC_OPTIONS)
    assert size >= 0
    result = ctypes.string_at(out, size).decode()
    libc.free(out)
    return result


def main() -> None:
    oracle = normalizers.NFC()
    print("// Written by tests/data/make_nfc_exceptions.py.")
    differ = set()
    for code in range(0x110000):
        if 0xD800 <= code < 0xE000:
            continue
        # Alone, behind the mark of the highest combining class, where any mark is moved forward, and behind a Hangul syllable.
        texts = [chr(code), "a\u0345" + chr(code), "\uac00" + chr(code)]
        if any(utf8proc_nfc(t) != oracle.normalize_str(t) for t in texts):
            differ.add(code)
        # As the second of a pair that composes.
        pair = unicodedata.normalize("NFD", chr(code))
        if len(pair) == 2 and utf8proc_nfc(pair) != oracle.normalize_str(pair):
            differ.add(ord(pair[1]))
    ranges: list[list[int]] = []
    for code in sorted(differ):
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    for first, last in ranges:
        print(f"{{0x{first:X}, 0x{last:X}}},")


main()
