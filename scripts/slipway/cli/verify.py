"""``slipway verify``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from slipway.cli import options, output


@click.command("verify")
@click.argument("what", metavar="[RELEASE|TABLE]", required=False)
@click.option("--content", is_flag=True, help="Read data files, rows and landed files, too.")
@options.common
def command(
    what: str | None, content: bool, output_: str, target: str | None, project_dir: Path | None
) -> None:
    """Verify what is signed of a release, and everything that it comes from; the last release by default.

    Each link of the chain is verified, superseded, not recorded, missing or broken: catalog, signature, release record, approvals, evidence, tables, data files, runs,
    tests, commit, lock file, inputs and landed files. Exits with 1 if one
    is missing or broken. With TABLE (layer.table): only that table of the
    last release. Whose signatures count is said in keys.yml.

    Without --content files are compared by name and size; on S3 also by the tag of the store.
    """
    from slipway.verification.walk import verify

    found = verify(project_dir, target, what, content=content)
    if output_ == "json":
        output.as_json({**asdict(found), "verified": found.is_verified})
    else:
        output.table(
            ("link", "of", "state", "note"),
            [(link.kind, link.what, link.state, link.note) for link in found.links],
        )
        output.line(f"\n{found.summary}")
    if not found.is_verified:
        raise click.exceptions.Exit(1)
