"""`supatoss init --yes`."""

import stat, pathlib

from tests.init.conftest import APP, SUPABASE_KEY, Place
from tests.support import SECRET_KEY


def test_from_nothing_to_a_delivery_and_again(place: Place) -> None:
    (place.root / "fly.toml").write_text(f'app = "{APP}"\n')
    with place.world():
        first = place.script("--yes", "--push", "--deploy", "--test-delivery", "--app", APP)
        pathlib.Path("/tmp/o1").write_text(first.stdout + first.stderr)
        assert first.returncode == 0, first.stdout + first.stderr
        second = place.script("--yes", "--push", "--deploy", "--test-delivery", "--app", APP)
        pathlib.Path("/tmp/o2").write_text(second.stdout + second.stderr)
        assert second.returncode == 0
    assert stat.S_IMODE(place.env_file.stat().st_mode) == 0o600
    for call in place.calls():
        assert SUPABASE_KEY not in str(call["arguments"])
        assert SECRET_KEY not in str(call["arguments"])
