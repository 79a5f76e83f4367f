"""What a Python model of Spark returns, as the rows of its table: its columns have the names and types that the model declares."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from slipway.engines.spark.session_settings import check_session, functions_of
from slipway.engines.spark.translation.scopes import quoted
from slipway.errors import ContractError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import DataType


def check_frame(frame: Any, names: Sequence[str], model: str, session: SparkSession) -> None:
    """Refuse what a model returned if it is no data frame of Spark, or has other columns than are declared.

    Args:
        frame: what was returned.
        names: of the declared columns.
        model: for messages.
        session: the one that the model was given.

    Raises:
        ConfigError: the model has changed settings of the session on which results depend.
        ContractError: the frame is refused.
    """
    from pyspark.sql import DataFrame

    if not isinstance(frame, DataFrame):
        raise ContractError(
            f"{model}: the model returned a {type(frame).__name__}",
            "a model of Spark gives its rows as a DataFrame of Spark",
            "Return one: session.createDataFrame(rows, schema)",
        )
    if frame.sparkSession is not session:
        raise ContractError(
            f"{model}: the model returned a frame of another session",
            "that session has tables which the model does not name, and they would be read unnoticed",
            "Use the session that the model is given, and no getOrCreate()",
        )
    check_session(session)
    found, declared = [{name.lower(): name for name in some} for some in (frame.columns, names)]
    if len(found) < len(frame.columns):
        counted = Counter(name.lower() for name in frame.columns)
        twice = next(name for name in frame.columns if counted[name.lower()] > 1)
        raise ContractError(f"{model}: column {twice} occurs twice", fix="Give each column a name of its own")
    said = [f"column {name} is declared and not there" for key, name in declared.items() if key not in found]
    said += [f"column {name} is not declared" for key, name in found.items() if key not in declared]
    if said:
        raise ContractError(
            f"{model}: {'; '.join(said)}",
            fix="Return the columns of the model's YAML, or declare them there with data_type",
        )


def cast_safely(frame: DataFrame, kinds: dict[str, DataType], model: str) -> DataFrame:
    """A frame whose columns have the types of the table, where a cast keeps every value or ends with an error.

    Args:
        frame: with the declared columns.
        kinds: types by the names of columns in lower case; a column that the table does not have keeps its own.
        model: for messages.

    Raises:
        ContractError: a column has another type, of which values could be changed in silence.
    """
    col = functions_of(frame.sparkSession).col
    said, chosen = [], []
    for field in frame.schema.fields:
        wanted = kinds.get(field.name.lower(), field.dataType)
        if not _keeps_values(field.dataType, wanted):
            said.append(
                f"column {field.name} is {field.dataType.simpleString()}, and is declared as {wanted.simpleString()}"
            )
        chosen.append(col(quoted(field.name)).cast(wanted).alias(field.name))
    if said:
        raise ContractError(
            f"{model}: {'; '.join(said)}", fix="Cast it in the model, as it should be rounded or read"
        )
    return frame.select(chosen)


def _keeps_values(given: DataType, wanted: DataType) -> bool:
    """Whether a cast in ANSI mode keeps each value, or refuses it: it may overflow, and must not round."""
    from pyspark.sql import types

    if given.simpleString() == wanted.simpleString() or isinstance(given, types.NullType):
        return True
    if isinstance(given, types.IntegralType):
        return isinstance(wanted, types.IntegralType | types.DecimalType)
    if isinstance(given, types.DecimalType):
        return isinstance(wanted, types.DecimalType) and wanted.scale >= given.scale
    return isinstance(given, types.FloatType) and isinstance(wanted, types.DoubleType)
