"""Signed releases on S3: files are signed by the store's tags, without reading them, and an exchanged one is found."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.integration.s3.conftest import Lake

pytestmark = pytest.mark.server


def test_files_are_signed_by_the_tags_of_the_store(lake: Lake) -> None:
    workshop = lake.workshop
    key = workshop.folder / "key.pem"
    subprocess.run(
        ["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(key)], check=True, capture_output=True
    )
    public = subprocess.run(
        ["openssl", "pkey", "-in", str(key), "-pubout"], check=True, capture_output=True, text=True
    ).stdout
    text = "".join(f"    {line}\n" for line in public.splitlines())
    workshop.write("keys.yml", f"keys:\n- name: ci\n  targets: [staging]\n  public_key: |\n{text}")
    workshop.write("requirements.lock", "dbt-core==1.11.16\n")
    workshop.commit()
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
