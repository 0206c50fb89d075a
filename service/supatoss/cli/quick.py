"""Lets a command start quickly. Imported before all else, for its effects."""

import atexit
import gc
import sys
from collections.abc import Callable
from types import ModuleType

GC_THRESHOLD = 100_000
"""New objects between two collections, instead of 700: those of a start stay, and to look through them takes a tenth of
a command's time."""

gc.set_threshold(GC_THRESHOLD)
atexit.register(gc.freeze)  # the interpreter would look through all of them once more as it ends: another tenth


def _stand_in(name: str, attribute: str, value: Callable[[], object]) -> None:
    """A module that is never used here, and takes long to import."""
    module = ModuleType(name)
    setattr(module, attribute, value)
    sys.modules.setdefault(name, module)


_stand_in("httpx._main", "main", lambda: None)  # a command line of its own, with rich and Pygments
_stand_in("pydantic.plugin._loader", "get_plugins", lambda: ())  # looks through all installed packages for plugins
