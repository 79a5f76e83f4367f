-- There are as many invoice line keys as there are distinct lines in raw.
with

raw_lines as (

    select * from {{ ref('online_retail') }}

),

distinct_lines as (

    select distinct
        {{ feed_columns() | join(',\n        ') }},
        {{ row_key(feed_columns()) }} as invoice_line_id
    from raw_lines

),

counted as (

    select
        count(*) as lines,
        count(distinct invoice_line_id) as keys
    from distinct_lines

)

select * from counted
where lines != keys
