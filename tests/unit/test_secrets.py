"""Nothing is shown that is not known to be harmless."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway import secrets
from slipway.secrets import address, hide, hide_in, secrets_of, shown, without_user


@pytest.mark.parametrize(
    "key",
    ["s3.access-key-id", "s3.secret-access-key", "s3.session-token", "token", "credential", "oauth2.client-secret",
     "jdbc.password", "header.Authorization", "adls.account-key", "adls.sas-token", "header.x-api-key", "auth", "passwd",
     "pwd", "header.Cookie", "s3.sse.key", "rest.authorization-url", "a.new.property", "pass", "private_key", "pat"],
)  # fmt: skip
def test_what_is_not_known_to_be_harmless_is_masked(key: str) -> None:
    assert shown({key: "hidden", "type": "rest"}) == {key: "***", "type": "rest"}


@given(st.text(min_size=1), st.text(min_size=1))
def test_a_property_that_nobody_knows_is_masked(key: str, value: str) -> None:
    if not secrets._HARMLESS.fullmatch(key.lower()):
        assert shown({key: value}) == {key: "***"}


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("postgresql://ana:pw@db/lake", "postgresql://***:***@db/lake"),
        ("postgresql+psycopg2://ana:p:w@db:5433/lake", "postgresql+psycopg2://***:***@db:5433/lake"),
        ("postgresql://ana:p@w@db/lake", "postgresql://***:***@db/lake"),
        ("postgresql://ana:p/w@db/lake", "postgresql://***:***@db/lake"),
        ("postgresql://:pw@db/lake", "postgresql://***:***@db/lake"),
        ("https://a-token@rest.example/v1", "https://***@rest.example/v1"),
        ("https://rest.example:8181/v1", "https://rest.example:8181/v1"),
        ("sqlite:////data/a@b/catalog.db?timeout=2", "sqlite:////data/a@b/catalog.db?timeout=2"),
        ("file:///data/a@b/x", "file:///data/a@b/x"),
        ("s3://lake/prod/a@b.parquet", "s3://lake/prod/a@b.parquet"),
        ("postgresql://db/lake?user=ana&password=pw", "postgresql://db/lake?user=ana&password=***"),
        ("https://s3.example/b/k?X-Amz-Signature=abc&X-Amz-Date=1", "https://s3.example/b/k?X-Amz-Signature=***&X-Amz-Date=***"),
        ("https://a.blob.example/c?sv=1&sig=a%2Bb#x", "https://a.blob.example/c?sv=***&sig=***#x"),
        ("postgresql://db/lake?sslmode=require&sslpassword=x", "postgresql://db/lake?sslmode=require&sslpassword=***"),
    ],
)  # fmt: skip
def test_addresses_have_neither_users_nor_signatures(uri: str, message: str) -> None:
    assert address(uri) == message
    assert address(f"cannot reach {uri} now") == f"cannot reach {message} now"
    assert shown({"uri": uri})["uri"] == message


@given(st.text(st.characters(exclude_characters="\0\"'<>", exclude_categories=["Cs", "Z", "C"]), min_size=4))
def test_no_password_is_left_in_an_address(password: str) -> None:
    from urllib.parse import quote

    for text in {password, quote(password, safe="")}:
        if "***" not in text and text not in "postgresql://ana@db.example/lake":
            assert text not in address(f"postgresql://ana:{text}@db.example/lake")


def test_texts_without_addresses_stay_as_they_are() -> None:
    text = "ada@example.org wrote: is a?b=c true for 10:30@noon, <b> and /tmp/x?"
    assert address(text) == text


def test_values_of_secret_properties_are_masked_wherever_they_turn_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(secrets, "_known", {})
    properties = {
        "type": "rest",
        "uri": "https://ana:p%40ssword@rest.example",
        "header.x-api-key": "key-of-ana",
        "auth": "Basic YW5h",
        "retries": "3",
    }
    found = secrets_of(properties)
    assert set(found) == {"p%40ssword", "p@ssword", "key-of-ana", "Basic YW5h"}
    secrets.remember(found)
    assert (
        hide("rest said: wrong key 'key-of-ana' for p@ssword, 3 times")
        == "rest said: wrong key '***' for ***, 3 times"
    )
    assert hide_in({"a": ["key-of-ana", 1, None]}) == {"a": ["***", 1, None]}


def test_endpoints_are_used_without_a_user() -> None:
    assert without_user("https://ana:pw@s3.example:9000/x") == "https://s3.example:9000/x"
    assert without_user("https://s3.example:9000") == "https://s3.example:9000"
    assert without_user("s3.example") == "s3.example"


def test_short_secrets_are_masked_as_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "_known", {})
    secrets.remember(
        secrets_of({"auth": "ab1", "token": "abc12", "pass": "p.w-d", "a.new.flag": "true", "other": "9000"})
    )
    assert hide("abc12 and abc123, p.w-d or pXw-d, true on port 9000: ab1") == (
        "*** and abc123, *** or pXw-d, true on port 9000: ab1"
    )


@given(st.text(min_size=6), st.text(), st.text())
def test_no_text_holds_a_known_secret(value: str, before: str, after: str) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(secrets, "_known", {})
        secrets.remember([value])
        if value not in "***":
            assert value not in hide(f"{before}{value}{after}").replace("***", "\0")
