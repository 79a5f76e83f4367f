"""Queries: SELECT and its clauses, set operations, WITH, VALUES, and queries in expressions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlglot import exp

from slipway.engines.spark.translation.grouping import (
    Projection,
    check_distinct,
    check_unambiguous,
    group_by,
    order_and_limit,
)
from slipway.engines.spark.translation.operators import (
    COMPARED,
    common_values,
    condition,
    interval_parts,
    resolved_name,
)
from slipway.engines.spark.translation.refusal import excerpt
from slipway.engines.spark.translation.scopes import Column, Scope, Source, Value, quoted
from slipway.engines.spark.translation.translator import Handler, Query, Tables, Translator
from slipway.engines.spark.translation.type_kinds import BOOLEAN, DATE

_CLAUSES = (
    *("with_", "expressions", "distinct", "from_", "joins", "where", "group", "having"),
    *("qualify", "windows", "order", "limit", "offset"),
)


def query(
    translator: Translator,
    node: exp.Expression,
    tables: Tables,
    outer: Scope | None,
    *,
    is_named: bool = True,
) -> Query:
    """A query of any form.

    Args:
        translator: what translates expressions.
        node: the query.
        tables: what names of tables stand for here.
        outer: the scope of the expression that the query stands in.
        is_named: whether somebody refers to its columns by name, so that each needs one.

    Raises:
        TranslationError: a part of it is not known to have the same result on Spark.
    """
    before = translator.tables
    prefix, translator.tables = _with(translator, node, tables, outer)
    try:
        match node:
            case exp.Select():
                found = _select(translator, node, outer, is_named=is_named)
            case exp.Union() | exp.Except() | exp.Intersect():
                found = _set_operation(translator, node, outer)
            case exp.Subquery():
                translator.only(node, "this", "with_")
                found = query(translator, node.this, translator.tables, outer, is_named=is_named)
            case exp.Values():
                found = _values(translator, node, outer)
            case _:
                translator.refuse(node, f"the statement {excerpt(node)}", "A model is one SELECT")
    finally:
        translator.tables = before
    return Query(prefix + found.spark, found.columns, found.is_correlated)


def _with(
    translator: Translator, node: exp.Expression, tables: Tables, outer: Scope | None
) -> tuple[str, Tables]:
    clause = node.args.get("with_")
    if clause is None:
        return "", tables
    translator.only(clause, "expressions")
    known, parts = dict(tables), []
    for one in clause.expressions:
        translator.only(one, "this", "alias")
        alias = one.args["alias"]
        translator.only(alias, "this")
        inner = query(translator, one.this, known, outer)
        known[alias.name.lower()] = inner.columns
        parts.append(f"{quoted(alias.name)} AS ({inner.spark})")
    return f"WITH {', '.join(parts)} ", known


# ------------------------------------------------------------------------------------------------ FROM


def _source(translator: Translator, node: exp.Expression, outer: Scope | None) -> tuple[str, Source]:
    """What stands in FROM: its text with an alias, and its columns."""
    match node:
        case exp.Table():
            return _table(translator, node)
        case exp.Subquery():
            translator.only(node, "this", "alias", "with_")
            inner = query(translator, node.this, translator.tables, outer)
            name, columns = _renamed(translator, node, inner.columns, "query")
            return f"({inner.spark}) AS {_alias(name, columns, inner.columns)}", Source(name, columns)
        case exp.Values():
            inner = _values(translator, node, outer)
            name, columns = _renamed(translator, node, inner.columns, "values")
            listed = ", ".join(quoted(one.name) for one in columns)
            return f"({inner.spark}) AS {quoted(name)}({listed})", Source(name, columns)
    return translator.refuse(
        node, f"{excerpt(node)} in FROM", "Name a table, a CTE, a query in parentheses, or VALUES"
    )


def _alias(name: str, columns: Sequence[Column], before: Sequence[Column]) -> str:
    if list(columns) == list(before):
        return quoted(name)
    return f"{quoted(name)}({', '.join(quoted(one.name) for one in columns)})"


def _table(translator: Translator, node: exp.Table) -> tuple[str, Source]:
    translator.only(node, "this", "db", "catalog", "alias")
    if not isinstance(node.this, exp.Identifier):
        translator.refuse(
            node,
            f"the table function {excerpt(node)}",
            "Name a table, a CTE, a query in parentheses, or VALUES",
        )
    parts = [part.name for part in node.parts]
    found = translator.tables.get(".".join(parts).lower())
    if found is None:
        translator.refuse(
            node,
            f"the table {'.'.join(parts)}",
            "Read tables by ref and source, so that their columns are known",
        )
    name, columns = _renamed(translator, node, list(found), "", parts[-1])
    written = ".".join(quoted(part) for part in parts)
    return f"{written} AS {_alias(name, columns, found)}", Source(name, columns)


def _renamed(
    translator: Translator, node: exp.Expression, columns: list[Column], kind: str, name: str = ""
) -> tuple[str, list[Column]]:
    alias = node.args.get("alias")
    if alias is None:
        return name or translator.new_name(kind), columns
    translator.only(alias, "this", "columns")
    names = [one.name for one in alias.args.get("columns") or ()]
    if len(names) > len(columns):
        translator.refuse(node, form="As many column names as there are columns")
    renamed = [Column(new, one.kind) for new, one in zip(names, columns, strict=False)] + columns[
        len(names) :
    ]
    return alias.name or name or translator.new_name(kind), renamed


def _from(translator: Translator, node: exp.Select, scope: Scope) -> str:
    clause = node.args.get("from_")
    if clause is None:
        if node.args.get("joins"):
            translator.refuse(node)
        return ""
    translator.only(clause, "this")
    text, source = _source(translator, clause.this, scope.outer)
    scope.sources.append(source)
    written = [f" FROM {text}"]
    joins = [*_taken_joins(clause.this), *(node.args.get("joins") or [])]
    written += [_join(translator, join, scope) for join in joins]
    names = [one.name.lower() for one in scope.sources]
    if len(set(names)) < len(names):
        translator.refuse(node, "two tables of one name in FROM", "Give each an alias")
    return "".join(written)


def _taken_joins(node: exp.Expression) -> list[exp.Expression]:
    """Joins that sqlglot hangs on a table in place of the query."""
    return list(node.args.get("joins") or [])


def _join(translator: Translator, join: exp.Expression, scope: Scope) -> str:
    translator.only(join, "this", "side", "kind", "on", "using")
    side, kind = str(join.args.get("side") or "").upper(), str(join.args.get("kind") or "").upper()
    words = f"{side} {kind}".strip()
    if words in {"", "INNER", "CROSS"} and not (join.args.get("on") or join.args.get("using")):
        words = "CROSS"
    elif words not in {"", "INNER", "LEFT", "LEFT OUTER", "RIGHT", "RIGHT OUTER", "FULL", "FULL OUTER"}:
        translator.refuse(join, f"{words} JOIN", "INNER, LEFT, RIGHT, FULL or CROSS JOIN")
    text, source = _source(translator, join.this, scope.outer)
    before = list(scope.sources)
    scope.sources.append(source)
    written = f" {words or 'INNER'} JOIN {text}"
    if join.args.get("using"):
        if words not in {"", "INNER", "LEFT", "LEFT OUTER"}:
            translator.refuse(join, f"USING in a {words} JOIN", "Write ON, and coalesce the two columns")
        return written + _using(translator, join, scope, before, source)
    if join.args.get("on") is not None:
        written += f" ON {condition(translator, join.args['on'], scope).spark}"
    elif words != "CROSS":
        translator.refuse(join, f"{words} JOIN without a condition", "Write ON")
    return written


def _using(
    translator: Translator, join: exp.Expression, scope: Scope, before: list[Source], source: Source
) -> str:
    names = []
    for one in join.args["using"]:
        name = one.name
        left = [found for other in before if (found := other.find(name))]
        right = source.find(name)
        if (
            len(left) != 1
            or right is None
            or left[0].kind.text != right.kind.text
            or (right.kind.id not in {*COMPARED} and not right.kind.is_exact)
        ):
            translator.refuse(join, f"USING ({name})", "Write ON with columns of one type")
        scope.merged[name.lower()] = left[0]
        names.append(quoted(name))
    return f" USING ({', '.join(names)})"


# ------------------------------------------------------------------------------------------------ SELECT


def _select(translator: Translator, node: exp.Select, outer: Scope | None, *, is_named: bool) -> Query:
    translator.only(node, *_CLAUSES)
    scope = Scope(outer=outer)
    from_text = _from(translator, node, scope)
    scope.windows = {one.name.lower(): one for one in node.args.get("windows") or ()}
    scope.aliases = {one.alias.lower(): one.this for one in node.expressions if isinstance(one, exp.Alias)}
    projections = _projections(translator, node, scope)
    columns = _named(translator, node, projections, is_named=is_named)
    where = node.args.get("where")
    tail = f" WHERE {condition(translator, where.this, scope).spark}" if where is not None else ""
    tail += group_by(translator, node, scope, projections)
    having = node.args.get("having")
    if having is not None:
        check_unambiguous(translator, having, scope)
        tail += f" HAVING {condition(translator, having.this, scope).spark}"
    listed = ", ".join(
        f"{one.value.spark} AS {quoted(column.name)}"
        for one, column in zip(projections, columns, strict=True)
    )
    distinct = node.args.get("distinct")
    if distinct is not None:
        translator.only(distinct)
        check_distinct(translator, projections)
    qualify = node.args.get("qualify")
    if qualify is not None:
        return _qualified(translator, node, scope, f"{listed}", from_text + tail, columns)
    written = f"SELECT {'DISTINCT ' if distinct is not None else ''}{listed}{from_text}{tail}"
    written += order_and_limit(translator, node, scope, columns)
    return Query(written, columns, scope.is_correlated)


def _qualified(
    translator: Translator, node: exp.Select, scope: Scope, listed: str, rest: str, columns: list[Column]
) -> Query:
    """QUALIFY is a column of a query around which another one filters."""
    for name in ("distinct", "order", "limit", "offset"):
        if node.args.get(name) is not None:
            translator.refuse(
                node.args["qualify"],
                f"QUALIFY together with {name.upper()}",
                "Write the two in queries of their own",
            )
    clause = node.args["qualify"]
    check_unambiguous(translator, clause, scope)
    keeps = condition(translator, clause.this, scope).spark
    kept, inner = translator.new_name("kept"), translator.new_name("query")
    names = ", ".join(quoted(one.name) for one in columns)
    spark = f"SELECT {names} FROM (SELECT {listed}, {keeps} AS {quoted(kept)}{rest}) AS {quoted(inner)} WHERE {quoted(kept)}"
    return Query(spark, columns, scope.is_correlated)


def _projections(translator: Translator, node: exp.Select, scope: Scope) -> list[Projection]:
    found: list[Projection] = []
    for one in node.expressions:
        inner = one.this if isinstance(one, exp.Alias) else one
        if isinstance(one, exp.Star) or (isinstance(one, exp.Column) and isinstance(one.this, exp.Star)):
            found += _star(translator, one, scope)
        elif isinstance(one, exp.Alias):
            translator.only(one, "this", "alias")
            value = _generated(translator, node, inner, scope) or translator.expression(inner, scope)
            found.append(Projection(inner, value, one.alias))
        else:
            name = resolved_name(one, scope) if isinstance(one, exp.Column) else None
            found.append(Projection(one, translator.expression(one, scope), name))
    return found


def _star(translator: Translator, node: exp.Expression, scope: Scope) -> list[Projection]:
    star = node.this if isinstance(node, exp.Column) else node
    translator.only(star, "except_")
    if isinstance(node, exp.Column):
        translator.only(node, "this", "table")
    table = node.args["table"].name.lower() if isinstance(node, exp.Column) else None
    left_out = {one.name.lower() for one in star.args.get("except_") or ()}
    sources = [one for one in scope.sources if table is None or one.name.lower() == table]
    if not sources:
        translator.refuse(node, form="Name a table of FROM")
    found, seen = [], set()
    for source in sources:
        for column in source.columns:
            key = column.name.lower()
            if key in left_out or (table is None and key in scope.merged and key in seen):
                continue
            seen.add(key)
            reference = exp.column(column.name, table=source.name, quoted=True)
            reference.parent = node
            found.append(Projection(reference, translator.expression(reference, scope), column.name))
    if left_out - seen - {one.name.lower() for source in sources for one in source.columns}:
        translator.refuse(node, form="Exclude columns that are there")
    return found


def _named(
    translator: Translator, node: exp.Select, projections: list[Projection], *, is_named: bool
) -> list[Column]:
    columns = []
    for one in projections:
        if one.name is None and is_named:
            translator.refuse(
                one.node, f"{excerpt(one.node)} without a name", f"Name it: {excerpt(one.node)} as …"
            )
        kind = one.value.kind
        if kind.id == "null":
            translator.refuse(one.node, "NULL without a type", "Cast it: cast(null as varchar)")
        columns.append(Column(one.name or translator.new_name("column"), kind))
    names = [one.name.lower() for one in columns]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        translator.refuse(
            node, f"two columns with the name {twice}", "Give one of them another name, or leave it out"
        )
    return columns


def _generated(translator: Translator, node: exp.Select, inner: exp.Expression, scope: Scope) -> Value | None:
    """``cast(unnest(generate_series(first, last, interval 1 day)) as date)``, a row for each date."""
    call = inner.this if isinstance(inner, exp.Cast) else None
    if not (isinstance(call, exp.Anonymous) and call.name.lower() == "unnest" and len(call.expressions) == 1):
        return None
    series = call.expressions[0]
    form = "cast(unnest(generate_series(first, last, interval 1 day)) as date), of two dates"
    if not (
        inner.args["to"].is_type("date")
        and isinstance(series, exp.Anonymous)
        and series.name.lower() == "generate_series"
        and len(series.expressions) == 3
        and isinstance(series.expressions[2], exp.Interval)
        and not any(
            node.args.get(one) for one in ("distinct", "group", "having", "qualify", "order", "limit")
        )
    ):
        translator.refuse(inner, form=form)
    first, last = (translator.expression(one, scope) for one in series.expressions[:2])
    count, unit = interval_parts(translator, series.expressions[2])
    if first.kind.id != "date" or last.kind.id != "date" or unit not in {"DAY", "MONTH"} or count == 0:
        translator.refuse(inner, form=form)
    days = f"SEQUENCE({first.spark}, {last.spark}, INTERVAL '{count}' {unit})"
    fits = f"{first.spark} <= {last.spark}"
    if unit == "MONTH":
        # from the 29th on DuckDB keeps the day of the shortest month so far
        days = f"CASE WHEN DAY({first.spark}) <= 28 THEN {days} ELSE RAISE_ERROR('Slipway: a series of months that begins after the 28th') END"
    return Value(f"EXPLODE(CASE WHEN {fits} THEN {days} END)", DATE, DATE.probe)


# ------------------------------------------------------------------------------------------------ sets and values


def _set_operation(translator: Translator, node: exp.Expression, outer: Scope | None) -> Query:
    translator.only(node, "this", "expression", "distinct", "by_name", "with_", "order", "limit")
    left = query(translator, node.this, translator.tables, outer)
    right = query(translator, node.expression, translator.tables, outer)
    word = {exp.Union: "UNION", exp.Except: "EXCEPT", exp.Intersect: "INTERSECT"}[type(node)]  # type: ignore[index]
    word += "" if node.args.get("distinct") else " ALL"
    if word in {"EXCEPT ALL", "INTERSECT ALL"}:
        translator.refuse(node, word, word.removesuffix(" ALL"))
    if node.args.get("by_name"):
        left, right = _by_name(translator, left, right)
    if len(left.columns) != len(right.columns):
        translator.refuse(node, form="As many columns on both sides")
    for one, other in zip(left.columns, right.columns, strict=True):
        if one.kind.text != other.kind.text:
            translator.refuse(
                node,
                f"{word} of {one.name} as {one.kind.text} and as {other.kind.text}",
                "Cast both to one type",
            )
        if word != "UNION ALL" and one.kind.id not in COMPARED and not one.kind.is_exact:
            translator.refuse(
                node, f"{word} of {one.kind.text}", "UNION ALL, or cast it to a text or DECIMAL"
            )
    spark = f"({left.spark}) {word} ({right.spark})"
    correlated = left.is_correlated or right.is_correlated
    if node.args.get("order") is None and node.args.get("limit") is None:
        return Query(spark, left.columns, correlated)
    spark = f"SELECT * FROM ({spark}) AS {quoted(translator.new_name('query'))}"
    spark += order_and_limit(translator, node, Scope(), left.columns)
    return Query(spark, left.columns, correlated)


def _by_name(translator: Translator, left: Query, right: Query) -> tuple[Query, Query]:
    """Both sides with all columns, those that one does not have as NULL."""
    names = [one.name.lower() for one in left.columns]
    columns = [*left.columns, *(one for one in right.columns if one.name.lower() not in names)]

    def completed(side: Query) -> Query:
        own = {one.name.lower(): one for one in side.columns}
        listed = [
            f"{quoted(own[one.name.lower()].name) if one.name.lower() in own else f'CAST(NULL AS {one.kind.spark})'} AS {quoted(one.name)}"
            for one in columns
        ]
        kinds = [own.get(one.name.lower(), one).kind for one in columns]
        inner = quoted(translator.new_name("query"))
        return Query(
            f"SELECT {', '.join(listed)} FROM ({side.spark}) AS {inner}",
            [Column(one.name, kind) for one, kind in zip(columns, kinds, strict=True)],
            side.is_correlated,
        )

    return completed(left), completed(right)


def _values(translator: Translator, node: exp.Expression, outer: Scope | None) -> Query:
    """VALUES, every column of which is of the type that DuckDB gives all its values together."""
    translator.only(node, "expressions", "alias", "with_")
    scope = Scope(outer=outer)
    rows = []
    for one in node.expressions:
        cells = one.expressions if isinstance(one, exp.Tuple) else [one]
        rows.append([translator.expression(cell, scope) for cell in cells])
    if len({len(row) for row in rows}) != 1:
        translator.refuse(node)
    columns = [common_values(translator, node, [row[at] for row in rows]) for at in range(len(rows[0]))]
    listed = ", ".join(
        "(" + ", ".join(column[at].spark for column in columns) + ")" for at in range(len(rows))
    )
    return Query(
        f"SELECT * FROM VALUES {listed}",
        [Column(f"col{at}", column[0].kind) for at, column in enumerate(columns)],
    )


# ------------------------------------------------------------------------------------------------ in expressions


def exists(translator: Translator, node: exp.Expression, scope: Scope) -> Value:
    """``exists (select …)``."""
    translator.only(node, "this")
    inner = node.this.this if isinstance(node.this, exp.Subquery) else node.this
    found = query(translator, inner, translator.tables, scope, is_named=False)
    return Value(f"EXISTS ({found.spark})", BOOLEAN, BOOLEAN.probe)


def scalar(translator: Translator, node: exp.Expression, scope: Scope) -> Value:
    """A query in parentheses as a value."""
    translator.only(node, "this")
    found = query(translator, node.this, translator.tables, scope, is_named=False)
    if len(found.columns) != 1:
        translator.refuse(node, form="A query with one column")
    if found.is_correlated:
        translator.refuse(node, "a query as a value that uses columns of the query around it", "Join the two")
    kind = found.columns[0].kind
    return Value(f"({found.spark})", kind, kind.probe)


def inner_query(
    translator: Translator, node: exp.Expression, tables: Mapping[str, Sequence[Column]], outer: Scope | None
) -> Query:
    """A query in an expression, whose columns have no names."""
    return query(translator, node, tables, outer, is_named=False)


HANDLERS: dict[type[exp.Expression], Handler] = {exp.Exists: exists, exp.Subquery: scalar}
