"""Upper and lower case, one character for one as in DuckDB.

Spark maps by Unicode's full rules: ``ß`` becomes ``SS``, and a sigma at the end of a word another one. Texts of ASCII are mapped as they are; others character by character, except
those that the two engines map differently even then: the first of these in number become several characters in Spark, the others came with Unicode 16, which Spark knows.
"""

from __future__ import annotations

from slipway.engines.spark.translation.scopes import computed_once, text_literal

_UPPER = """
df+7615 149 19b 1f0 264 390 3b0 587 1c8a 1e96-1e9a 1f50 1f52 1f54 1f56 1f80-1f87+8 1f88-1f8f 1f90-1f97+8 1f98-1f9f
1fa0-1fa7+8 1fa8-1faf 1fb2 1fb3+9 1fb4 1fb6-1fb7 1fbc 1fc2 1fc3+9 1fc4 1fc6-1fc7 1fcc 1fd2-1fd3 1fd6-1fd7 1fe2-1fe4
1fe6-1fe7 1ff2 1ff3+9 1ff4 1ff6-1ff7 1ffc a7cd a7db fb00-fb06 fb13-fb17 10d70-10d85
"""
_LOWER = """
130+-199 1c89 a7cb-a7cc a7da a7dc 10d50-10d65
"""


def _pairs(runs: str) -> dict[str, str]:
    """Characters by runs of code points in hexadecimal, and how far each is from what DuckDB makes of it."""
    found = {}
    for run in runs.split():
        points, _, distance = run.partition("+")
        first, _, last = points.partition("-")
        for point in range(int(first, 16), int(last or first, 16) + 1):
            found[chr(point)] = chr(point + int(distance or 0))
    return found


DIFFERENT = {"upper": _pairs(_UPPER), "lower": _pairs(_LOWER)}
"""Characters that Spark maps differently from DuckDB by themselves, and what DuckDB makes of them."""


def mapped_by_character(name: str, text: str) -> str:
    """The text for Spark of ``upper(text)`` or ``lower(text)`` of DuckDB."""
    function, exceptions = name.upper(), DIFFERENT[name]
    sources = text_literal("".join(exceptions))
    targets = text_literal("".join(exceptions.values()))
    each = f"c -> IF(CONTAINS({sources}, c), TRANSLATE(c, {sources}, {targets}), {function}(c))"
    by_character = f"ARRAY_JOIN(TRANSFORM(SPLIT({{x}}, ''), {each}), '')"
    written = f"IF({{x}} RLIKE '^[\\\\x00-\\\\x7F]*$', {function}({{x}}), {by_character})"
    return computed_once(text, lambda x: written.replace("{x}", x))
