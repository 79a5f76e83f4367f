{#
    The condition of the run's slice, `true` without one; used once, at the boundary from raw to curated.

    --vars '{slice: {from: 2011-08-01, to: 2011-08-08, regions: [north, south]}}'

    Dimensions are declared once, in the var slice_dimensions: name to {column, kind}. The one of kind `range` is
    limited by `from` (inclusive) and `to` (exclusive), dates as 2011-08-01; one of kind `list` takes a value or a list.
    `sample: 5%` is a dimension of every project: rows whose `sample_key`, which the model's config declares, is in that share.
    Refuses an unknown dimension, one without a value, what is no date, and a range that holds nothing.
#}
{% macro slice_predicate() %}
    {%- set slice = var('slice', none) -%}
    {%- if not slice or _slipway_reads_whole_input() -%} {{ return('true') }} {%- endif -%}
    {%- set dimensions = var('slice_dimensions', {}) -%}
    {%- if slice is not mapping -%}
        {%- do exceptions.raise_compiler_error("slice is not a mapping: " ~ slice ~ ". Write slice: {from: 2011-08-01, to: 2011-08-08}.") -%}
    {%- endif -%}
    {%- set known = {} -%}
    {%- for name, dimension in dimensions.items() -%}
        {%- for key in (['from', 'to'] if dimension.kind == 'range' else [name]) -%}
            {%- do known.update({key: dimension.column}) -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- set conditions = [] -%}
    {%- for name, value in slice.items() -%}
        {%- if name == 'sample' and name not in known -%}
            {%- do conditions.append(_slipway_sample_predicate(value)) -%}
        {%- elif name not in known -%}
            {%- do exceptions.raise_compiler_error("slice has unknown dimension " ~ name ~ ". Use one of " ~ (known | list + ['sample']) | join(', ') ~ ".") -%}
        {%- elif name == 'from' -%}
            {%- do conditions.append(known[name] ~ " >= " ~ _slipway_slice_date(name, value)) -%}
        {%- elif name == 'to' -%}
            {%- do conditions.append(known[name] ~ " < " ~ _slipway_slice_date(name, value)) -%}
        {%- else -%}
            {%- do conditions.append(known[name] ~ " in (" ~ _slipway_slice_values(name, value) ~ ")") -%}
        {%- endif -%}
    {%- endfor -%}
    {%- if 'from' in slice and 'to' in slice and slice['from'] | string >= slice['to'] | string -%}
        {%- do exceptions.raise_compiler_error("slice is empty: from " ~ slice['from'] ~ " is not before to " ~ slice['to'] ~ ". The range is [from, to).") -%}
    {%- endif -%}
    {{ return(conditions | join(' and ')) }}
{% endmacro %}


{% macro _slipway_slice_date(name, value) %}
    {%- if not modules.re.fullmatch('[0-9]{4}-[0-9]{2}-[0-9]{2}', value | string) -%}
        {%- do exceptions.raise_compiler_error("slice dimension " ~ name ~ " is no date: " ~ value ~ ". Write it as 2011-08-01.") -%}
    {%- endif -%}
    {%- set year, month, day = (value | string).split('-') | map('int') -%}
    {%- set lengths = [31, 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] -%}
    {%- if year == 0 or month not in range(1, 13) or day not in range(1, lengths[month - 1] + 1) -%}
        {%- do exceptions.raise_compiler_error("slice dimension " ~ name ~ " is a day that does not exist: " ~ value ~ ". Name another.") -%}
    {%- endif -%}
    {{ return("date '" ~ value ~ "'") }}
{% endmacro %}


{% macro _slipway_slice_values(name, value) %}
    {%- set values = [value] if value is string or value is number else value -%}
    {%- if not values -%}
        {%- do exceptions.raise_compiler_error("slice dimension " ~ name ~ " has no value. Name at least one.") -%}
    {%- endif -%}
    {%- set literals = [] -%}
    {%- for item in values -%} {%- do literals.append("'" ~ item | string | replace("'", "''") ~ "'") -%} {%- endfor -%}
    {{ return(literals | join(', ')) }}
{% endmacro %}


{# A unit test brings its own rows: the run's slice is not its business, unless it sets one itself. #}
{% macro _slipway_reads_whole_input() %}
    {%- set overrides = model.get('overrides') or {} -%}
    {{ return(model.resource_type == 'unit_test' and 'slice' not in (overrides.get('vars') or {})) }}
{% endmacro %}
