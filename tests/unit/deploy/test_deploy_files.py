"""The files in deploy/: their own tools accept them, and they match the gateway's settings."""

from __future__ import annotations

import fnmatch
import grp
import json
import os
import re
import shutil
import stat
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.utils import canonicalize_name

from tests.support.cli import missing
from tests.support.deployments import (
    COMPOSE,
    DEPLOY,
    DOCKERFILE,
    KUBERNETES,
    KUBERNETES_WORKER,
    MIB,
    ROOT,
    UNIT,
    UNIT_OF_WORKER,
    compose,
    compose_worker,
    copied,
    image,
    instructions,
    kubernetes,
    kubernetes_worker,
    systemd,
    systemd_worker,
)
from tests.support.lowest import read
from tests.support.nginx import CONF, Nginx
from wrapper import __version__, host
from wrapper.routes.json_body import BODY_BYTES
from wrapper.server import config
from wrapper.services.claude.processes.profiles import PASSED
from wrapper.services.files.service import FORM_BYTES
from wrapper.settings import Settings, load

TOOLS = "pip install -r requirements-deploy.txt"
OLDEST_KUBERNETES, NEWEST_KUBERNETES = "1.30", "1.37"
SECRET = re.compile(r"(?i)\b(api_key|password|token|secret)\w*\s*[:=]\s*['\"]?\w")


READERS = (compose, compose_worker, kubernetes, kubernetes_worker, systemd, systemd_worker)
DEPLOYMENTS = {read.__name__: read() for read in READERS}
EACH = pytest.mark.parametrize("deployment", DEPLOYMENTS.values(), ids=DEPLOYMENTS)


def check(program: str, install: str, *arguments: str, **options: Any) -> None:
    """Run a checking *program*, which must succeed and print nothing."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    executable = shutil.which(program, path=path)
    if not executable:
        missing(f"{program} to test with: {install}")
    done = subprocess.run([str(executable), *arguments], capture_output=True, text=True, **options)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_dockerfile():
    """hadolint accepts the Dockerfile."""
    check("hadolint", TOOLS, str(DEPLOY / "Dockerfile"))


def test_compose(tmp_path):
    """Docker Compose accepts the file."""
    (tmp_path / "deploy").mkdir()
    (tmp_path / ".env").touch()
    file = shutil.copy(DEPLOY / "compose.yaml", tmp_path / "deploy")
    variables = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "REDIS_PASSWORD": "word"}
    arguments = ("-f", str(file), "config", "-q")
    check("docker-compose", "apt-get install docker-compose", *arguments, env=variables)


@pytest.mark.parametrize("version", [OLDEST_KUBERNETES, NEWEST_KUBERNETES])
def test_kubernetes(version):
    """The files match the schemas of the oldest and the newest Kubernetes."""
    files = [str(DEPLOY / name) for name in ("kubernetes.yaml", "kubernetes-worker.yaml")]
    check("kubernetes-validate", TOOLS, "-k", version, "--strict", "--quiet", *files)


def test_unit(tmp_path):
    """systemd accepts the unit, with the program's path replaced by the one on this machine."""
    text = UNIT.replace("/opt/claude-code-gateway/.venv/bin", str(Path(sys.executable).parent))
    assert text != UNIT
    unit = tmp_path / "claude-code-gateway.service"
    unit.write_text(text)
    check("systemd-analyze", "apt-get install systemd", "verify", "--man=no", str(unit))


def test_unit_of_worker(tmp_path):
    """systemd accepts the worker's unit, which begins its program and no other."""
    drop_in = tmp_path / "worker.service.d"
    drop_in.mkdir()
    (tmp_path / "worker.service").write_text(UNIT)  # whose program is replaced
    command = "/opt/claude-code-gateway/.venv/bin/claude-code-gateway worker"
    text = UNIT_OF_WORKER.replace(command, sys.executable)
    (drop_in / "worker.conf").write_text(text)
    unit = str(tmp_path / "worker.service")
    check("systemd-analyze", "apt-get install systemd", "verify", "--man=no", unit)
    assert re.findall(r"^ExecStart=(.*)", UNIT_OF_WORKER, re.M) == ["", command]


def test_workers():
    """Workers run jobs and serve no HTTP; beside them, the gateways of Docker Compose run none."""
    worker = yaml.safe_load(COMPOSE)["services"]["worker"]
    pod = next(yaml.safe_load_all(KUBERNETES_WORKER))["spec"]["template"]["spec"]
    command = ["claude-code-gateway", "worker"]
    assert worker["command"] == pod["containers"][0]["command"] == command
    assert worker["healthcheck"] == {"disable": True}
    # What agents leave behind is collected, which only gunicorn does itself.
    assert worker["init"] is pod["shareProcessNamespace"] is True
    assert compose().variables["BACKGROUND_TURNS"] == "0"
    assert compose_worker().variables["BACKGROUND_TURNS"] == "-1"


def test_nginx(tmp_path):
    """nginx accepts its file."""
    assert Nginx(tmp_path, 1, 2).check() == ""


@EACH
def test_time_to_stop(deployment, monkeypatch, tmp_path):
    """A gateway is killed only after its turns had time to end and to report it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRACEFUL_TIMEOUT", deployment.variables["GRACEFUL_TIMEOUT"])
    graceful = config.configuration()["graceful_timeout"]
    assert deployment.lost + graceful < deployment.seconds


@EACH
def test_memory(deployment, monkeypatch, tmp_path):
    """The gateway runs as many turns at once as the file says, and they fit its memory limit."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(host, "memory", lambda: deployment.memory)
    monkeypatch.setattr(host, "cores", lambda: 8)
    text = re.sub(r"\n *# ", " ", deployment.text)
    comment = re.search(
        r"(\d+) turns at once,.*?: (256 \+ \((\d+) \+ 2 \+ 1\) \S 230) = (\d+) MiB", text
    )
    assert comment
    settings = load()
    assert int(comment[1]) == int(comment[3]) == settings.max_concurrent_turns
    assert (settings.pool_size, settings.pool_size_other) == (2, 1)
    assert int(comment[4]) == 256 + (int(comment[3]) + 3) * 230
    assert int(comment[4]) * MIB <= deployment.memory


def test_settings_exist():
    """Every variable is a setting of the gateway, or is passed on to Claude Code."""
    settings = {row.name.upper() for row in fields(Settings)}
    deployed = [deployment.variables for deployment in DEPLOYMENTS.values()]
    names = {name for variables in (image(), *deployed) for name in variables}
    not_the_gateways = {"PIP_NO_CACHE_DIR", "PIP_DISABLE_PIP_VERSION_CHECK"}
    not_the_gateways |= {"PYTHONUNBUFFERED"}
    others = names - settings - not_the_gateways
    assert [
        name for name in others if not any(fnmatch.fnmatch(name, pattern) for pattern in PASSED)
    ] == []


@EACH
def test_values_are_taken(deployment, monkeypatch, tmp_path):
    """The gateway accepts the settings, together with a key."""
    monkeypatch.chdir(tmp_path)
    for name, value in {**image(), **deployment.variables, "API_KEY": "the-key"}.items():
        resolved = value.replace("$(REDIS_URL)", "redis://redis:6379/0")
        monkeypatch.setenv(name, re.sub(r"\$\{.*?\}", "word", resolved))
    settings = load()
    if deployment.serves:
        assert (settings.host, settings.port) == ("0.0.0.0", 8000)


def test_ports():
    """Everything that calls the gateway uses the port that it listens on."""
    assert (
        image()["PORT"] == compose().variables["PORT"] == kubernetes().variables["PORT"] == "8000"
    )
    assert ("EXPOSE", "8000") in list(instructions())
    deployment, service = yaml.safe_load_all(KUBERNETES)
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    assert container["ports"] == [{"name": "http", "containerPort": 8000}]
    assert [port["targetPort"] for port in service["spec"]["ports"]] == ["http"]
    services = yaml.safe_load(COMPOSE)["services"]
    upstreams = re.findall(r"^ *server (\w+):(\d+)", CONF.read_text(), re.M)
    assert upstreams == [(name, "8000") for name in services if name.startswith("gateway")]
    (listen,) = re.findall(r"^ *listen (\d+);", CONF.read_text(), re.M)
    published = {name: spec["ports"] for name, spec in services.items() if "ports" in spec}
    assert published == {"nginx": [f"127.0.0.1:{listen}:{listen}"]}


def test_nginx_limits():
    """nginx accepts the gateway's largest bodies and files, and waits for its longest turns."""
    text, defaults = CONF.read_text(), Settings()
    body, *files = map(int, re.findall(r"client_max_body_size (\d+)m;", text))
    assert body * MIB > BODY_BYTES
    assert min(files) * MIB > defaults.file_max_bytes + FORM_BYTES
    seconds = max(map(int, re.findall(r"proxy_read_timeout (\d+)s;", text)))
    assert seconds > defaults.max_timeout / 1000 + defaults.queue_timeout + defaults.session_wait


def test_no_secrets():
    """No file contains a key or a password, only the names of variables and secrets."""
    for path in DEPLOY.iterdir():
        bare = re.sub(
            r"^\s*#.*$|\$\{.*?\}|secretKeyRef: \{.*?\}|secretName: [\w-]+",
            "",
            path.read_text(),
            flags=re.M,
        )
        assert SECRET.findall(bare) == [], path.name


def test_not_root():
    """No gateway runs as root, or with more capabilities than it needs."""
    users = [words for word, words in instructions() if word == "USER"]
    for text in (KUBERNETES, KUBERNETES_WORKER):
        pod = next(yaml.safe_load_all(text))["spec"]["template"]["spec"]
        assert users == [str(pod["securityContext"]["runAsUser"])] == ["10001"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        context = pod["containers"][0]["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
    for name in ("gateway1", "worker"):
        assert yaml.safe_load(COMPOSE)["services"][name]["cap_drop"] == ["ALL"]
    assert "\nUser=claude-gateway\n" in UNIT


def test_copied_files():
    """The Dockerfile copies files that exist, and the build context has no others."""
    kept = {str(path.relative_to(ROOT)) for path in copied()}
    assert [path for path in copied() if not path.exists()] == []
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in ignored if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert {rule[1:] for rule in rules if rule.startswith("!")} == kept


def test_exact_versions():
    """Every image has a tag with all of its version's numbers, and the gateway's is its version."""
    images = [words.split()[0] for word, words in instructions() if word == "FROM"]
    images += [spec["image"] for spec in yaml.safe_load(COMPOSE)["services"].values()]
    for text in (KUBERNETES, KUBERNETES_WORKER):
        pod = next(yaml.safe_load_all(text))["spec"]["template"]["spec"]
        images.append(pod["containers"][0]["image"])
    for name, _, tag in (reference.partition(":") for reference in images):
        assert re.match(r"\d+\.\d+\.\d+\b", tag), name
        if name.endswith("claude-code-gateway"):
            assert tag == __version__
    named = re.findall(r"claude-code-gateway:([\w.]+)", DOCKERFILE)
    assert set(named) == {__version__}


@pytest.mark.parametrize("lock", ["build.lock", "runtime.lock"])
def test_locked_packages(lock):
    """The image installs exact versions with their hashes, and pip refuses anything else."""
    entries = re.split(r"\n(?=\w)", (DEPLOY / lock).read_text().rpartition("# ")[2])[1:]
    assert entries
    for entry in entries:
        assert re.match(r"[\w.-]+==[\w.]+ \\\n( +--hash=sha256:[0-9a-f]{64}( \\)?\s*)+$", entry)
    installs = [words for word, words in instructions() if word == "RUN" and " install " in words]
    (line,) = (words for words in installs if lock in words)
    assert f"install --require-hashes -r {lock}" in line


def test_locks_follow_the_requirements():
    """What the package requires is locked, in a version that it allows; `make lock` renews it."""
    text = (DEPLOY / "build.lock").read_text() + (DEPLOY / "runtime.lock").read_text()
    locked = {canonicalize_name(name): v for name, v in re.findall(r"^(\S+)==(\S+)", text, re.M)}
    files = ("requirements.txt", "requirements-extras.txt", "requirements-cli.txt")
    setuptools = next(one for one in read("requirements-dev.txt") if one.name == "setuptools")
    for requirement in (*(one for file in files for one in read(file)), setuptools):
        if requirement.marker is None or requirement.marker.evaluate():
            version = locked[canonicalize_name(requirement.name)]
            assert requirement.specifier.contains(version), requirement


def test_service_reads_its_keys(tmp_path):
    """By the unit's own commands the service can read the keys, but not change them or read env."""
    group = grp.getgrgid(os.getgid()).gr_name
    program = f"{sys.executable} -m claude_code_gateway keys"
    script = "\n".join(re.findall(r"^#   (install .*|export .*|.* keys new .*)$", UNIT, re.M))
    for old, new in {
        "/opt/claude-code-gateway/.venv/bin/claude-code-gateway keys": program,
        "/opt/claude-code-gateway/": f"{ROOT}/",
        "-g claude-gateway ": f"-g {group} ",
        "/etc/claude-code-gateway": str(tmp_path / "etc"),
    }.items():
        assert old in script
        script = script.replace(old, new)
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
    command = ["sh", "-ec", script]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("sk-")
    etc = tmp_path / "etc"
    assert "API_KEYS_FILE=/etc/claude-code-gateway/keys.toml" in UNIT
    assert [
        stat.S_IMODE(path.stat().st_mode) for path in (etc, etc / "keys.toml", etc / "env")
    ] == [
        0o750,
        0o640,
        0o600,
    ]
    assert {path.stat().st_gid for path in (etc, etc / "keys.toml")} == {os.getgid()}


def test_keys_in_containers():
    """The gateways in containers read the keys file from a directory, and cannot write there."""
    services = yaml.safe_load(COMPOSE)["services"]
    for name in ("gateway1", "gateway2", "worker"):
        assert "keys:/keys:ro" in services[name]["volumes"]
    assert services["keys"]["volumes"] == ["keys:/keys"]
    assert services["keys"]["environment"]["API_KEYS_FILE"] == "/keys/keys.toml"
    assert kubernetes().variables["API_KEYS_FILE"] == "/keys/keys.toml"
    pod = next(yaml.safe_load_all(KUBERNETES))["spec"]["template"]["spec"]
    mount = next(one for one in pod["containers"][0]["volumeMounts"] if one["name"] == "keys")
    assert mount == {"name": "keys", "mountPath": "/keys", "readOnly": True}
    (volume,) = (one for one in pod["volumes"] if one["name"] == "keys")
    assert volume["secret"]["defaultMode"] == 0o440
    assert "-v keys:/keys:ro -e API_KEYS_FILE=/keys/keys.toml" in DOCKERFILE


def test_logs_are_rotated():
    """No container's log grows without a limit."""
    services = yaml.safe_load(COMPOSE)["services"]
    running = [spec for spec in services.values() if "profiles" not in spec]
    assert {spec["logging"]["driver"] for spec in running} == {"local"}


def test_command():
    """The image runs the README's command as process 1, which gets the signals."""
    (command,) = (json.loads(words) for word, words in instructions() if word == "CMD")
    assert " ".join(command) == "gunicorn -c gunicorn.conf.py wsgi:app"
    assert f"`{' '.join(command)}`" in (ROOT / "README.md").read_text()
