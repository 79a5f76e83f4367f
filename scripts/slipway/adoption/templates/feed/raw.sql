{{
    config(
<%- for line in raw_config %>
        << line >>,
<%- endfor %>
    )
}}

-- every column that the contract has, and those that it gains
select * from {{ source('landing', '<< feed >>') }} -- noqa: AM04
