def model(dbt, session):
    dbt.config(materialized="table")
    orders = dbt.ref("orders").df()
    totals = orders.groupby("town", as_index=False)["amount"].sum()
    totals["position"] = totals["amount"].rank(ascending=False).astype("int64")
    return totals[["town", "position"]]
