"""dbt: one invocation as a build session, its node keys and its events."""
