{#
    Mean of a DECIMAL column over the given number of rows before the current one, by date; NULL while there
    are fewer.
#}
{% macro trailing_mean(column, rows) -%}
    {%- set preceding = 'over (order by revenue_date rows between ' ~ rows ~ ' preceding and 1 preceding)' -%}
    cast(
            case when count(*) {{ preceding }} = {{ rows }} then sum({{ column }}) {{ preceding }} / {{ rows }} end
            as decimal(38, 4)
        )
{%- endmacro %}
