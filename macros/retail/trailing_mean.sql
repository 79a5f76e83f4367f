{#
    Mean of a DECIMAL column with four decimals over the given number of rows before the current one, by date,
    rounded half away from zero; NULL while there are fewer.
#}
{% macro trailing_mean(column, rows) -%}
    {%- set preceding = 'over (order by revenue_date rows between ' ~ rows ~ ' preceding and 1 preceding)' -%}
    case
            when count(*) {{ preceding }} = {{ rows }}
                then {{ rounded_quotient('sum(' ~ column ~ ') ' ~ preceding, rows, 4) }}
        end
{%- endmacro %}
