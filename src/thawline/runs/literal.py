"""Texts such as the name of a folder, in a config or an override, so that OmegaConf and Hydra read nothing else."""

import re
from typing import Any


def literal(value: Any) -> Any:
    """The value, of dicts and lists too, with every `${` written so that reading it once gives what stands here now.

    >>> print(literal({"root": "/x/${y}"})["root"])
    /x/\\${y}
    """
    if isinstance(value, str):
        return re.sub(r"(\\*)\$\{", r"\1\1\\${", value)
    if isinstance(value, dict):
        return {key: literal(one) for key, one in value.items()}
    return [literal(one) for one in value] if isinstance(value, list) else value


def in_quotes(text: str) -> str:
    """As the value of an override. `"`, `${`, and backslashes before them or before the end get a backslash each."""
    text = re.sub(r"(\\*)\$\{", r"\1\1\\${", text)
    text = re.sub(r'(\\*)"', r'\1\1\\"', text)
    return '"' + re.sub(r"(\\+)$", r"\1\1", text) + '"'
