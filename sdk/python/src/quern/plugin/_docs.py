"""The documentation of types and arguments, from docstrings."""

from __future__ import annotations

import ast
import inspect
from typing import Any


def attribute_docs(cls: type) -> dict[str, str]:
    """Returns the docstrings below the fields of a class and its bases. Without source code there are none."""
    docs: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        docs.update(_own_docs(base))
    return docs


def _own_docs(cls: type) -> dict[str, str]:
    if cls is object:
        return {}
    node = _definition(cls)
    docs: dict[str, str] = {}
    for field, text in zip(node.body, node.body[1:]) if node else ():
        if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)):
            continue
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) and isinstance(text.value.value, str):
            docs[field.target.id] = inspect.cleandoc(text.value.value)
    return docs


# Parsed files by name: several classes are usually in one.
_parsed: dict[str, Any] = {}


def _definition(cls: type) -> ast.ClassDef | None:
    try:
        path = inspect.getsourcefile(cls) or ""
        if path not in _parsed:
            with open(path, "rb") as file:
                _parsed[path] = ast.parse(file.read())
    except (OSError, TypeError, SyntaxError):
        return None
    found = [n for n in ast.walk(_parsed[path]) if isinstance(n, ast.ClassDef) and n.name == cls.__name__]
    return found[-1] if found else None


def doc_of(cls: type) -> str:
    """Returns the docstring of a class, without the one that dataclasses write."""
    doc = cls.__dict__.get("__doc__") or ""
    return "" if doc.startswith(f"{cls.__name__}(") else inspect.cleandoc(doc)
