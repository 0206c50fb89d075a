"""What this machine gives the process: memory and files."""

import resource
from pathlib import Path

_CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_MEMINFO = "/proc/meminfo"
_KIB = 1024


def memory_bytes(root: str = "/") -> int | None:
    """Memory that the process may use: the container's limit or the machine's, whichever is less; None if unknown."""
    found = [int(text) for path in _CGROUP_LIMITS if (text := _read(root, path).strip()).isdecimal()]
    lines = _read(root, _MEMINFO).splitlines()
    found += [int(line.split()[1]) * _KIB for line in lines if line.startswith("MemTotal:")]
    return min(found, default=None)


def raise_file_limit(wanted: int) -> int:
    """Raises the limit of open files to what is wanted, as far as it may be raised: the limit afterwards."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return max(soft, most)


def _read(root: str, path: str) -> str:
    try:
        return (Path(root) / path.lstrip("/")).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return ""
