"""An S3 on this machine: moto's server, with one bucket."""

import sys
from pathlib import Path

import boto3

from .process import Process, answers, free_port

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "e2e", "AWS_SECRET_ACCESS_KEY": "e2e-secret", "AWS_DEFAULT_REGION": "us-east-1"}


class S3:
    """The server; `environment` is what a client needs to reach it, MLflow's and ours alike."""

    def __init__(self, log: Path, bucket: str):
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        self.uri = f"s3://{bucket}"
        self.environment = {**CREDENTIALS, "MLFLOW_S3_ENDPOINT_URL": url}
        self.process = Process("moto", [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", port], log)
        self.process.wait_for(lambda: answers(f"{url}/moto-api/"), "answer")
        self.client = boto3.client(
            "s3", endpoint_url=url, region_name=CREDENTIALS["AWS_DEFAULT_REGION"],
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"], aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        )
        self.client.create_bucket(Bucket=bucket)

    def stop(self):
        self.process.stop()
