"""What packaging/ hands out: the parts fit together, and the program takes its configurations."""

import re
import shutil
import subprocess

import pytest
import yaml

from support.gateway import ROOT, binary

FOLDER = ROOT / "packaging"
PORTS = {"grpc": 4317, "http": 4318}


def validate(file, **env) -> subprocess.CompletedProcess:
    return subprocess.run([binary(), "validate", "--config", file], capture_output=True, text=True, stdin=subprocess.DEVNULL, env=env)


def test_the_configuration_of_the_image_is_valid_with_its_token_and_not_without():
    file = FOLDER / "docker/config.yaml"
    done = validate(file, OTEL_MLFLOW_TOKEN="hush")
    assert done.returncode == 0, done.stderr
    for env in ({}, {"OTEL_MLFLOW_TOKEN": ""}):
        assert validate(file, **env).returncode == 2


def test_the_image_has_what_it_names():
    lines = (FOLDER / "docker/Dockerfile").read_text().splitlines()
    copied = [word for line in lines for word in re.findall(r"packaging/\S+", line) if not line.startswith("#")]
    assert copied == ["packaging/docker/config.yaml"]
    toolchain = re.search(r'channel = "(\d+\.\d+)', (ROOT / "rust-toolchain.toml").read_text()).group(1)
    assert any(line.startswith(f"FROM rust:{toolchain}-") for line in lines), "the image builds with another Rust than the repository"


def test_the_manifest_fits_together(tmp_path):
    parts = {part["kind"]: part for part in yaml.safe_load_all((FOLDER / "kubernetes/otel-mlflow.yaml").read_text())}
    assert set(parts) == {"ConfigMap", "Service", "StatefulSet"}
    pod = parts["StatefulSet"]["spec"]["template"]
    labels = parts["StatefulSet"]["spec"]["selector"]["matchLabels"]
    assert labels.items() <= pod["metadata"]["labels"].items()
    assert parts["Service"]["spec"]["selector"] == labels
    container = pod["spec"]["containers"][0]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert {port["targetPort"] for port in parts["Service"]["spec"]["ports"]} <= set(ports)
    for probe, path in (("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/livez")):
        assert container[probe]["httpGet"] == {"path": path, "port": "admin"}
    volumes = {volume["name"] for volume in pod["spec"]["volumes"]} | {claim["metadata"]["name"] for claim in parts["StatefulSet"]["spec"]["volumeClaimTemplates"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes

    config = tmp_path / "config.yaml"
    config.write_text(parts["ConfigMap"]["data"]["config.yaml"])
    done = validate(config, **{one["name"]: one["value"] for one in container["env"]})
    assert done.returncode == 0, done.stderr
    settings = yaml.safe_load(config.read_text())
    for protocol, listener in settings["receivers"]["otlp"]["protocols"].items():
        assert listener["endpoint"] == f"0.0.0.0:{ports[f'otlp-{protocol}']}"
        for file in (listener["tls"]["cert_file"], listener["tls"]["key_file"], listener["auth"]["bearertokenauth"]["filename"]):
            assert any(file.startswith(mount["mountPath"] + "/") for mount in container["volumeMounts"]), file
    assert settings["extensions"]["admin"]["endpoint"].endswith(f":{ports['admin']}")


def test_the_unit_names_its_program_and_configuration():
    text = (FOLDER / "systemd/otel-mlflow.service").read_text()
    assert re.findall(r"(?m)^Exec\w+=/usr/bin/otel-mlflow .*--config (\S+)$", text) == ["/etc/otel-mlflow/config.yaml"] * 2


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="the unit is NOT CHECKED: systemd-analyze is missing")
def test_systemd_takes_the_unit_and_calls_it_safe(tmp_path):
    text = (FOLDER / "systemd/otel-mlflow.service").read_text()
    unit = tmp_path / "otel-mlflow.service"
    # The program need not be installed here.
    unit.write_text(text.replace("/usr/bin/otel-mlflow", str(binary())))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    done = subprocess.run(["systemd-analyze", "security", "--offline=yes", "--threshold=20", unit], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-400:]


def test_the_version_is_followed_by_the_commit_where_it_is_known():
    said = subprocess.run([binary(), "--version"], capture_output=True, text=True).stdout
    assert re.fullmatch(r"otel-mlflow \d+\.\d+\.\d+( \([0-9a-f]{7,40}\))?\n", said), said
