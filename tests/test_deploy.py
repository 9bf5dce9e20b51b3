"""What is in `deploy/`: valid for the tools that read it, hardened, and in step with settings and commands."""

import configparser
import json
import re
import shutil
import subprocess
import tomllib
from datetime import UTC
from pathlib import Path

import kubernetes_validate
import pytest
import typer.main
import yaml

from archiver.cli import app
from archiver.nights import cron_trigger
from archiver.settings import Settings

DEPLOY = Path(__file__).parents[1] / "deploy"
VERSION = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text("utf-8"))["project"]["version"]
UNITS = sorted(DEPLOY.glob("systemd/*.service"))
MANIFESTS = sorted(DEPLOY.glob("kubernetes/*.yaml"))
WORKLOADS = [path for path in MANIFESTS if "secret" not in path.name]
COMPOSE = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text("utf-8"))
CONTAINERFILE = (DEPLOY / "Containerfile").read_text("utf-8")


def documents(path):
    return list(yaml.safe_load_all(path.read_text("utf-8")))


def pod_of(path):
    """Return the pod's specification in a workload."""
    (document,) = documents(path)
    spec = document["spec"]
    return (spec["jobTemplate"]["spec"] if "jobTemplate" in spec else spec)["template"]["spec"]


def is_command(arguments):
    """Tell whether the program has this command, with these options."""
    command = typer.main.get_command(app)
    words = list(arguments)
    while words and hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    options = {option for parameter in command.params for option in parameter.opts}
    return all(word in options for word in words if word.startswith("--"))


@pytest.mark.parametrize(
    "path", sorted(path for path in DEPLOY.rglob("*") if path.is_file()), ids=lambda path: path.name
)
def test_only_settings_that_exist_are_named(path):
    names = {f"ARCHIVER_{name.upper()}" for name in Settings.model_fields}
    known = names | {f"{name}_FILE" for name in names}

    assert set(re.findall(r"\bARCHIVER_[A-Z_]+\b", path.read_text("utf-8"))) <= known


def test_only_commands_that_exist_are_called():
    called = [pod_of(path)["containers"][0]["args"] for path in WORKLOADS]
    called += [service["command"] for name, service in COMPOSE["services"].items() if name != "db"]
    for path in (*UNITS, DEPLOY / "cron" / "release-archiver"):
        called += [line.split() for line in re.findall(r"/bin/archiver ([^>\n]+)", path.read_text("utf-8"))]

    assert len(called) >= 9
    for arguments in called:
        assert is_command(arguments), arguments
    assert not is_command(["run", "--no-such-option"])


# systemd


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_systemd_takes_the_units(unit, tmp_path):
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("there is no systemd-analyze")
    for path in DEPLOY.glob("systemd/release-archiver*"):
        # What is to be started is not installed here.
        text = re.sub(r"(?m)^ExecStart=\S+", "ExecStart=/bin/true", path.read_text("utf-8"))
        (tmp_path / path.name).write_text(text)
    environment = {"SYSTEMD_UNIT_PATH": f"{tmp_path}:", "PATH": "/usr/bin:/bin"}

    found = subprocess.run(
        [program, "verify", "--man=no", str(tmp_path / unit.name)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    exposure = subprocess.run(
        [program, "security", "--offline=yes", "--threshold=20", str(tmp_path / unit.name)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    ours = [line for line in found.stderr.splitlines() if "release-archiver" in line]
    assert (ours, found.returncode) == ([], 0), found.stderr
    assert exposure.returncode == 0, exposure.stdout.splitlines()[-1]


def test_both_units_are_hardened_alike():
    def hardening(path):
        lines = path.read_text("utf-8").splitlines()
        return [
            line
            for line in lines
            if re.match(r"(Private|Protect|Restrict|System|No|Lock|Remove|Capab|Dynamic|UMask)", line)
        ]

    first, second = map(hardening, UNITS)
    assert first == second
    assert "ProtectSystem=strict" in first


def test_the_timer_makes_up_for_nights_that_were_slept_through():
    timer = configparser.ConfigParser()
    timer.read(DEPLOY / "systemd" / "release-archiver-night.timer")

    assert timer["Timer"]["Persistent"] == "yes"
    assert timer["Timer"]["OnCalendar"] == "*-*-* 02:15:00 UTC"


# cron


def test_the_cron_line_is_one():
    lines = (DEPLOY / "cron" / "release-archiver").read_text("utf-8").splitlines()
    (line,) = (line for line in lines if line and line[0] in "0123456789*@")

    assert cron_trigger(" ".join(line.split()[:5]), UTC)
    assert line.split()[5] == "release-archiver"
    assert "%" not in line


# Kubernetes


@pytest.mark.parametrize("version", ["1.28", "1.33", kubernetes_validate.latest_version()])
@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_manifests_are_of_the_schema(path, version):
    for document in documents(path):
        kubernetes_validate.validate(document, version, strict=True)


# "Pod Security Standards", Restricted: what a pod must say or leave unsaid, by its name there.
RESTRICTED = {
    "Host Namespaces": lambda pod, one: not any(pod.get(name) for name in ("hostNetwork", "hostPID", "hostIPC")),
    "Privileged Containers": lambda pod, one: not one["securityContext"].get("privileged"),
    "Host Ports": lambda pod, one: not any(port.get("hostPort") for port in one.get("ports", ())),
    "Volume Types": lambda pod, one: all(
        set(volume) - {"name"}
        <= {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
        for volume in pod["volumes"]
    ),
    "Privilege Escalation": lambda pod, one: one["securityContext"]["allowPrivilegeEscalation"] is False,
    "Running as Non-root": lambda pod, one: pod["securityContext"]["runAsNonRoot"] is True,
    "Running as Non-root user": lambda pod, one: (
        0 not in (pod["securityContext"].get("runAsUser"), one["securityContext"].get("runAsUser"))
    ),
    "Seccomp": lambda pod, one: pod["securityContext"]["seccompProfile"]["type"] in ("RuntimeDefault", "Localhost"),
    "Capabilities": lambda pod, one: one["securityContext"]["capabilities"] == {"drop": ["ALL"]},
}
# And what we ask beyond: an arbitrary user, a read-only root, no token of the cluster, no secret in the environment.
OURS = {
    "any user id": lambda pod, one: "runAsUser" not in pod["securityContext"] | one["securityContext"],
    "read-only root": lambda pod, one: one["securityContext"]["readOnlyRootFilesystem"] is True,
    "no token": lambda pod, one: pod["automountServiceAccountToken"] is False,
    "secrets are files": lambda pod, one: (
        all("valueFrom" not in variable for variable in one["env"])
        and not any(
            word in variable["name"] and not variable["name"].endswith("_FILE")
            for variable in one["env"]
            for word in ("KEY", "TOKEN", "PASSWORD", "URL")
        )
    ),
    "a named version": lambda pod, one: one["image"].endswith(f":{VERSION}"),
    "memory is bounded": lambda pod, one: "memory" in one["resources"]["limits"],
    "tmp can be written": lambda pod, one: any(mount["mountPath"] == "/tmp" for mount in one["volumeMounts"]),  # noqa: S108
    "secrets can be read by any user": lambda pod, one: all(
        volume["secret"]["defaultMode"] == 0o444 for volume in pod["volumes"] if "secret" in volume
    ),
    "time to end": lambda pod, one: pod.get("restartPolicy") == "Never" or pod["terminationGracePeriodSeconds"] >= 120,
}


@pytest.mark.parametrize("rule", [*RESTRICTED, *OURS])
@pytest.mark.parametrize("path", WORKLOADS, ids=lambda path: path.name)
def test_pods_keep_the_rule(path, rule):
    pod = pod_of(path)

    assert pod.get("initContainers", []) == []
    for one in pod["containers"]:
        assert (RESTRICTED | OURS)[rule](pod, one)


def test_every_mounted_secret_file_is_one_that_the_example_makes():
    (secret,) = documents(DEPLOY / "kubernetes" / "secret.example.yaml")
    for path in WORKLOADS:
        for variable in pod_of(path)["containers"][0]["env"]:
            if variable["name"].endswith("_FILE"):
                assert Path(variable["value"]).name in secret["stringData"]


# Container and compose


def test_the_image_is_built_as_it_should_be():
    instructions = re.sub(r"\\\n", " ", re.sub(r"(?m)^#.*\n", "", CONTAINERFILE)).splitlines()
    by_word = {}
    for line in filter(None, instructions):
        by_word.setdefault(line.split()[0], []).append(line.split(maxsplit=1)[1])

    assert "ADD" not in by_word
    assert all(".." not in one and one.split()[0] != "." for one in by_word["COPY"])
    assert len(by_word["FROM"]) == 2  # what builds is not what runs
    assert re.search(r":\d[\w.-]+$", by_word["ARG"][0])  # a version, not `latest`
    user = by_word["USER"][-1]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)  # a number: a cluster can tell that it is not root
    assert instructions.index(f"USER {user}") < instructions.index('ENTRYPOINT ["archiver"]')
    assert all(
        "--require-hashes" in part or "--no-deps" in part
        for run in by_word["RUN"]
        for part in run.split("&&")
        if "pip install" in part
    )
    assert all("--no-cache-dir" in part for run in by_word["RUN"] for part in run.split("&&") if "pip install" in part)
    assert not re.search(r"KEY|TOKEN|PASSWORD", CONTAINERFILE)
    assert json.loads(by_word["ENTRYPOINT"][0]) == ["archiver"]


def test_every_file_that_is_copied_is_let_through_and_there():
    ignored = (DEPLOY / "Containerfile.dockerignore").read_text("utf-8").splitlines()
    let_through = {line[1:] for line in ignored if line.startswith("!")}
    copied = {word for line in re.findall(r"(?m)^COPY (?!--from)(.+)$", CONTAINERFILE) for word in line.split()[:-1]}

    assert "*" in ignored
    assert copied == let_through
    assert all((DEPLOY.parent / name).exists() for name in copied)


def test_compose_names_what_it_defines():
    services, secrets = COMPOSE["services"], COMPOSE["secrets"]
    for service in services.values():
        assert set(service.get("secrets", ())) <= secrets.keys()
        assert set(service["networks"]) <= COMPOSE["networks"].keys()
        assert set(service.get("depends_on", {})) <= services.keys()
        assert ":" in service["image"]
        assert not service["image"].endswith(":latest")
        for name, value in service["environment"].items():
            if name.endswith("_FILE"):
                assert Path(value).name in service["secrets"]
            else:
                assert not re.search("KEY|TOKEN|PASSWORD|URL", name)
    assert all(Path(secret["file"]).parts[0] == "secrets" for secret in secrets.values())


def test_compose_starts_in_order_and_with_few_rights():
    services = COMPOSE["services"]
    for name in ("upgrade", "grant", "archiver"):
        one = services[name]
        assert one["read_only"] is True
        assert one["cap_drop"] == ["ALL"]
        assert one["security_opt"] == ["no-new-privileges:true"]
        assert one["user"].split(":")[0] != "0"
        assert "/tmp" in one["tmpfs"]  # noqa: S108
        assert "ports" not in one
    assert "ports" not in services["db"]
    assert COMPOSE["networks"]["archive"]["internal"] is True
    assert services["upgrade"]["depends_on"]["db"]["condition"] == "service_healthy"
    assert services["grant"]["depends_on"]["upgrade"]["condition"] == "service_completed_successfully"
    assert services["archiver"]["depends_on"]["grant"]["condition"] == "service_completed_successfully"
    # Who makes tables and who archives are two.
    assert "owner_url" not in services["archiver"]["secrets"]


def test_the_role_s_password_is_no_argument():
    script = (DEPLOY / "compose" / "roles.sh").read_text("utf-8")

    assert "password=" not in script
    done = subprocess.run(
        ["/bin/sh", "-n", str(DEPLOY / "compose" / "roles.sh")], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
