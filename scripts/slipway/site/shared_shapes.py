"""JSON in which objects of one shape, and equal values, stand together: dbt's documents repeat the same keys and texts for every column of every model.

An object becomes a row of the table of its shape, that is, of its keys in their order; a list becomes one of the shape of its length. Tables are kept column by column. A cell is 0
for a value that was not there before, n for the n-th value, and -n for the next row of the n-th shape. The order is that in which a reader goes through the document, so
it needs no references. The browser puts it together again (``RESTORE``).
"""

from __future__ import annotations

import json
from collections.abc import Iterable

RESTORE = """
const restore = ({values, shapes, columns, root}) => {
  const rows = columns.map(() => 0);
  let next = 0;
  const cell = (code) => {
    if (code === 0) return values[next++];
    if (code > 0) return values[code - 1];
    const shape = -1 - code;
    const row = rows[shape]++;
    const keys = shapes[shape];
    const of = columns[shape].map((column) => cell(Array.isArray(column) ? column[row] : column));
    return Array.isArray(keys) ? Object.fromEntries(keys.map((key, at) => [key, of[at]])) : of;
  };
  return cell(root);
};
"""

_Key = tuple[str, ...] | int


def shared(document: object) -> bytes:
    """JSON of the tables of a document.

    Args:
        document: what JSON can hold, with texts as keys.
    """
    values: dict[tuple[type, object], int] = {}
    shapes: dict[_Key, int] = {}
    tables: list[list[list[int]]] = []

    def row(key: _Key, fields: Iterable[object], width: int) -> int:
        at = shapes.get(key)
        if at is None:
            at = shapes[key] = len(tables)
            tables.append([[] for _ in range(width)])
        place = len(tables[at][0]) if width else 0
        for column in tables[at]:
            column.append(0)  # an object inside may have the same shape, and comes later
        for column, field in zip(tables[at], fields, strict=True):
            column[place] = cell(field)
        return -1 - at

    def cell(part: object) -> int:
        if isinstance(part, dict):
            return row(tuple(part), part.values(), len(part))
        if isinstance(part, list):
            return row(len(part), part, len(part))
        known = values.get((type(part), part))
        if known is None:
            values[type(part), part] = len(values)
            return 0
        return known + 1

    root = cell(document)
    found = {
        "values": [value for _, value in values],
        "shapes": [key if isinstance(key, int) else list(key) for key in shapes],
        "columns": [[column[0] if len(set(column)) == 1 else column for column in table] for table in tables],
        "root": root,
    }
    return json.dumps(found, separators=(",", ":"), ensure_ascii=False).encode()
