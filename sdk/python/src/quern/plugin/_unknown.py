"""What is not known of a configuration while quern plans."""

from __future__ import annotations

from collections.abc import Sequence


class Unknown:
    """Collects the keys of values that are not known yet."""

    def __init__(self, pointers: Sequence[str] = ()) -> None:
        self._pointers = frozenset(pointers)
        self.keys: list[str] = []

    def has(self, pointer: str, key: str) -> bool:
        """Reports whether the value at a JSON Pointer is unknown, and notes its key."""
        if pointer not in self._pointers:
            return False
        self.keys.append(key)
        return True

    def known(self, key: str) -> bool:
        """Reports whether nothing at, around, or inside a key is unknown."""
        return not any(u in ("", key) or key.startswith(u + ".") or u.startswith(key + ".") for u in self.keys)
