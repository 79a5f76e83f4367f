"""What may be shown: text that no reader takes for instructions, and properties that hold no secret."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

# C0 and C1 controls; what turns the direction of writing around; separators that end a line; tags, which nobody sees
_STEERING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb\U000e0000-\U000e007f\ud800-\udfff]"
)
_NAMED = {"\t": "\\t", "\n": "\\n", "\r": "\\r"}


def visible(text: str) -> str:
    """Text in which whatever steers a terminal is spelled out; lines and tabs stay."""
    return _STEERING.sub(lambda found: _spelled(found[0]), text)


def one_line(text: str) -> str:
    """The same on one line."""
    return visible(text).replace("\n", "\\n").replace("\t", "\\t")


def _spelled(sign: str) -> str:
    code = ord(sign)
    if sign in _NAMED:
        return _NAMED[sign]
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


MASK = "***"
# of pyiceberg ("Configuration") and of the AWS clients below it; what is not in this list is masked
_HARMLESS = re.compile(
    r"""
    type | uri | warehouse | name | prefix | namespace | default-warehouse-location | init_catalog_tables | list-all-tables
    | echo | pool_pre_ping | pool_size | py-(catalog|io|location-provider)-impl | downcast-ns-timestamp-to-us-on-write
    | s3\.( endpoint | region | force-virtual-addressing | path-style-access | connect-timeout | request-timeout | proxy-uri
        | resolve-region | retry-strategy-impl | signer(\.uri|\.endpoint)? | sse\.type | role-arn | role-session-name
        | profile-name | anonymous )
    | client\.( region | profile-name | role-arn | role-session-name )
    | glue\.( id | region | endpoint | profile-name | skip-archive | max-retries | retry-mode | role-arn | role-session-name
        | connection-s3-tables )
    | dynamodb\.( region | profile-name ) | table-name
    | rest\.( sigv4-enabled | signing-name | signing-region ) | rest-metrics-reporting-enabled | oauth2-server-uri
    | scope | audience | resource | snapshot-loading-mode
    | header\.( x-iceberg-access-delegation | content-type | accept | user-agent )
    | hive\.( kerberos-authentication | hive2-compatible ) | ssl\.cabundle
    | gcs\.( project-id | endpoint | service\.host | default-bucket-location | access | consistency | requester-pays )
    | adls\.( account-name | tenant-id | client-id | account-host | blob-storage-authority | dfs-storage-authority )
    | hdfs\.( host | port | user )
    """,
    re.VERBOSE,
)
_HARMLESS_PARAMETERS = re.compile(
    r"""
    timeout | mode | cache | check_same_thread | isolation_level | sslmode | connect_timeout | application_name
    | target_session_attrs | user | host | port | dbname | charset | client_encoding | region | versionid | list-type | prefix
    | delimiter | max-keys | continuation-token | partnumber | uploads | uri
    """,
    re.VERBOSE,
)
# A password may hold any sign, so everything up to the last @ is taken: rather too much than too little.
_USER_AND_PASSWORD = re.compile(r"(?<=://)[^/:@\s?#]*:[^\s\"]*@")
_USER = re.compile(r"(?<=://)[^/:@\s?#\"]+@")
_ADDRESS = re.compile(r"\b[A-Za-z][\w+.-]*:/[^\s\"'<>]*[?&][^\s\"'<>]*")
_PARAMETER = re.compile(r"([?&])([^=&?#]+)=([^&#]*)")
_QUOTED = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_SHORTEST = 6
# Shorter values are masked as whole words, and only if they are no words or numbers themselves: `true` is in many texts.
_SHORTEST_WORD = 4
_known: dict[str, None] = {}


def shown(properties: Mapping[str, str]) -> dict[str, str]:
    """Properties as they may be printed: the value of any that is not known to be harmless is masked."""
    return {
        key: address(value) if _HARMLESS.fullmatch(key.lower()) else MASK for key, value in properties.items()
    }


def address(text: str) -> str:
    """A text without users and passwords in its addresses, and without parameters of them that are not known to be harmless."""
    if ":/" not in text:
        return text
    if "://" in text:
        text = _USER.sub(f"{MASK}@", _USER_AND_PASSWORD.sub(f"{MASK}:{MASK}@", text))
    return _ADDRESS.sub(lambda found: _PARAMETER.sub(_parameter, found[0]), text)


def _parameter(found: re.Match[str]) -> str:
    sign, name, _ = found.groups()
    return found[0] if _HARMLESS_PARAMETERS.fullmatch(_unquoted(name).lower()) else f"{sign}{name}={MASK}"


def _unquoted(text: str) -> str:
    """Text of an address without percent signs (RFC 3986, section 2.1)."""
    return _QUOTED.sub(
        lambda found: bytes.fromhex(found[0].replace("%", "")).decode("utf-8", "replace"), text
    )


def without_user(uri: str) -> str:
    """An address without its user and password."""
    scheme, found, rest = uri.partition("://")
    authority, slash, path = rest.partition("/")
    return f"{scheme}://{authority.rpartition('@')[2]}{slash}{path}" if found else uri


def secrets_of(properties: Mapping[str, str]) -> list[str]:
    """Values that no text may hold: those of properties that are not known to be harmless, and passwords in addresses."""
    found = [value for key, value in properties.items() if not _HARMLESS.fullmatch(key.lower())]
    for value in properties.values():
        if "://" in value:
            given = _PARAMETER.findall(value)
            found += [
                text for _, name, text in given if not _HARMLESS_PARAMETERS.fullmatch(_unquoted(name).lower())
            ]
        _, is_address, rest = value.partition("://")
        if is_address and "@" in rest and ":" in rest.rpartition("@")[0]:
            password = rest.rpartition("@")[0].partition(":")[2]
            found += [password, _unquoted(password)]
    return [value for value in found if _can_be_masked(value)]


def remember(values: Iterable[str]) -> None:
    """Have values masked in every text that this process shows or records."""
    _known.update(dict.fromkeys(value for value in values if _can_be_masked(value)))


def known() -> list[str]:
    """The values that are masked, the longest first."""
    return sorted(_known, key=len, reverse=True)


def hide(text: str) -> str:
    """A text as it may be shown or recorded."""
    for value in known():
        if value in text:
            pattern = re.escape(value)
            text = re.sub(pattern if len(value) >= _SHORTEST else rf"(?<!\w){pattern}(?!\w)", MASK, text)
    return address(text)


def _can_be_masked(value: str) -> bool:
    mixed = not value.isalpha() and any(sign.isalpha() for sign in value)
    return len(value) >= _SHORTEST or (len(value) >= _SHORTEST_WORD and mixed)


def hide_in(value: object) -> object:
    """A value of JSON in which every text is as it may be recorded."""
    if isinstance(value, str):
        return hide(value)
    if isinstance(value, dict):
        return {key: hide_in(item) for key, item in value.items()}
    return [hide_in(item) for item in value] if isinstance(value, list) else value
