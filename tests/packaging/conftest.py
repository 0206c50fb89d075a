"""The wheel and the sdist, built once from this checkout."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Distribution:
    """What `make dist` builds."""

    wheel: Path
    sdist: Path


def build(source: Path, target: Path, *kinds: str) -> None:
    """Builds without a network, with the locked hatchling of this environment."""
    options = [option for kind in kinds for option in ("-t", kind)]
    subprocess.run(  # noqa: S603 - our own build
        [sys.executable, "-m", "hatchling", "build", "-d", str(target), *options],
        cwd=source, check=True, capture_output=True, timeout=60,
    )  # fmt: skip


@pytest.fixture(scope="session")
def distribution(tmp_path_factory: pytest.TempPathFactory) -> Distribution:
    folder = tmp_path_factory.mktemp("dist")
    build(ROOT, folder, "wheel", "sdist")
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return Distribution(wheel, sdist)
