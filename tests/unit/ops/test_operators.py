import threading

import pytest

from supatoss.ops.operators import SHARED_NAME, Operators
from supatoss.passwords import PasswordHash

pytestmark = pytest.mark.anyio

PASSWORD = "a phrase for tests"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.parametrize("text", ["", "a phrase for test", "a phrase for tests ", "A phrase for tests", "\ufffd"])
async def test_only_the_shared_password_is_the_shared_password(text: str) -> None:
    shared = Operators({}, PASSWORD)
    assert not await shared.check(SHARED_NAME, text)
    assert await shared.check(SHARED_NAME, PASSWORD)
    assert shared.find("whoever") == SHARED_NAME


async def test_each_operator_has_a_password_of_their_own() -> None:
    operators = Operators({"Anna": PasswordHash.of(PASSWORD), "김운영": PasswordHash.of("another phrase of tests")})
    assert await operators.check("Anna", PASSWORD)
    assert not await operators.check("김운영", PASSWORD)
    assert not await operators.check(None, PASSWORD)
    # A phone begins with a capital, a Mac sends Korean in its parts.
    found = [operators.find(name) for name in (" anna ", "ANNA", "김운영", "ben", "", SHARED_NAME)]
    assert found == ["Anna", "Anna", "김운영", None, None, None]


async def test_beside_named_operators_the_shared_password_opens_nothing() -> None:
    operators = Operators({"anna": PasswordHash.of("another phrase of tests")}, PASSWORD)
    assert operators.find(SHARED_NAME) is None
    assert operators.credential(SHARED_NAME) is None
    assert not await operators.check(None, PASSWORD)


async def test_a_name_that_nobody_has_takes_the_same_work(monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[tuple[bytes, bool]] = []

    def matches(self: PasswordHash, _password: str) -> bool:
        checked.append((self.salt, threading.current_thread() is threading.main_thread()))
        return False

    monkeypatch.setattr(PasswordHash, "matches", matches)
    operators = Operators({"anna": PasswordHash(b"a" * 16, b"a" * 32)})
    for name in ("anna", None):
        assert not await operators.check(name, PASSWORD)
    # Both beside the loop: deliveries go on meanwhile.
    assert checked == [(b"a" * 16, False), (bytes(16), False)]
