{#
    Trimmed ISO text without an offset as TIMESTAMP, or NULL: date, hour and minute, optionally seconds with
    up to six decimals. The pattern is checked before the cast, because the cast by itself reads a bare date as
    midnight and 24:00 as the next day.
#}
{% macro parse_local_timestamp(column) -%}
    case
        when regexp_full_match(
            {{ column }},
            '[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}[ T]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]{1,6})?)?'
        )
            then try_cast(replace({{ column }}, 'T', ' ') as timestamp)
    end
{%- endmacro %}
