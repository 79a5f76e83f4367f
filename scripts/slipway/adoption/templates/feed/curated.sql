{{
    config(
<%- for line in curated_config %>
        << line >>,
<%- endfor %>
    )
}}

with

typed as (

    {{ typed('<< feed >>') }}

),

accepted as (

    select
<%- for column in columns %>
        << column >>,
<%- endfor %>
        _source_file,
        _source_line,
        _file_sha256,
        _landed_at,
        _run_id
    from typed
    where rule_id is null

)

select * from accepted
