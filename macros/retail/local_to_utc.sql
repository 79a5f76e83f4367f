{#
    The instant of a local TIMESTAMP in the shop's time zone (var `shop_time_zone`), or NULL for a local
    time that does not exist there: conversion moves such a time, so it does not survive the way back. Of an
    hour that occurs twice in autumn, the second one (standard time) is taken.
#}
{% macro local_to_utc(column) -%}
    case
        when timezone('{{ var("shop_time_zone") }}', timezone('{{ var("shop_time_zone") }}', {{ column }})) = {{ column }}
            then timezone('{{ var("shop_time_zone") }}', {{ column }})
    end
{%- endmacro %}
