"""What docker/ says fits the program: variables, flags, ports, probes and times.

docker/check.sh builds the image and starts it. This goes only so far: syntax, and that nothing is asked for that there
is not; for the compose file and the manifests that is all there is.
"""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from consumers.cli.main import app
from consumers.common.settings import TAGGER_VARIABLE, ServiceSettings
from consumers.http.settings import DEFAULT_PORT, TOKEN_VARIABLE
from consumers.kafka.client.security import variable_names
from consumers.runtime.serve_many import supervisor_rules
from encoder.cache_folder import VARIABLE as CACHE_VARIABLE
from tests.waiting import run

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
YAML = sorted([*DOCKER.rglob("*.yaml"), *DOCKER.rglob("*.yml")])
DOCKERFILE = (DOCKER / "Dockerfile").read_text("utf-8")
COMPOSE = yaml.safe_load((DOCKER / "compose.yaml").read_text("utf-8"))
LONGEST = 2 * ServiceSettings.shutdown_seconds + 20
"""Seconds after which a worker that was told to stop has ended, whatever happens (consumers/runtime/serve.py)."""


def manifests(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((DOCKER / "kubernetes" / name).read_text("utf-8")))


def find(name: str, kind: str) -> dict[str, Any]:
    (found,) = [x for x in manifests(name) if x["kind"] == kind]
    return found


def commands() -> Iterator[Any]:
    """Every command of the program, and every command of those that are groups."""
    for command in get_command(app).commands.values():
        yield from command.commands.values() if hasattr(command, "commands") else [command]


def known_variables() -> set[str]:
    found = {TAGGER_VARIABLE, TOKEN_VARIABLE, CACHE_VARIABLE, *variable_names()}
    for command in commands():
        for option in command.params:
            given = option.envvar or []
            found |= {given} if isinstance(given, str) else set(given)
    return found


def seconds(text: str) -> float:
    assert text.endswith("s")
    return float(text[:-1])


# Variables and flags


@pytest.mark.parametrize("path", [*YAML, DOCKER / "Dockerfile"], ids=lambda x: x.name)
def test_every_variable_is_one_that_the_program_reads(path: Path) -> None:
    named = set(re.findall(r"\bHEARKEN_[A-Z_]+\b", path.read_text("utf-8")))
    assert named <= known_variables()


def test_the_operations_page_names_real_variables_too() -> None:
    text = (ROOT / "docs" / "operations.md").read_text("utf-8")
    assert set(re.findall(r"\bHEARKEN_[A-Z_]+\b", text)) <= known_variables()
    assert set(variable_names()) <= set(re.findall(r"\bHEARKEN_[A-Z_]+\b", text))


def arguments() -> list[list[str]]:
    """What the containers run `hearken` with."""
    services = [x for x in COMPOSE["services"].values() if x.get("image") == "hearken"]
    pods = [find("workers.yaml", "StatefulSet"), find("topics.yaml", "Job")]
    found = [service["command"] for service in services if "command" in service]
    found += [pod["spec"]["template"]["spec"]["containers"][0]["args"] for pod in pods]
    return [*found, json.loads(re.findall(r"^CMD (.*)$", DOCKERFILE, re.M)[-1])]


@pytest.mark.parametrize("words", arguments(), ids=" ".join)
def test_every_command_and_flag_exists(words: list[str]) -> None:
    command = get_command(app)
    while hasattr(command, "commands"):
        command, words = command.commands[words[0]], words[1:]
    known = {name for option in command.params for name in option.opts}
    assert {word for word in words if word.startswith("--")} <= known


# The image


def instructions() -> list[tuple[str, str]]:
    """Of the Dockerfile, continuation lines joined."""
    joined = re.sub(r"\\\n", " ", re.sub(r"^\s*#.*\n", "", DOCKERFILE, flags=re.M))
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in joined.splitlines() if line.strip()]


def test_the_image_has_one_base_that_is_chosen_and_an_ordinary_user() -> None:
    said = instructions()
    allowed = {"FROM", "ARG", "ENV", "RUN", "WORKDIR", "COPY", "USER", "EXPOSE", "STOPSIGNAL"}
    assert {name for name, _ in said} <= allowed | {"ENTRYPOINT", "CMD"}
    assert [text for name, text in said if name == "FROM"] == ["${BASE} AS system", "system AS build", "system"]
    assert [name for name, _ in said].index("ARG") == 0, "an argument of FROM stands before the first"
    last = [text for name, text in said if name == "USER"]
    assert last == ["10001:10001"]
    assert ("STOPSIGNAL", "SIGTERM") in said
    assert json.loads(dict(said)["ENTRYPOINT"]) == ["hearken"]
    after = [name for name, _ in said][[name for name, _ in said].index("USER") :]
    assert not {"RUN", "COPY"} & set(after), "what is made as this user could be changed by it"


def test_what_is_copied_is_there_and_versions_are_exact() -> None:
    ignored = set((ROOT / ".dockerignore").read_text().split())
    for name, text in instructions():
        if name == "COPY" and not text.startswith("--from"):
            for source in text.split()[:-1]:
                assert (ROOT / source).exists()
                assert source not in ignored
        if name == "RUN" and "pip install" in text:
            assert text.count("pip install") == text.count("-c requirements.lock") == 1
    pins = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.+!-]+", pin) for pin in pins)


def test_only_what_serves_http_has_a_health_check_and_it_asks_the_port_that_is_served() -> None:
    """In the image it would be asked of every command, and most answer nothing."""
    assert dict(instructions())["EXPOSE"] == str(DEFAULT_PORT)
    ours = {name: x for name, x in COMPOSE["services"].items() if x.get("image") == "hearken"}
    assert {name for name, x in ours.items() if "healthcheck" in x} == {"workers", "redacting"}
    for name in ("workers", "redacting"):
        check = ours[name]["healthcheck"]["test"]
        assert check[:3] == ["CMD", "python3", "-c"]
        compile(check[3], "healthcheck", "exec")
        assert f"http://127.0.0.1:{ours[name]['environment']['HEARKEN_HTTP_PORT']}/healthz" in check[3]


def test_images_of_others_have_a_version() -> None:
    others = [x["image"] for x in COMPOSE["services"].values() if x["image"] != "hearken"]
    others += [text.partition("=")[2] for name, text in instructions() if (name, text[:5]) == ("ARG", "BASE=")]
    assert others[-1].startswith("docker.io/library/python:")
    assert [image for image in others if not re.fullmatch(r"[\w./-]+:v?\d+[\w.-]*", image)] == []


@pytest.mark.parametrize("buildah", [None, "exit 125"], ids=["missing", "broken"])
def test_without_a_working_buildah_the_check_says_that_it_did_not_run(buildah: str | None, tmp_path: Path) -> None:
    """In continuous integration it is no failure."""
    for name in ("dirname", "sh"):
        (tmp_path / name).symlink_to(str(shutil.which(name)))
    if buildah:
        (tmp_path / "buildah").write_text(f"#!/bin/sh\n{buildah}\n")
        (tmp_path / "buildah").chmod(0o755)
    done = run([tmp_path / "sh", DOCKER / "check.sh"], capture_output=True, text=True, env={"PATH": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("NOT RUN: ")


# Ports, probes and times


def ports_of_workers() -> list[int]:
    """Each has the next one (consumers/runtime/serve_many.py)."""
    settings = COMPOSE["services"]["workers"]["environment"]
    return [int(settings["HEARKEN_HTTP_PORT"]) + worker for worker in range(int(settings["HEARKEN_WORKERS"]))]


def test_compose_gives_workers_time_a_token_and_a_port() -> None:
    workers = COMPOSE["services"]["workers"]
    settings = workers["environment"]
    assert float(settings["HEARKEN_SHUTDOWN_SECONDS"]) == ServiceSettings.shutdown_seconds
    asked = ServiceSettings(broker=settings["HEARKEN_BROKER"])
    assert seconds(workers["stop_grace_period"]) > max(LONGEST, supervisor_rules(asked).grace_seconds)
    assert settings["HEARKEN_HTTP_TOKEN"].startswith("${HEARKEN_HTTP_TOKEN:?")
    assert workers["ports"] == [f"127.0.0.1:{port}:{port}" for port in ports_of_workers()]
    assert workers["read_only"]
    (folder,) = [volume.split(":")[1] for volume in workers["volumes"]]
    assert f"{CACHE_VARIABLE}={folder}\n" in DOCKERFILE
    assert re.search(rf"^RUN hearken warm .*&& chown -R hearken:hearken {folder}$", DOCKERFILE, re.M), "or it is root's"
    assert workers["tmpfs"] == ["/tmp"]
    for service in COMPOSE["services"].values():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert (DOCKER / source).exists() if source.startswith(".") else source in COMPOSE["volumes"]


def test_prometheus_asks_the_workers_that_there_are() -> None:
    (job,) = yaml.safe_load((DOCKER / "prometheus.yml").read_text("utf-8"))["scrape_configs"]
    assert ports_of_workers()[0] == DEFAULT_PORT
    assert job["static_configs"][0]["targets"] == [f"workers:{port}" for port in ports_of_workers()]
    (source,) = yaml.safe_load((DOCKER / "grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    assert source["uid"] == "prometheus"


def test_pods_probe_what_is_served_and_have_the_time_to_end() -> None:
    pod = find("workers.yaml", "StatefulSet")["spec"]["template"]["spec"]
    settings = find("settings.yaml", "ConfigMap")["data"]
    assert pod["terminationGracePeriodSeconds"] > 2 * float(settings["HEARKEN_SHUTDOWN_SECONDS"]) + 20
    (container,) = pod["containers"]
    (port,) = container["ports"]
    assert str(port["containerPort"]) == settings["HEARKEN_HTTP_PORT"]
    probes = {name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "readiness", "liveness")}
    assert {name: probe["path"] for name, probe in probes.items()} == {
        "startup": "/healthz",
        "readiness": "/readyz",
        "liveness": "/healthz",
    }
    assert {probe["port"] for probe in probes.values()} == {port["name"]}
    annotations = find("workers.yaml", "StatefulSet")["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == settings["HEARKEN_HTTP_PORT"]
    for service in [x for x in manifests("network.yaml") if x["kind"] == "Service"]:
        assert service["spec"]["ports"][0]["targetPort"] == port["name"]
    (policy,) = [x for x in manifests("network.yaml") if x["kind"] == "NetworkPolicy"]
    assert str(policy["spec"]["ingress"][0]["ports"][0]["port"]) == settings["HEARKEN_HTTP_PORT"]


@pytest.mark.parametrize(("name", "kind"), [("workers.yaml", "StatefulSet"), ("topics.yaml", "Job")])
def test_pods_are_ordinary_users_with_secrets_from_files(name: str, kind: str) -> None:
    pod = find(name, kind)["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["runAsUser"] == 10001
    assert not pod["automountServiceAccountToken"]
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    mounts = {x["mountPath"]: x["name"] for x in container["volumeMounts"]}
    assert set(mounts.values()) == {x["name"] for x in pod["volumes"]}
    settings = find("settings.yaml", "ConfigMap")["data"]
    files = [path for variable, path in settings.items() if variable.endswith("FILE")]
    mounted = [path for path in files if str(Path(path).parent) in mounts]
    assert mounted == files or kind == "Job"
    assert not [variable for variable in settings if variable.endswith(("PASSWORD", "TOKEN"))]
    assert container["resources"]["limits"]["memory"]


def test_the_scaler_asks_for_no_more_workers_than_there_are_partitions() -> None:
    scaler = find("keda.yaml", "ScaledObject")["spec"]
    (trigger,) = scaler["triggers"]
    settings = find("settings.yaml", "ConfigMap")["data"]
    words = find("topics.yaml", "Job")["spec"]["template"]["spec"]["containers"][0]["args"]
    partitions = int(words[words.index("--partitions") + 1])
    assert scaler["maxReplicaCount"] == partitions
    assert scaler["scaleTargetRef"]["kind"] == "StatefulSet"
    assert trigger["metadata"]["consumerGroup"] == settings["HEARKEN_GROUP"]
    assert trigger["metadata"]["bootstrapServers"] == settings["HEARKEN_BROKER"]
    assert trigger["metadata"]["topic"] == "hearken.updates"
    assert trigger["authenticationRef"]["name"] == find("keda.yaml", "TriggerAuthentication")["metadata"]["name"]


def test_the_kustomization_names_files_and_names_agree() -> None:
    listed = find("kustomization.yaml", "Kustomization")["resources"]
    assert all((DOCKER / "kubernetes" / name).exists() for name in listed)
    workers = find("workers.yaml", "StatefulSet")
    label = workers["spec"]["template"]["metadata"]["labels"]
    assert workers["spec"]["selector"]["matchLabels"] == label
    assert find("workers.yaml", "PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == label
    assert find("podmonitor.yaml", "PodMonitor")["spec"]["selector"]["matchLabels"] == label
    services = {x["metadata"]["name"] for x in manifests("network.yaml") if x["kind"] == "Service"}
    assert workers["spec"]["serviceName"] in services
