"""Constraints of a contract on a large table: Spark counts the rows that break them, and what it cannot count is left to DuckDB, with a sentence that says so."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from slipway.counts import size
from slipway.engines.duckdb.constraints import Question
from slipway.engines.spark.spark_errors import in_one_line
from slipway.engines.spark.translation.refusal import TranslationError
from slipway.sql_text import quote

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass
class CountedConstraints:
    """Counts by Spark where a table, or what is new in it, has more bytes than a bound; a ``constraints.Counting``.

    Args:
        session: in which the table can be read as it is going to be.
        model: for messages.
        table: database, layer and name.
        columns: DuckDB types by name.
        of_table: bytes of the whole table.
        of_new: bytes of its new files.
        above: the bound in bytes.
        notes: what was done, in words.
    """

    session: Callable[[], SparkSession]
    model: str
    table: tuple[str, str, str]
    columns: Mapping[str, str]
    of_table: int
    of_new: int
    above: int
    notes: list[str] = field(default_factory=list)

    def __call__(self, asked: Sequence[Question], only_new: bool) -> Sequence[int | None]:  # noqa: FBT001 - of the protocol
        """How many rows break each constraint; None for those that DuckDB is to count.

        Raises:
            SlipwayError: Spark ended with an error.
        """
        found = self.of_new if only_new else self.of_table
        if found <= self.above:
            return [None] * len(asked)
        what = "the rows written" if only_new else "the table"
        why = f"{what} {'have' if only_new else 'has'} {size(found)}, and spark_above is {size(self.above)}"
        counts = [self._counted(one, why) for one in asked]
        if any(count is not None for count in counts):
            self._note(f"constraints checked by Spark, because {why}")
        return counts

    def _counted(self, question: Question, why: str) -> int | None:
        # imported where it is needed: sqlglot takes a third of a second
        from slipway.engines.spark.translation.translate import translate

        relation = ".".join(map(quote, self.table))
        try:
            sql = translate(question.query(relation), {".".join(self.table): self.columns}, self.model)
        except TranslationError as error:
            self._note(f"{question.label} checked by DuckDB, although {why}: {error.why}")
            return None
        with in_one_line(self.model):
            ((count,),) = self.session().sql(sql).collect()
        return int(count)

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)
