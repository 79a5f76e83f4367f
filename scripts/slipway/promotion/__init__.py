"""Promotion: a release of one environment becomes a release of another one: the audited data itself, if the policy lets it.

``promotion_policy`` says what promotion.yml demands, ``evidence`` judges it without input or output, ``planning`` finds out what is
going to be done, ``promote`` copies and publishes it, ``build_again`` rebuilds a release instead. Imports ``runs``, ``releases`` and what is below them. Start
with ``planning.propose``.
"""
