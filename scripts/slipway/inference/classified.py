"""Which columns seem to hold what is personal or secret, by their names and by the form of their values; always a guess.

Sources of the forms: ISO 7812-1 (check digit of card numbers, the formula of Luhn), ISO 13616 (IBAN, remainder 1 modulo 97), RFC 5322 in the
simple form that mail programs offer.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from slipway.counts import plural

CONFIDENTIAL, RESTRICTED = "confidential", "restricted"
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[A-Za-z]{2,}")
_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")
_PHONE = re.compile(
    r"(\+|00)[0-9][0-9 ()/.-]{6,18}|\(?0[0-9]{2,5}[)/ -] ?[0-9][0-9 -]{3,14}[0-9]|[0-9]{3}-[0-9]{3}-[0-9]{4}"
)
_WORDS: Sequence[tuple[str, str, Collection[str]]] = (
    ("a card number", RESTRICTED, ("card_number", "cardnumber", "credit_card", "creditcard", "kartennummer", "pan", "kreditkarte")),
    ("an IBAN", RESTRICTED, ("iban",)),
    ("a number of a person's identity", RESTRICTED, ("ssn", "social_security", "passport", "tax_id", "steuer_id", "national_id", "personalausweis", "sozialversicherungsnummer")),
    ("a password or key", RESTRICTED, ("password", "passwort", "secret", "token", "api_key")),
    ("an e-mail address", CONFIDENTIAL, ("email", "e_mail", "mail", "mail_address")),
    ("an IP address", CONFIDENTIAL, ("ip", "ip_address", "client_ip", "remote_addr")),
    ("a phone number", CONFIDENTIAL, ("phone", "telephone", "telefon", "tel", "mobile", "fax", "handy", "telefonnummer", "msisdn")),
    ("a date of birth", CONFIDENTIAL, ("birthday", "birth", "birthdate", "born", "dob", "geburtsdatum", "geburtstag", "date_of_birth")),
    ("a postal address", CONFIDENTIAL, ("street", "strasse", "address", "adresse", "anschrift", "hausnummer", "house_number")),
    ("a bank account", CONFIDENTIAL, ("account", "account_number", "konto", "kontonummer")),
    ("a person's name", CONFIDENTIAL, (
        "first_name", "last_name", "firstname", "lastname", "full_name", "fullname", "surname", "forename", "vorname", "nachname", "familienname",
        "passenger", "patient", "cardholder", "person", "client_name", "contact_name", "user_name", "username", "kundenname",
        "beneficiary", "payee", "recipient", "auftraggeber", "empfanger", "empfaenger",
    )),
)  # fmt: skip


class Personal(NamedTuple):
    """What a column seems to hold.

    Args:
        what: such as ``an IBAN``.
        classification: one word of the contract.
        evidence: why, without any value.
    """

    what: str
    classification: str
    evidence: str


def classified(name: str, values: Collection[str]) -> Personal | None:
    """What a column seems to hold that is personal or secret; None where nothing says so.

    Args:
        name: in models.
        values: some different ones, as text.
    """
    for what, word, fits in _FORMS:
        found = sum(fits(value) for value in values)
        if values and found * 10 >= len(values) * 9:
            looked_at = plural(len(values), "different value")
            return Personal(
                what, word, f"{plural(found, 'value', 'have', 'has')} its form, of {looked_at} looked at"
            )
    parts = f"_{name}_"
    for what, word, words in _WORDS:
        if called := next((one for one in words if f"_{one}_" in parts), ""):
            return Personal(what, word, f"its name has {called} in it")
    if name == "name" and values and all(" " in value or value.istitle() for value in values):
        return Personal(
            "a person's name", CONFIDENTIAL, "it is called name, and its values are words with capitals"
        )
    return None


def _is_card(value: str) -> bool:
    digits = re.sub(r"[ -]", "", value)
    if not re.fullmatch(r"[2-6][0-9]{12,18}", digits):
        return False
    doubled = [int(sign) * (1 + at % 2) for at, sign in enumerate(reversed(digits))]
    return sum(one - 9 * (one > 9) for one in doubled) % 10 == 0


def _is_iban(value: str) -> bool:
    plain = value.replace(" ", "").upper()
    if not _IBAN.fullmatch(plain):
        return False
    return int("".join(str(int(sign, 36)) for sign in plain[4:] + plain[:4])) % 97 == 1


def _is_ip(value: str) -> bool:
    try:
        return bool(ipaddress.ip_address(value))
    except ValueError:
        return False


_FORMS: Sequence[tuple[str, str, Callable[[str], bool]]] = (
    ("an e-mail address", CONFIDENTIAL, lambda value: bool(_EMAIL.fullmatch(value))),
    ("an IBAN", RESTRICTED, _is_iban),
    ("a card number", RESTRICTED, _is_card),
    ("an IP address", CONFIDENTIAL, _is_ip),
    ("a phone number", CONFIDENTIAL, lambda value: bool(_PHONE.fullmatch(value))),
)
