import re
import unicodedata

import pytest

from supatoss.passwords import PasswordHash, User, check_name, fold_name

PASSWORD = "비밀번호가 아닌 문장"


def test_a_hash_is_read_back_and_knows_its_password() -> None:
    stored = PasswordHash.read(str(PasswordHash.of(PASSWORD)))
    assert stored.matches(PASSWORD)
    assert stored.matches(unicodedata.normalize("NFD", PASSWORD))
    assert not stored.matches(PASSWORD + " ")


def test_the_same_password_has_another_hash_each_time_and_no_character_that_a_shell_changes() -> None:
    one, two = str(PasswordHash.of(PASSWORD)), str(PasswordHash.of(PASSWORD))
    assert one != two
    assert re.fullmatch(r"scrypt:14:8:5:[A-Za-z0-9_-]{22}:[A-Za-z0-9_-]{43}", one)


def test_neither_salt_nor_digest_is_shown() -> None:
    user = User("anna", PasswordHash(b"s" * 16, b"d" * 32))
    assert "ssss" not in repr(user)
    assert "dddd" not in repr(user)


GOOD = str(User("anna", PasswordHash(b"s" * 16, b"d" * 32)))


@pytest.mark.parametrize(
    "line",
    [
        "",
        "anna",
        "anna:",
        "anna:a plain password",
        GOOD.replace("anna", ""),
        GOOD.replace("anna", "an na"),
        GOOD.replace("14", "20"),  # 1 GiB a guess
        GOOD.replace("scrypt", "md5"),
        GOOD[:-1],
        GOOD + "A",
        GOOD + ":",
        GOOD.replace(":8:", ":8:!"),
        GOOD[:-3] + "é==",
    ],
)
def test_what_is_no_line_of_ours_is_refused_without_being_shown(line: str) -> None:
    assert str(User.read(GOOD)) == GOOD
    with pytest.raises(ValueError, match=r"^should be lines of `supatoss ops add-user NAME`") as caught:
        User.read(line)
    assert "plain" not in str(caught.value)


@pytest.mark.parametrize("name", ["anna", "Anna.Kim", "김운영", "a_b-c", "x" * 40])
def test_a_name(name: str) -> None:
    assert check_name(f" {name} ") == name


@pytest.mark.parametrize("name", ["", "a b", "a,b", "a:b", "a\nb", "<b>", "x" * 41, "a@b"])
def test_no_name(name: str) -> None:
    with pytest.raises(ValueError, match="a name has 1 to 40 letters"):
        check_name(name)


def test_names_are_compared_as_people_type_them() -> None:
    assert fold_name(unicodedata.normalize("NFD", "김운영")) == fold_name("김운영 ")
    assert fold_name("ANNA") == fold_name("anna")
