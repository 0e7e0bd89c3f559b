from __future__ import annotations

import asyncio
import base64

import bcrypt
import pytest

from raptor_exporter.web import passwords
from raptor_exporter.web.passwords import PasswordCheck, TooManyLogins, parse_basic


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def hashed(password, cost=4):
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(cost))


@pytest.fixture
def calls(monkeypatch):
    """Every hash that bcrypt was asked to compare with."""
    seen = []
    real = bcrypt.checkpw

    def checkpw(password, against):
        seen.append(against)
        return real(password, against)

    monkeypatch.setattr(passwords.bcrypt, "checkpw", checkpw)
    return seen


def verify(users, *headers):
    async def main():
        check = PasswordCheck()
        try:
            return [await check.verify(users, header) for header in headers]
        finally:
            check.close()

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("Basic YWRhOnB3", ("ada", b"pw")),
        ("basic  YWRhOnB3 ", ("ada", b"pw")),
        ("Basic YWRhOg==", ("ada", b"")),
        ("Basic YTpiOmM=", ("a", b"b:c")),
        ("Basic 5Tpw", ("\xe5", b"p")),
        ("Basic YWRh", None),
        ("Basic %%%", None),
        ("Basic", None),
        ("Bearer YWRhOnB3", None),
        ("", None),
    ],
)
def test_user_and_password_are_read_from_the_header(header, expected):
    assert parse_basic(header) == expected


def test_the_right_password_is_verified_once_and_a_wrong_one_every_time(calls):
    users = {"ada": hashed("right")}
    right, wrong = basic("ada", "right"), basic("ada", "wrong")
    assert verify(users, right, right, wrong, wrong, right) == [True, True, False, False, True]
    assert len(calls) == 3


def test_an_unknown_user_costs_what_a_known_one_costs(calls):
    users = {"ada": hashed("x", 4), "bob": hashed("y", 5)}
    assert verify(users, basic("eve", "x"), basic("", ""), basic("eve", "x")) == [False] * 3
    assert [against[4:6] for against in calls] == [b"05"] * 3


def test_a_changed_password_is_forgotten_at_once():
    async def main():
        check = PasswordCheck()
        old, new = {"ada": hashed("old")}, {"ada": hashed("new")}
        assert await check.verify(old, basic("ada", "old"))
        assert not await check.verify(new, basic("ada", "old"))
        assert await check.verify(new, basic("ada", "new"))
        assert not await check.verify({}, basic("ada", "new"))
        check.close()

    asyncio.run(main())


def test_a_password_of_one_user_is_not_that_of_another():
    users = {"ada": hashed("a"), "bob": hashed("b")}
    assert verify(users, basic("ada", "b"), basic("bob", "b"), basic("ada", "b")) == [False, True, False]


@pytest.mark.parametrize("password", ["x" * 72, "pass\0word", "é🔑", ""])
def test_odd_passwords_are_compared_whole(password):
    users = {"ada": bcrypt.hashpw(password.encode(), bcrypt.gensalt(4))}
    other = "?" + password[1:]
    assert verify(users, basic("ada", password), basic("ada", other)) == [True, False]


def test_of_a_long_password_the_first_72_bytes_count_as_bcrypt_has_it():
    users = {"ada": hashed("x" * 72)}
    assert verify(users, basic("ada", "x" * 200), basic("ada", "x" * 71)) == [True, False]


@pytest.mark.parametrize("prefix", [b"$2a$", b"$2b$", b"$2y$"])
def test_hashes_of_every_tool_are_understood(prefix):
    assert verify({"ada": prefix + hashed("pw")[4:]}, basic("ada", "pw"), basic("ada", "no")) == [True, False]


def test_a_flood_is_turned_away_and_whoever_is_known_passes():
    async def main():
        check = PasswordCheck()
        users = {"ada": hashed("right", 4)}
        assert await check.verify(users, basic("ada", "right"))
        flood = [asyncio.create_task(check.verify(users, basic("eve", str(n)))) for n in range(100)]
        await asyncio.sleep(0)
        assert await check.verify(users, basic("ada", "right"))
        results = await asyncio.gather(*flood, return_exceptions=True)
        assert {type(r) for r in results} == {bool, TooManyLogins}
        assert True not in results
        check.close()

    asyncio.run(main())
