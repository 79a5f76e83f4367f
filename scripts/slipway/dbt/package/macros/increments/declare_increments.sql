{#
    While dbt parses, what stands behind is_incremental() is not rendered, so that an input which is named only there, as the
    argument of rows_added or partitions_changed, would be unknown to dbt when the model runs. It is declared here.
#}
{% macro declare_increments() %}
    {%- set code = modules.re.sub("(?s)\\{#.*?#\\}", "", model.get('raw_code') or '') -%}
    {%- set call = "(?:rows_added|partitions_changed)\\s*\\(\\s*(?:relation\\s*=\\s*)?(ref|source)\\s*\\(([^()]*)\\)" -%}
    {%- for kind, given in modules.re.findall(call, code) -%}
        {%- set version = modules.re.search("\\b(?:v|version)\\s*=\\s*['\"]?([^'\",\\s]+)", given) -%}
        {%- set names = [] -%}
        {%- for name in modules.re.findall("['\"]([^'\"]+)['\"]", given[:version.start()] if version else given) -%}
            {%- do names.append(name) -%}
        {%- endfor -%}
        {%- if kind == 'source' -%}
            {%- do builtins.source(*names) -%}
        {%- elif version -%}
            {%- do builtins.ref(*names, v=version.group(1)) -%}
        {%- else -%}
            {%- do builtins.ref(*names) -%}
        {%- endif -%}
    {%- endfor -%}
{% endmacro %}
