{{
    config(
<%- for line in quarantine_config %>
        << line >>,
<%- endfor %>
    )
}}

with

<% if originals -%>
typed as (

    {{ typed('<< feed >>') }}

),

refused as (

    select
<%- for column in originals %>
        << column >>,
<%- endfor %>
        _source_file,
        _source_line,
        _file_sha256,
        _landed_at,
        _run_id,
        rule_id,
        reason,
        _row_key
    from typed
    where rule_id is not null and {{ within_retention('<< feed >>') }}

)
<%- else -%>
refused as (

    {{ quarantined('<< feed >>') }}

)
<%- endif %>

select * from refused
