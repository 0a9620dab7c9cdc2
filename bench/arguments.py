"""Types of arguments of the scripts in the folders beside this."""

import argparse
from collections.abc import Callable
from pathlib import Path


def existing_file(text: str) -> Path:
    if not Path(text).is_file():
        raise argparse.ArgumentTypeError(f"{text}: no such file")
    return Path(text)


def file_to_write(text: str) -> Path:
    if not Path(text).parent.is_dir() or Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"{text}: expected a file in a folder that is there")
    return Path(text)


def positive(number: type) -> Callable:
    """number: int or float."""

    def convert(text: str):
        try:
            value = number(text)
        except ValueError:
            value = 0
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(f"expected {number.__name__} above 0, got '{text}'")
        return value

    return convert
