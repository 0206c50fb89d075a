"""What was found: cases in corpus/, a file each."""

import hashlib
import sys
import traceback
from pathlib import Path

CORPUS = Path(__file__).with_name("corpus")


def keep(name: str, case: bytes, error: BaseException) -> None:
    """Writes a case to the corpus and says what it does."""
    folder = CORPUS / name
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"found-{hashlib.sha256(case).hexdigest()[:12]}"
    file.write_bytes(case)
    traceback.print_exception(error)
    print(f"{name}: kept as {file}\n  {case[:300]!r}", file=sys.stderr)


def replayed(name: str) -> list[Path]:
    """The corpus of a target."""
    return sorted((CORPUS / name).glob("*"))
