"""A local S3-compatible server that checks signatures, for tests: moto on a free port of loopback, in a thread."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
from collections.abc import Iterator
from typing import Any

import boto3
import httpx
from moto.server import ThreadedMotoServer

BUCKET = "loupe"
_ALL_OF_S3 = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}


@dataclasses.dataclass(frozen=True)
class ObjectStore:
    """One empty bucket, and an independent client to look into it."""

    url: str
    environment: dict[str, str]
    client: Any

    def names(self) -> list[str]:
        return [entry["Key"] for entry in self.client.list_objects_v2(Bucket=BUCKET).get("Contents", [])]

    def contents(self, key: str) -> bytes:
        return bytes(self.client.get_object(Bucket=BUCKET, Key=key)["Body"].read())

    def put(self, key: str, data: bytes) -> None:
        self.client.put_object(Bucket=BUCKET, Key=key, Body=data)

    def remove(self, key: str) -> None:
        self.client.delete_object(Bucket=BUCKET, Key=key)


@contextlib.contextmanager
def object_store() -> Iterator[ObjectStore]:
    """The server, which refuses every call that is not signed with the yielded credentials."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for each request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        endpoint = "http://{}:{}".format(*server.get_host_and_port())
        # its users are made while it does not look at signatures yet
        anybody = {"endpoint_url": endpoint, "region_name": "us-east-1"}
        unknown = {"aws_access_key_id": "anybody", "aws_secret_access_key": "anything"}
        httpx.post(f"{endpoint}/moto-api/reset", trust_env=False)
        httpx.post(f"{endpoint}/moto-api/reset-auth", content=b"100", trust_env=False)
        users = boto3.client("iam", **anybody, **unknown)
        users.create_user(UserName="loupe")
        users.put_user_policy(UserName="loupe", PolicyName="all", PolicyDocument=json.dumps(_ALL_OF_S3))
        key = users.create_access_key(UserName="loupe")["AccessKey"]
        httpx.post(f"{endpoint}/moto-api/reset-auth", content=b"0", trust_env=False)
        known = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
        client = boto3.client("s3", **anybody, **known)
        client.create_bucket(Bucket=BUCKET)
        environment = {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        }
        yield ObjectStore(f"s3://{BUCKET}/measured", environment, client)
    finally:
        server.stop()
