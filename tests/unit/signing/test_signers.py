"""Loading the library's signers: quick where no key is in a cloud, and complete where one is."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

_SCRIPT = """
import sys
from slipway.signing.signers import load_signers
load_signers()
loaded = "boto3" in sys.modules
import boto3
from securesystemslib.signer import _aws_signer
print(loaded, _aws_signer.AWS_IMPORT_ERROR is None)
"""


@pytest.mark.parametrize(
    ("key", "expected"),
    [(None, "False False"), ("key.pem", "False False"), ("awskms:alias/releases", "True True")],
    ids=["no key", "a file", "a key of AWS"],
)
def test_the_client_of_aws_is_loaded_for_its_keys_only(key: str | None, expected: str) -> None:
    variables = {name: value for name, value in os.environ.items() if name != "SLIPWAY_SIGNING_KEY"}
    if key:
        variables["SLIPWAY_SIGNING_KEY"] = key
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT], env=variables, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == expected
