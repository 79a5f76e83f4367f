"""Signed releases on S3: files are signed by the store's tags, without reading them, and an exchanged one is found."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from tests.integration.s3.conftest import access

if TYPE_CHECKING:
    from tests.harness.projects import Workshop
    from tests.integration.s3.conftest import Lake

pytestmark = pytest.mark.server


def write_key(workshop: Workshop, public: str, *more: str) -> None:
    """Commit a public key, in PEM, that counts in the target."""
    lines = [
        "keys:",
        "- name: ci",
        "  targets: [staging]",
        *(f"  {line}" for line in more),
        "  public_key: |",
        *(f"    {line}" for line in public.splitlines()),
        "",
    ]
    workshop.write("keys.yml", "\n".join(lines))
    workshop.write("requirements.lock", "dbt-core==1.11.16\n")
    workshop.commit()


@pytest.mark.long
def test_files_are_signed_by_the_tags_of_the_store(lake: Lake) -> None:
    workshop = lake.workshop
    key = workshop.folder / "key.pem"
    subprocess.run(
        ["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(key)], check=True, capture_output=True
    )
    public = subprocess.run(
        ["openssl", "pkey", "-in", str(key), "-pubout"], check=True, capture_output=True, text=True
    ).stdout
    write_key(workshop, public)
    workshop.settings["SLIPWAY_SIGNING_KEY"] = str(key)
    workshop.run()
    data = {name: size for name, size in lake.sizes("warehouse/").items() if name.endswith(".parquet")}
    listed = [json.loads(lake.get(name)) for name in lake.sizes("warehouse/_slipway/files/")]
    files = {f"warehouse/{file['path']}": file for table in listed for file in table["files"]}
    assert files.keys() == {name for name in data if "/ops/" not in name}
    for name, file in files.items():
        head = lake.client.head_object(Bucket=lake.bucket, Key=name)
        assert (file["etag"], file["size"]) == (head["ETag"].strip('"'), head["ContentLength"])
        assert "sha256" not in file

    def verified(*argv: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(workshop.slipway("verify", *argv, "--output", "json").out)
        return found

    assert verified("--content")["verified"], verified("--content")
    assert {link["state"] for link in verified()["links"]} == {"verified"}

    name = next(name for name in files if "depot_weights" in name)
    content = bytearray(lake.get(name))
    content[len(content) // 2] ^= 1
    lake.put(name, bytes(content))
    broken = [link for link in verified()["links"] if link["state"] == "broken"]
    assert [(link["kind"], link["what"]) for link in broken] == [("data files", "serving.depot_weights")]
    assert "is not what was signed" in broken[0]["note"]


@pytest.mark.long
def test_a_key_of_aws_kms_signs(lake: Lake) -> None:
    """The private key never leaves the service; whoever verifies needs the public key only."""
    workshop = lake.workshop
    service = boto3.client("kms", **access(workshop.settings["AWS_ENDPOINT_URL"]))

    def new_key() -> tuple[str, str]:
        made = service.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
        public = load_der_public_key(service.get_public_key(KeyId=made)["PublicKey"])
        return f"awskms:{made}", public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    (address, public), (_, another) = new_key(), new_key()
    workshop.settings["SLIPWAY_SIGNING_KEY"] = address
    write_key(workshop, another, f"uri: {address}")
    refused = workshop.slipway("run")
    assert refused.code == 2
    assert not [name for name in lake.sizes("warehouse/_slipway/releases/") if name.endswith(".json")]
    assert (
        "what the key service of SLIPWAY_SIGNING_KEY signs does not fit its public_key in keys.yml"
        in refused.err
    )

    write_key(workshop, public, f"uri: {address}")
    workshop.run()
    del workshop.settings["SLIPWAY_SIGNING_KEY"]
    verified = json.loads(workshop.slipway("verify", "--output", "json").out)
    assert verified["verified"], verified["links"]
    assert "ci" in next(link["note"] for link in verified["links"] if link["kind"] == "signature")
