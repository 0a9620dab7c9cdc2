"""Holds an answer against the types of the SDK that read it. The SDKs take whatever comes; these checks do not."""

import pydantic


def check(value) -> None:
    """Raises unless everything in `value` is as its class declares it and nothing is there that no class knows."""
    type(value).model_validate(value.to_dict(mode="json"), strict=False)
    _refuse_extras(value, type(value).__name__)


def _refuse_extras(value, path: str) -> None:
    if isinstance(value, pydantic.BaseModel):
        assert not value.model_extra, f"{path} has fields its class does not know: {value.model_extra}"
        for name in type(value).model_fields:
            _refuse_extras(getattr(value, name, None), f"{path}.{name}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _refuse_extras(item, f"{path}[{index}]")
