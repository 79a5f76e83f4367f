"""The site: static pages about tables, lineage, releases, runs, quality and landed files, which open without a server or a network.

Everything in it is read from records, contracts and dbt's artifacts; values of rows are never shown. Every text is escaped, and the policy of each page lets only the site's own
script files run. Imports ``query``, ``dbt`` and what is below them. Start with ``build_site.build_site``; ``runs_shown`` and ``tables_shown`` say what is shown of a run and of a
table, ``pages`` renders, ``site_folder`` writes what has changed.
"""
