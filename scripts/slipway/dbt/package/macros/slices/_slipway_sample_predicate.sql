{#
    The condition of a sample: rows whose key is in a share of all keys, or NULL. `true` for a model that declares no `sample_key`.

    A key is in the share if the MD5 of its text, read as a number, is in that share of all 128 bit numbers. MD5 is the same in every version of every
    engine, so a key has one answer in all tables, on both sides of a comparison, and in the next run. Hexadecimal digits have the order of the
    numbers that they write, so that texts can be compared. A key of several columns is their texts with `|` between them.

    Argument: the share in percent, as `5%`, `0.5%` or 5.
#}
{% macro _slipway_sample_predicate(share) %}
    {%- set given = config.get('sample_key') or [] -%}
    {%- set columns = [given] if given is string else given -%}
    {%- if not columns -%} {{ return('true') }} {%- endif -%}
    {%- set found = modules.re.fullmatch('([0-9]{1,3})(?:[.]([0-9]{1,6}))? *%?', share | string | trim) -%}
    {%- if not found -%}
        {%- do exceptions.raise_compiler_error("slice dimension sample is no share: " ~ share ~ ". Write it as 5% or 0.1%.") -%}
    {%- endif -%}
    {%- set places = found.group(2) or '' -%}
    {%- set part = (found.group(1) ~ places) | int * 2 ** 32 // (100 * 10 ** (places | length)) -%}
    {%- if part >= 2 ** 32 -%} {{ return('true') }} {%- endif -%}
    {%- set texts, missing = [], [] -%}
    {%- for column in columns -%}
        {%- do texts.append(_slipway_key_text(column)) -%}
        {%- do missing.append("(" ~ column ~ ") is null") -%}
    {%- endfor -%}
    {%- set text = texts | join(" || '|' || ") -%}
    {{ return("(" ~ missing | join(' or ') ~ " or md5(" ~ text ~ ") < '" ~ ('%08x' | format(part)) ~ "')") }}
{% endmacro %}


{#
    A key's text, which is the same for equal keys of different types: of 5, 5.00 and '5'. A type whose texts depend on settings or on the version, such as
    a time or a float, is refused when a row is read.
#}
{% macro _slipway_key_text(column) %}
    {%- set kind, text = "typeof(" ~ column ~ ")", "cast((" ~ column ~ ") as varchar)" -%}
    {%- set plain = ['BIGINT', 'BOOLEAN', 'DATE', 'HUGEINT', 'INTEGER', 'SMALLINT', 'TINYINT', 'UBIGINT', 'UHUGEINT', 'UINTEGER', 'USMALLINT', 'UTINYINT', 'UUID', 'VARCHAR'] -%}
    {%- set refused = "The sample_key " ~ column ~ " of " ~ model.name ~ " has no text that is the same in every table. Cast it to a whole number, a decimal number, a date or a text. Its type is " -%}
    {{ return(
        "case when " ~ kind ~ " in ('" ~ plain | join("', '") ~ "') or " ~ kind ~ " like 'ENUM(%' or " ~ kind ~ " like 'DECIMAL(%,0)' then " ~ text
        ~ " when " ~ kind ~ " like 'DECIMAL(%' then rtrim(rtrim(" ~ text ~ ", '0'), '.')"
        ~ " else error('" ~ refused | replace("'", "''") ~ "' || " ~ kind ~ ") end"
    ) }}
{% endmacro %}
