"""Edits of the example: defects as they happen to people, and refactorings that change nothing. What each of them is, and where it has to be found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Edit:
    """Texts of one or more files that are replaced, each of which occurs once.

    Args:
        what: the edit, for the list of results.
        file: below the project.
        old: what is replaced.
        new: what takes its place.
        table: whose code is edited, ``layer.table``; empty for a refactoring.
        segment: of a defect that concerns only some rows of the edited table, the column and the value that most of them have, or the
            lowest and the highest one of a range (``a..b``).
        select: dbt selector of the edited node, with its node of dbt where that is not the table's name.
        more: further replacements in the same file.
        missed: why the report does not name the segment; empty where it does.
    """

    what: str
    file: str
    old: str
    new: str
    table: str = ""
    segment: tuple[str, str] | None = None
    select: str = ""
    more: tuple[tuple[str, str], ...] = ()
    missed: str = ""


_LINES = "models/curated/invoice_lines.sql"
_CHECKED = "models/curated/invoice_lines_checked.sql"
_REVENUE = "models/serving/daily_revenue.sql"
_PRODUCTS = "models/serving/product_performance.sql"
_COHORTS = "models/serving/customer_cohorts.sql"
_VALUE = "models/serving/customer_value.sql"
_FEATURES = "models/serving/revenue_features.sql"
_DAYS = "models/curated/trading_days.sql"
_INVOICES = "models/curated/invoices.sql"
_CUSTOMERS = "models/curated/customers.sql"
_CATALOGUE = "models/curated/products.sql"
_HISTORY = "models/curated/customer_history.sql"
_CANCELLED = "models/curated/cancellations_matched.sql"

_AMOUNT = "quantity * cast(unit_price as decimal(38, 4)) as amount"
_DATE = """cast(timezone('{{ var("shop_time_zone") }}', invoice_date) as date) as revenue_date"""
_COUNTED = "        count(distinct invoice_id) filter (where is_sale) as orders,\n        count(distinct customer_id)"
_LINES_TABLE, _REVENUE_TABLE = "curated.invoice_lines", "serving.daily_revenue"
_PRODUCT_TABLE, _COHORT_TABLE = "serving.product_performance", "serving.customer_cohorts"

DEFECTS = (
    Edit(
        "prices of one country in pence",
        _LINES,
        _AMOUNT,
        "cast(quantity * cast(unit_price as decimal(38, 4)) * case when country = 'Germany' then 100 else 1 end as decimal(38, 4)) as amount",
        _LINES_TABLE,
        ("country", "Germany"),
    ),
    Edit(
        "sign of cancellations lost",
        _LINES,
        _AMOUNT,
        "abs(quantity) * cast(unit_price as decimal(38, 4)) as amount",
        _LINES_TABLE,
        ("line_type", "cancellation"),
    ),
    Edit(
        "amounts rounded to whole pounds",
        _LINES,
        _AMOUNT,
        "cast(round(quantity * cast(unit_price as decimal(38, 4))) as decimal(38, 4)) as amount",
        _LINES_TABLE,
    ),
    Edit(
        "orders of a single unit are no sale",
        _LINES,
        "when quantity > 0 and unit_price > 0 then 'sale'",
        "when quantity > 1 and unit_price > 0 then 'sale'",
        _LINES_TABLE,
        ("quantity", "1"),
    ),
    Edit("times an hour late", _CHECKED, "invoice_date as invoiced_at", "invoice_date + interval 1 hour as invoiced_at", _LINES_TABLE),
    Edit("dates in UTC instead of local time", _CHECKED, _DATE, "cast(timezone('UTC', invoice_date) as date) as revenue_date", _LINES_TABLE, ("invoice_id", "710012"), missed="two lines are too few to tell"),
    Edit("stock codes in the case of the file", _CHECKED, "upper(stock_code) as stock_code", "stock_code", _LINES_TABLE),
    Edit(
        "letters trimmed off descriptions",
        _CHECKED,
        "        description,",
        "        ltrim(description, 'E') as description,",
        _LINES_TABLE,
        ("stock_code", "41001"),
    ),
    Edit(
        "one country left out by the filter",
        _REVENUE,
        "        line_type in ('sale', 'cancellation')\n",
        "        line_type in ('sale', 'cancellation') and country <> 'France'\n",
        _REVENUE_TABLE,
        ("country", "France"),
    ),
    Edit("cancellations left out by the filter", _REVENUE, "        line_type in ('sale', 'cancellation')\n", "        line_type in ('sale')\n", _REVENUE_TABLE, ("rows", "with a cancellation"), missed="only columns that stayed the same are looked at, and none of them says it"),
    Edit("orders counted by line", _REVENUE, _COUNTED, _COUNTED.replace("distinct invoice_id", "invoice_id"), _REVENUE_TABLE),
    Edit(
        "pounds and euros swapped for one country",
        _REVENUE,
        "sum(amount) as net_revenue",
        "cast(sum(cast(amount as double) * case when country = 'EIRE' then 1.17 else 1 end) as decimal(38, 4)) as net_revenue",
        _REVENUE_TABLE,
        ("country", "EIRE"),
    ),
    Edit(
        "a batch of two weeks counted twice",
        _REVENUE,
        "    from invoice_lines\n    group by all",
        "    from (\n        select * from invoice_lines\n        union all\n"
        "        select * from invoice_lines where revenue_date between '2025-03-11' and '2025-03-27'\n    ) as batches\n    group by all",
        _REVENUE_TABLE,
        ("revenue_date", "2025-03-11..2025-03-27"),
    ),
    Edit("dates off by one", _REVENUE, "        revenue_date,\n        country,\n        coalesce", "        revenue_date + 1 as revenue_date,\n        country,\n        coalesce", _REVENUE_TABLE),
    Edit(
        "double counting by a join that fans out",
        _REVENUE,
        "    from invoice_lines\n    group by all",
        "    from invoice_lines\n    inner join (values ('Germany'), ('Germany'), ('France'), ('Spain'), ('EIRE'), ('United Kingdom'), ('Portugal'),\n"
        "        ('Norway'), ('Japan'), ('Netherlands'), ('Belgium'), ('Austria'), ('Unspecified')) as names (name) on country = name\n    group by all",
        _REVENUE_TABLE,
        ("country", "Germany"),
    ),
    Edit("gross revenue with cancellations", _PRODUCTS, "coalesce(sum(amount) filter (where is_sale), 0) as gross_revenue", "sum(amount) as gross_revenue", _PRODUCT_TABLE),
    Edit(
        "wrong bound of a filter: the last month left out",
        _PRODUCTS,
        "        line_type in ('sale', 'cancellation')\n",
        "        line_type in ('sale', 'cancellation') and revenue_date < '2025-05-01'\n",
        _PRODUCT_TABLE,
        ("revenue_month", "2025-05-01"),
    ),
    Edit("quantities of cancellations keep their sign", _PRODUCTS, "coalesce(-sum(quantity)", "coalesce(sum(quantity)", _PRODUCT_TABLE),
    Edit("the key dropped from a join", _COHORTS, "inner join first_months on sale_lines.customer_id = first_months.customer_id", "cross join first_months", _COHORT_TABLE),
    Edit(
        "inner instead of left join: rows without a match are lost",
        _REVENUE,
        "    from invoice_lines\n    group by all",
        "    from invoice_lines\n    inner join (\n        select country as name from {{ ref('countries') }} where country_code is not null\n"
        "    ) as names on country = name\n    group by all",
        _REVENUE_TABLE,
        ("country", "Unspecified"),
    ),
    Edit("whole numbers divided as whole numbers", _COHORTS, "{{ rounded_quotient('coalesce(activity.active_customers, 0)', 'months.cohort_customers', 6) }}", "coalesce(activity.active_customers, 0) // months.cohort_customers", _COHORT_TABLE),
    Edit("the last day left out", _VALUE, "where revenue_date <= as_of_date", "where revenue_date < as_of_date", "serving.customer_value"),
    Edit("scores the wrong way round", _VALUE, "quintile('recency_days desc')", "quintile('recency_days')", "serving.customer_value"),
    Edit("a mean that includes the day itself", "macros/retail/trailing_mean.sql", "preceding and 1 preceding", "preceding and current row", "serving.revenue_features", select="revenue_features"),
    Edit("lags in the wrong order", _FEATURES, "earlier as (order by revenue_date)", "earlier as (order by revenue_date desc)", "serving.revenue_features"),
    Edit("NULL instead of zero", _CUSTOMERS, "coalesce(sum(amount) filter (where line_type = 'cancellation'), 0)", "sum(amount) filter (where line_type = 'cancellation')", "curated.customers", ("customers", "without a cancellation"), missed="two customers are too few to tell"),
    Edit("the first sale instead of the last", _CATALOGUE, "max(revenue_date) filter (where is_sale) as last_sale_date", "min(revenue_date) filter (where is_sale) as last_sale_date", "curated.products"),
    Edit("sorted the other way, then limited to one", _CATALOGUE, "order by count(*) desc, max(traded_lines.invoiced_at) desc", "order by count(*), max(traded_lines.invoiced_at)", "curated.products"),
    Edit("price dropped from what pairs sale and cancellation", _CANCELLED, "partition by customer_id, stock_code, unit_price, quantity, level", "partition by customer_id, stock_code, quantity", "curated.cancellations_matched"),
    Edit("another confidence of the forecast", "scripts/retail/forecasting.py", "lower_80=quantile(0.1)", "lower_80=quantile(0.2)", "serving.revenue_forecast", select="revenue_forecast"),
)  # fmt: skip

_QUINTILE = "cast(1 + (5 * (rank() over (order by {{ order_by }}) - 1)) // count(*) over () as integer)"

REFACTORINGS = (
    Edit("a CTE renamed", _REVENUE, "revenue as (", "by_day_and_country as (", more=(("select * from revenue\n", "select * from by_day_and_country\n"),)),
    Edit("group by all spelled out", _REVENUE, "group by all", "group by revenue_date, country"),
    Edit("a filter as a case", _REVENUE, "coalesce(sum(amount) filter (where not is_sale), 0)", "coalesce(sum(case when not is_sale then amount end), 0)"),
    Edit("a column under an alias and back", _REVENUE, "select * from revenue\n", "select * exclude (units_sold), units_sold as units from (select * exclude (units), units as units_sold from revenue) as renamed\n"),
    Edit("the sum of two parts", _REVENUE, "sum(amount) as net_revenue", "coalesce(sum(amount) filter (where is_sale), 0) + coalesce(sum(amount) filter (where not is_sale), 0) as net_revenue"),
    Edit("a condition turned round", _PRODUCTS, "        line_type in ('sale', 'cancellation')\n", "        line_type <> 'adjustment'\n"),
    Edit("a comment", _PRODUCTS, "product_performance as (", "-- by month and code\nproduct_performance as ("),
    Edit("group by number", _PRODUCTS, "group by revenue_month, stock_code", "group by 1, 2"),
    Edit("bool_and as its negation", _PRODUCTS, "bool_and(is_product)", "not bool_or(not is_product)"),
    Edit("the minus moved into the sum", _PRODUCTS, "coalesce(-sum(quantity)", "coalesce(sum(-quantity)"),
    Edit("the sides of a join swapped", _COHORTS, "    from months\n    left join activity", "    from activity\n    right join months"),
    Edit("coalesce as case", _COHORTS, "coalesce(activity.orders, 0)", "case when activity.orders is null then 0 else activity.orders end"),
    Edit("where moved to the CTE that reads", _COHORTS, "select * from {{ ref('invoice_lines') }}\n", "select * from {{ ref('invoice_lines') }}\n    where is_sale\n"),
    Edit("distinct before counting", _COHORTS, "min(revenue_month) as cohort_month\n    from sale_lines", "min(revenue_month) as cohort_month\n    from (select distinct customer_id, revenue_month from sale_lines) as bought"),
    Edit("a difference turned round", _VALUE, "as_of_date - last_purchase_date as recency_days", "-(last_purchase_date - as_of_date) as recency_days"),
    Edit("the order of conditions", _VALUE, "recency_score >= 4 and frequency_score >= 4 and monetary_score >= 4", "monetary_score >= 4 and frequency_score >= 4 and recency_score >= 4"),
    Edit("having by a count", _VALUE, "having bool_or(is_sale)", "having count(*) filter (where is_sale) > 0"),
    Edit("a macro written another way", "macros/retail/quintile.sql", _QUINTILE, "cast(floor(1 + (5 * (rank() over (order by {{ order_by }}) - 1)) // count(*) over ()) as integer)", select="customer_value"),
    Edit("named windows in place", _FEATURES, "lag(gross_revenue, 1) over earlier as gross_revenue_lag_1", "lag(gross_revenue) over (order by revenue_date) as gross_revenue_lag_1"),
    Edit("the day of the week by another function", _FEATURES, "cast(isodow(revenue_date) as integer) as day_of_week", "cast(date_part('isodow', revenue_date) as integer) as day_of_week"),
    Edit("an expression extracted into a Jinja variable", _FEATURES, "cast(quarter(revenue_date) as integer)", "cast({{ quarter }} as integer)", more=(("with\n\ntrading_days", "{%- set quarter = 'quarter(revenue_date)' %}\nwith\n\ntrading_days"),)),
    Edit("having without an aggregate of its own", _DAYS, "having bool_or(is_sale)", "having count(*) filter (where is_sale) >= 1"),
    Edit("where moved into each sum", _DAYS, "    where line_type in ('sale', 'cancellation')\n", "", more=(("sum(amount) as net_revenue", "sum(amount) filter (where line_type in ('sale', 'cancellation')) as net_revenue"),)),
    Edit("starts_with as like", _INVOICES, "when starts_with(invoice_id, 'C') then", "when invoice_id like 'C%' then"),
    Edit("the order of a union", _INVOICES, "        select revenue_date from changed_lines\n\n        union distinct\n", "        select distinct revenue_date from changed_lines\n\n        union\n"),
    Edit("min as arg_min", _CUSTOMERS, "min(invoiced_at) as first_invoiced_at", "arg_min(invoiced_at, invoiced_at) as first_invoiced_at"),
    Edit("is null as its negation", _HISTORY, "valid_to is null as is_current", "not coalesce(valid_to is not null, false) as is_current"),
    Edit("inner join as where in", _CATALOGUE, "    inner join last_traded on traded_lines.stock_code = last_traded.stock_code\n    where traded_lines", "    cross join last_traded\n    where traded_lines.stock_code = last_traded.stock_code and traded_lines"),
    Edit("factors swapped", _LINES, _AMOUNT, "cast(unit_price as decimal(38, 4)) * quantity as amount"),
    Edit("a helper function in Python", "scripts/retail/forecasting.py", "self.weight**2 * (horizon - 1)", "self.weight * self.weight * (horizon - 1)", select="revenue_forecast"),
)  # fmt: skip
