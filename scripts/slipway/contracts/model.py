"""What a contract says, typed and unchangeable.

Names are those of the Open Data Contract Standard 3.2 in snake case. What the standard has no key for stands in ``customProperties``; which ones are
known, and of what type they are, is said by the ``…Settings`` classes: a field is a custom property, in camel case.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

Scalar = str | int | float | bool | None
_Text = Annotated[str, StringConstraints(min_length=1)]


class FileMode(StrEnum):
    """What a new file means for the rows of earlier ones.

    ``append``: nothing, each content is taken once. ``replace``: those of an earlier file of the same name are not current any
    more. ``full``: those of all earlier files are not.
    """

    APPEND = "append"
    REPLACE = "replace"
    FULL = "full"


class _Settings(BaseModel):
    """Custom properties of one place in a contract."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        alias_generator=to_camel,
        populate_by_name=True,
        defer_build=True,
    )


class _Part(BaseModel):
    """A part of a contract; keys that are only for people are not taken over."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True, defer_build=True
    )


class OnRejected(StrEnum):
    """What a run in a scheduled or production environment does while a file of the feed is set aside."""

    FAIL = "fail"
    WARN = "warn"


_Texts = Annotated[tuple[_Text, ...], Field(strict=False)]


class FileSettings(_Settings):
    """What a feed's files look like: ``servers[].customProperties`` of the server named ``landing``.

    Args:
        delimiter: one character between values.
        quote: the character around values that hold a delimiter.
        escape: the character before a quote inside of a quoted value; left out where the quote is written twice.
        encoding: of the text.
        header: ``exact`` or true for the contract's names in their order, ``names`` for the same names in any order and
            case, ``none`` or false for files without a header.
        skip_lines: lines, or rows of a sheet, above the header.
        footer_lines: lines, or rows of a sheet, below the last record.
        sheet: the sheet of a workbook; left out for the only one that is visible.
        file_mode: what a new file means for the rows of earlier ones.
        max_uncompressed_bytes: what a compressed file may come to.
        max_compression_ratio: how many bytes may come out of one byte of a compressed file.
        decimal_mark: between the whole and the fraction of a number.
        thousands_mark: between groups of digits of a number; empty where there is none.
        null_values: spellings that stand for no value in every column, such as ``-`` or ``n/a``.
        on_rejected_files: whether files that are set aside stop runs in scheduled and production environments.
        ignored_files: patterns for names of files that are not looked at.
        guesses: what a program found out about the files, and nobody has confirmed yet.
    """

    delimiter: str = ","
    quote: str = '"'
    escape: str = ""
    encoding: str = "utf-8"
    header: Literal["exact", "names", "none", True, False] = "exact"
    skip_lines: int = Field(0, ge=0)
    footer_lines: int = Field(0, ge=0)
    sheet: str = ""
    file_mode: Annotated[FileMode, Field(strict=False)] = FileMode.APPEND
    max_uncompressed_bytes: int = Field(64 << 30, ge=1)
    max_compression_ratio: int = Field(250, ge=1)
    decimal_mark: Literal[".", ","] = "."
    thousands_mark: Literal["", ",", ".", " ", "'", "_"] = ""
    null_values: _Texts = ()
    on_rejected_files: Annotated[OnRejected, Field(strict=False)] = OnRejected.FAIL
    ignored_files: _Texts = ()
    guesses: _Texts = ()


class Evolution(StrEnum):
    """What is done with data that is not as a contract says; source of the words: dlt's schema contract."""

    EVOLVE = "evolve"
    FREEZE = "freeze"
    DISCARD_ROW = "discard_row"
    DISCARD_VALUE = "discard_value"


_Evolution = Annotated[Evolution, Field(strict=False)]


class SchemaContract(_Settings):
    """What is done where files are not as the contract of a feed says.

    Args:
        tables: with files of a table that no contract describes; ``freeze`` is all there is.
        columns: with columns of files that the contract does not name. ``evolve``: raw gets them. ``freeze``: the file is set
            aside. ``discard_value``: their values go to ``_extra`` of raw. ``discard_row``: so do they, and rows that have one break a rule.
        data_type: with values that are not of their column's type. ``discard_row``: the row breaks a rule. ``discard_value``: the
            typed value is NULL. ``freeze``: the query over typed rows fails.
    """

    tables: _Evolution = Evolution.FREEZE
    columns: _Evolution = Evolution.FREEZE
    data_type: _Evolution = Field(Evolution.DISCARD_ROW, alias="data_type")


class Bounds(_Settings):
    """The least and the most that is expected."""

    min: int | None = Field(None, ge=0)
    max: int | None = Field(None, ge=0)


class QuarantineLimit(_Settings):
    """How many rows a rule of a feed may put into quarantine: one of the two operators, in rows or in percent of the rows that landed."""

    must_be_less_than: float | None = None
    must_be_less_or_equal_to: float | None = None
    unit: Literal["rows", "percent"] = "rows"
    severity: Literal["error", "warning"] = "error"


class QuarantineRetention(_Settings):
    """How long rows of a feed stay in quarantine after they landed.

    Args:
        value: in ``unit``.
        unit: as service levels have it, such as ``d`` for days.
        duration: value and unit together.
    """

    value: float = Field(gt=0)
    unit: str
    duration: timedelta | None = None


class ContractSettings(_Settings):
    """Custom properties of a contract.

    Args:
        input_rows_per_run: rows that a run is expected to read of this data.
        input_bytes_per_run: bytes that a run is expected to read of this data.
        regions: where the data may be kept, as the regions of the store are called.
        consumers: who reads the data: names of exposures, programs or teams.
        guesses: what a program found out about the rows, and nobody has confirmed yet.
        schema_contract: of a feed: what is done where its files are not as the contract says.
        quarantine_limits: of a feed: by the id of a rule, or ``*`` for all rules together, how many rows it may put into quarantine.
        quarantine_retention: of a feed: how long rows stay in quarantine; without it, for ever.
    """

    input_rows_per_run: Bounds | None = None
    input_bytes_per_run: Bounds | None = None
    regions: _Texts = ()
    consumers: _Texts = ()
    guesses: _Texts = ()
    schema_contract: SchemaContract = SchemaContract()
    quarantine_limits: dict[str, QuarantineLimit] = {}
    quarantine_retention: QuarantineRetention | None = None


class TableSettings(_Settings):
    """Custom properties of an object of ``schema``: none is known."""


class ColumnSettings(_Settings):
    """Custom properties of a property.

    Args:
        optional: the column may be missing in a file; its values are then NULL.
        since: date or version from which on the column is there; earlier files lack it.
        trim: whether blanks around the text are removed before anything else is looked at.
        null_values: spellings that stand for no value in this column, besides those of the files.
        guesses: what a program found out about the values, and nobody has confirmed yet.
    """

    optional: bool = False
    since: _Text | None = None
    trim: bool = True
    null_values: _Texts = ()
    guesses: _Texts = ()


class Server(_Part):
    """Where data is.

    Args:
        server: its name; ``landing`` makes the contract a feed.
        type: one of the standard's.
        path: of files, below the landing area.
        format: of files.
        encoding: of files, where the standard's server has it.
        delimiter: of files, where the standard's server has it.
        location: of a store.
        files: the custom properties of a server named ``landing``.
    """

    server: str
    type: str
    environment: str | None = None
    path: str | None = None
    format: str | None = None
    encoding: str | None = None
    delimiter: str | None = None
    location: str | None = None
    catalog: str | None = None
    namespace: str | None = None
    files: FileSettings = FileSettings()


class Operator(StrEnum):
    """How a measured value is compared with what a rule says."""

    MUST_BE = "mustBe"
    MUST_NOT_BE = "mustNotBe"
    GREATER = "mustBeGreaterThan"
    AT_LEAST = "mustBeGreaterOrEqualTo"
    LESS = "mustBeLessThan"
    AT_MOST = "mustBeLessOrEqualTo"
    BETWEEN = "mustBeBetween"
    NOT_BETWEEN = "mustNotBeBetween"


class Metric(StrEnum):
    """Metrics of the standard's library."""

    ROWS = "rowCount"
    NULLS = "nullValues"
    MISSING = "missingValues"
    INVALID = "invalidValues"
    DUPLICATES = "duplicateValues"


class Severity(StrEnum):
    """What a broken rule does: keep the run from being published, or be said."""

    ERROR = "error"
    WARNING = "warning"


class Rule(_Part):
    """A data quality rule of a table or of one of its columns.

    Args:
        id: unique in the contract, and the same in every version of it that has the rule.
        column: the property that it is about; None for the table.
        metric: what is counted; None where ``query`` is given.
        query: SQL with one number as its result; ``{object}`` and ``{property}`` stand for table and column.
        operator: how the number is compared.
        value: with what: a number, or two for the ``…Between`` operators, both included.
        unit: ``rows``, or ``percent`` of all rows.
        valid_values: for ``invalidValues``: the values that are allowed.
        pattern: for ``invalidValues``: the regular expression that a value has to match as a whole.
        missing_values: for ``missingValues``: values that count as missing.
        columns: for ``duplicateValues`` of a table: the properties that are looked at together.
    """

    id: str
    column: str | None = None
    metric: Metric | None = None
    query: str | None = None
    operator: Operator = Operator.MUST_BE
    value: int | float | tuple[int | float, int | float] = 0
    unit: Literal["rows", "percent"] = "rows"
    valid_values: tuple[Scalar, ...] | None = None
    pattern: str | None = None
    missing_values: tuple[Scalar, ...] = ()
    columns: tuple[str, ...] = ()
    severity: Severity = Severity.ERROR
    dimension: str | None = None
    description: str | None = None

    @property
    def is_of_rows(self) -> bool:
        """Whether each single row keeps it or breaks it, so that rows that break it can be set aside."""
        return (
            self.metric in (Metric.NULLS, Metric.MISSING, Metric.INVALID)
            and self.severity is Severity.ERROR
            and (self.operator, self.value) in ((Operator.MUST_BE, 0), (Operator.AT_MOST, 0))
        )


class Relationship(_Part):
    """Columns that hold keys of another table.

    Args:
        columns: of this table.
        to: what they refer to, one ``table.column`` for each.
    """

    columns: tuple[str, ...]
    to: tuple[str, ...]


class Options(_Part):
    """``logicalTypeOptions`` of a value that is no list, mapping or vector.

    Args:
        format: of a date, time or timestamp as Java's ``DateTimeFormatter`` writes it; of a number, its width.
        time_zone: in which a timestamp without an offset is written.
    """

    format: str | None = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None
    minimum: Scalar = None
    maximum: Scalar = None
    exclusive_minimum: Scalar = None
    exclusive_maximum: Scalar = None
    multiple_of: int | float | None = None
    timezone: bool | None = None
    default_timezone: str | None = None


class InnerOptions(Options):
    """``logicalTypeOptions`` of any value; those of lists and objects are known, so that they can be refused."""

    min_items: int | None = None
    max_items: int | None = None
    unique_items: bool | None = None
    min_properties: int | None = None
    max_properties: int | None = None
    required: tuple[str, ...] | None = None


class Inner(_Part):
    """A value inside of an object, array or map.

    Args:
        name: of the property; empty for items and values.
        options: as those of a column, and those of arrays and objects.
        other: what is said of it besides, which only columns are checked for.
    """

    name: str = ""
    physical_name: str | None = None
    logical_type: str | None = None
    physical_type: str | None = None
    options: InnerOptions = Field(InnerOptions(), alias="logicalTypeOptions")
    required: bool = False
    properties: tuple[Inner, ...] = ()
    items: Inner | None = None
    map: MapParts | None = None
    enum: object = None
    unique: bool = False
    primary_key: bool = False
    quality: object = None
    custom_properties: object = None

    @property
    def header(self) -> str:
        """The key that it has in files."""
        return self.physical_name or self.name

    def unchecked(self) -> str:
        """The first thing that is said of it and is not checked inside of another value; empty for none."""
        given = self.options.model_dump(exclude_none=True, by_alias=True)
        said = [key for key in given if key not in ("format", "timezone", "defaultTimezone")]
        for name in ("enum", "unique", "primary_key", "quality", "custom_properties"):
            said += [to_camel(name)] if getattr(self, name) else []
        return said[0] if said else ""


class MapParts(_Part):
    """Keys and values of a map."""

    key: Inner
    value: Inner


class Column(_Part):
    """A property of a contract.

    Args:
        name: in models.
        physical_name: in files and tables.
        logical_type: one of the standard's, or None.
        physical_type: of the store, such as ``decimal(18, 4)``.
        primary_key_position: from 1; None for what is no part of the key.
        enum: the values that are allowed.
        settings: custom properties.
        properties: of an object.
        items: of an array.
        map: keys and values of a map.
    """

    name: str
    physical_name: str | None = None
    description: str | None = None
    logical_type: str | None = None
    physical_type: str | None = None
    properties: tuple[Inner, ...] = ()
    items: Inner | None = None
    map: MapParts | None = None
    options: InnerOptions = Field(InnerOptions(), alias="logicalTypeOptions")
    required: bool = False
    unique: bool = False
    primary_key: bool = False
    primary_key_position: int | None = None
    classification: str | None = None
    critical_data_element: bool = False
    enum: tuple[Scalar, ...] | None = None
    deprecated: bool = False
    settings: ColumnSettings = ColumnSettings()

    @property
    def header(self) -> str:
        """Its name in files and tables."""
        return self.physical_name or self.name


class Table(_Part):
    """An object of ``schema``: a kind of files, or a table.

    Args:
        name: of the object.
        physical_name: of the table.
        columns: in the order of files.
        rules: of the table and of its columns.
        key: names of the columns that tell one row from another, in the order of ``primaryKeyPosition``.
    """

    name: str
    physical_name: str | None = None
    description: str | None = None
    grain: str | None = Field(None, alias="dataGranularityDescription")
    columns: tuple[Column, ...] = ()
    rules: tuple[Rule, ...] = ()
    key: tuple[str, ...] = ()
    relationships: tuple[Relationship, ...] = ()

    def column(self, name: str) -> Column:
        """The column of a name.

        Raises:
            KeyError: there is none.
        """
        return {column.name: column for column in self.columns}[name]


class Sla(_Part):
    """A service level.

    Args:
        property: one of ``SLA_PROPERTIES``.
        value: in ``unit``.
        element: what it is about, such as ``orders.ordered_at``.
        duration: value and unit together, for properties that are a length of time.
    """

    property: str
    value: Scalar
    unit: str | None = None
    element: str | None = None
    driver: str | None = None
    duration: timedelta | None = None


class Role(_Part):
    """Who may read the data, and who decides about it."""

    role: str
    access: str | None = None
    first_level_approvers: str | None = None
    second_level_approvers: str | None = None


class TeamMember(_Part):
    """Who is responsible."""

    username: str
    name: str | None = None
    role: str | None = None


class Contract(_Part):
    """A data contract.

    Args:
        origin: name of its file.
        digest: changes with everything that is said in it.
        tables: what its data looks like.
        servers: where its data is.
        sla: what is promised of it besides its form.
        settings: custom properties.
    """

    origin: str
    digest: str
    id: str
    version: str
    api_version: str
    name: str | None = None
    status: str | None = None
    domain: str | None = None
    tables: tuple[Table, ...]
    servers: tuple[Server, ...] = ()
    sla: tuple[Sla, ...] = ()
    roles: tuple[Role, ...] = ()
    team: tuple[TeamMember, ...] = ()
    settings: ContractSettings = ContractSettings()

    @property
    def guesses(self) -> list[tuple[str, str]]:
        """What nobody has confirmed yet: what it is about (a property, ``files`` or ``rows``), and a sentence."""
        found = [
            (column.name, text)
            for table in self.tables
            for column in table.columns
            for text in column.settings.guesses
        ]
        found += [("rows", text) for text in self.settings.guesses]
        found += [("files", text) for server in self.servers for text in server.files.guesses]
        return found

    @property
    def landing(self) -> Server | None:
        """The server that makes it a feed."""
        return next((server for server in self.servers if server.server == LANDING), None)


EXTRA = "_extra"
"""Column of a raw table: values of columns that the contract does not name, as JSON."""

LANDING = "landing"
"""Name of the server that makes a contract a feed."""

SLA_PROPERTIES: Mapping[str, bool] = {
    "frequency": True,
    "latency": True,
    "freshness": True,
    "retention": True,
    "availability": False,
    "errorRate": False,
    "throughput": False,
    "generalAvailability": False,
    "endOfSupport": False,
    "endOfLife": False,
    "timeOfAvailability": False,
    "timeToDetect": True,
    "timeToNotify": True,
    "timeToRepair": True,
}
"""Service levels that a contract may name, and whether each is a length of time."""
