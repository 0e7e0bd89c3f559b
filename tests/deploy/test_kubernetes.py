"""The shipped manifests: rendered by kustomize, validated strictly, held to the Restricted standard."""

from __future__ import annotations

import functools
import json
import subprocess
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest
import yaml
from cloudcoil.models.prometheus_operator import v1 as operator
from support import kubectl

from raptor_exporter.config import parse_config
from raptor_exporter.units import parse_size

ROOT = Path(__file__).resolve().parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
EXAMPLES = ["playwright", "shared-group", "standalone", "workloads"]
KUBERNETES_VERSIONS = ["1.29", "1.37"]  # native sidecars came with 1.29
WORKLOADS = {"Deployment", "StatefulSet", "Job", "CronJob"}


@functools.cache
def render(example: str) -> tuple[dict, ...]:
    """What `kubectl apply -k` would send."""
    done = subprocess.run(
        [kubectl.find(), "kustomize", str(KUBERNETES / "examples" / example)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return tuple(yaml.safe_load_all(done.stdout))


def pick(example: str, kind: str, name: str) -> dict:
    (found,) = [m for m in render(example) if m["kind"] == kind and m["metadata"]["name"] == name]
    return found


def pod_template(workload: dict) -> dict:
    spec = workload["spec"]
    return spec["jobTemplate"]["spec"]["template"] if workload["kind"] == "CronJob" else spec["template"]


def workloads() -> list[tuple[str, str, str]]:
    return [
        (example, manifest["kind"], manifest["metadata"]["name"])
        for example in EXAMPLES
        for manifest in render(example)
        if manifest["kind"] in WORKLOADS
    ]


def named(items: list[dict], name: str) -> dict:
    (found,) = [item for item in items if item["name"] == name]
    return found


def schema_of(kind: str) -> dict:
    """The operator's schema of a kind, with no key allowed that it doesn't name."""
    text = json.dumps(getattr(operator, kind).model_json_schema(by_alias=True))
    schema = json.loads(text.replace("^(?i)", "(?i)^"))  # Go's place for flags is not Python's
    for part in [schema, *schema["$defs"].values()]:
        if "properties" in part:
            part.setdefault("additionalProperties", False)
    schema["properties"]["metadata"] = {"type": "object"}  # Kubernetes' own type
    return schema


@pytest.mark.parametrize("version", KUBERNETES_VERSIONS)
@pytest.mark.parametrize("example", EXAMPLES)
def test_every_manifest_is_valid_to_the_letter(example, version):
    for manifest in render(example):
        if manifest["apiVersion"] == "monitoring.coreos.com/v1":
            jsonschema.validate(manifest, schema_of(manifest["kind"]))
        else:
            kubernetes_validate.validate(manifest, version, strict=True)


def test_validation_would_find_a_misspelt_key():
    deployment = yaml.safe_load(yaml.safe_dump(pick("playwright", "Deployment", "keeper")))
    deployment["spec"]["template"]["spec"]["initContainers"][0]["livenessProb"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, "1.37", strict=True)
    monitor = yaml.safe_load(yaml.safe_dump(pick("playwright", "PodMonitor", "raptor-exporter")))
    monitor["spec"]["podMetricsEndpoint"] = []
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(monitor, schema_of("PodMonitor"))


@pytest.mark.parametrize(("example", "kind", "name"), workloads())
def test_every_pod_meets_the_restricted_pod_security_standard(example, kind, name):
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted"""
    pod = pod_template(pick(example, kind, name))["spec"]
    of_pod = pod.get("securityContext", {})
    assert not {"hostNetwork", "hostPID", "hostIPC", "hostUsers"} & set(pod)
    for volume in pod.get("volumes", []):
        (source,) = set(volume) - {"name"}
        assert source in {
            "configMap",
            "emptyDir",
            "persistentVolumeClaim",
            "secret",
            "projected",
            "downwardAPI",
        }
    for container in [*pod.get("initContainers", []), *pod["containers"]]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context.get("privileged") in {None, False}
        assert (context | of_pod)["runAsNonRoot"] is True
        assert (of_pod | context)["seccompProfile"] == {"type": "RuntimeDefault"}
        assert (of_pod | context).get("runAsUser") != 0
        assert all("hostPort" not in port for port in container.get("ports", []))


def injected() -> list[tuple[str, str, str]]:
    return [one for one in workloads() if one[2] not in {"website", "raptor-exporter"}]


@pytest.mark.parametrize(("example", "kind", "name"), injected())
def test_the_sidecar_is_native_probed_and_read_only(example, kind, name):
    template = pod_template(pick(example, kind, name))
    agent = named(template["spec"]["initContainers"], "raptor-exporter")
    assert agent["restartPolicy"] == "Always"
    assert {"startupProbe", "livenessProbe"} <= set(agent)
    assert "readinessProbe" not in agent
    assert agent["securityContext"]["readOnlyRootFilesystem"] is True
    assert agent["ports"] == [{"name": "raptor-metrics", "containerPort": 19222}]
    assert set(agent["resources"]) == {"requests", "limits"}
    assert template["metadata"]["labels"]["raptor-exporter/agent"] == "sidecar"


@pytest.mark.parametrize(("example", "kind", "name"), injected())
def test_application_and_sidecar_share_one_volume(example, kind, name):
    workload = pick(example, kind, name)
    pod = pod_template(workload)["spec"]
    volumes = [*pod["volumes"], *(c["metadata"] for c in workload["spec"].get("volumeClaimTemplates", []))]
    assert named(volumes, "raptor-sessions")
    for container in [named(pod["initContainers"], "raptor-exporter"), pod["containers"][0]]:
        store = named(container["env"], "RAPTOR_STORE")["value"]
        assert {"name": "raptor-sessions", "mountPath": store} in container["volumeMounts"]


@pytest.mark.parametrize(("example", "kind", "name"), injected())
def test_application_and_sidecar_run_as_one_user_unless_they_share_a_group(example, kind, name):
    pod = pod_template(pick(example, kind, name))["spec"]
    agent = named(pod["initContainers"], "raptor-exporter")
    if example == "shared-group":
        assert pod["securityContext"]["fsGroup"] == 2000
        assert agent["securityContext"]["runAsUser"] != pod["securityContext"]["runAsUser"]
        assert named(agent["env"], "RAPTOR_GROUP_ACCESS") == {"name": "RAPTOR_GROUP_ACCESS", "value": "1"}
        reference = named(pod["containers"][0]["env"], "RAPTOR_GROUP_ACCESS")["valueFrom"]["configMapKeyRef"]
        config = pick(example, "ConfigMap", reference["name"])
        assert config["data"][reference["key"]] == "1"
    else:
        assert "runAsUser" in pod["securityContext"]
        assert "runAsUser" not in agent["securityContext"]
        assert "runAsUser" not in pod["containers"][0]["securityContext"]


def test_what_the_application_had_stays_as_it_was():
    source = yaml.safe_load((KUBERNETES / "examples" / "playwright" / "application.yaml").read_text())
    before = source["spec"]["template"]["spec"]
    after = pod_template(pick("playwright", "Deployment", "keeper"))["spec"]
    (container,) = after["containers"]
    (original,) = before["containers"]
    assert {key: container[key] for key in original if key != "volumeMounts"} == {
        key: value for key, value in original.items() if key != "volumeMounts"
    }
    assert all(mount in container["volumeMounts"] for mount in original["volumeMounts"])
    assert all(after[key] == before[key] for key in before if key not in {"containers", "volumes"})


def test_a_workload_can_be_left_out():
    website = pick("workloads", "Deployment", "website")
    source = yaml.safe_load((KUBERNETES / "examples" / "workloads" / "unrelated.yaml").read_text())
    assert website["spec"] == source["spec"]


def test_the_path_can_be_chosen():
    container = pod_template(pick("workloads", "StatefulSet", "crawler"))["spec"]["containers"][0]
    assert {"name": "raptor-sessions", "mountPath": "/srv/crawler/sessions"} in container["volumeMounts"]


def test_configuration_is_mounted_as_a_directory_under_a_name_that_stays():
    """A changed ConfigMap reaches a running agent: no subPath, no hash in the name."""
    for example, kind, name in workloads():
        if name == "website":
            continue
        pod = pod_template(pick(example, kind, name))["spec"]
        containers = [*pod.get("initContainers", []), *pod["containers"]]
        mount = named(named(containers, "raptor-exporter")["volumeMounts"], "raptor-exporter-config")
        assert "subPath" not in mount
        config = named(pod["volumes"], "raptor-exporter-config")["configMap"]["name"]
        assert "raptor.yaml" in pick(example, "ConfigMap", config)["data"]


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_policies_in_every_config_map_are_valid(example):
    texts = [m["data"]["raptor.yaml"] for m in render(example) if m["kind"] == "ConfigMap"]
    assert texts
    for text in texts:
        config = parse_config(text, "raptor.yaml")
        assert config.store.url == "/var/lib/raptor/sessions"
        assert config.rules.policies


def test_the_trash_and_the_caps_stay_below_the_volumes_size():
    """The trash counts towards an emptyDir's sizeLimit, above which the pod is evicted."""
    pod = pod_template(pick("shared-group", "Deployment", "keeper"))["spec"]
    limit = parse_size(named(pod["volumes"], "raptor-sessions")["emptyDir"]["sizeLimit"])
    config = parse_config(
        pick("shared-group", "ConfigMap", "raptor-exporter")["data"]["raptor.yaml"], "raptor.yaml"
    )
    caps = [policy.cap.bytes for policy in config.rules.policies if policy.cap is not None]
    assert sum(caps) + config.rules.trash.max_bytes < limit


def test_the_cron_jobs_patch_says_what_the_others_say():
    for component in ("sidecar", "shared-group"):
        folder = KUBERNETES / "components" / component
        pod = yaml.safe_load((folder / "pod.yaml").read_text())["spec"]["template"]
        cronjob = yaml.safe_load((folder / "cronjob.yaml").read_text())
        assert cronjob["spec"]["jobTemplate"]["spec"]["template"] == pod


def test_the_prometheus_rule_is_current():
    """`python deploy/kubernetes/prometheusrule.py` writes it from deploy/prometheus."""
    manifest = yaml.safe_load((KUBERNETES / "components" / "monitoring" / "prometheusrule.yaml").read_text())
    groups = [
        group
        for kind in ("recording", "alerting")
        for group in yaml.safe_load((ROOT / "deploy" / "prometheus" / f"{kind}-rules.yml").read_text())[
            "groups"
        ]
    ]
    assert manifest["spec"]["groups"] == groups


def test_the_standalone_agent_reaches_nobody_and_only_prometheus_reaches_it():
    policy = pick("standalone", "NetworkPolicy", "raptor-exporter")["spec"]
    labels = pod_template(pick("standalone", "Deployment", "raptor-exporter"))["metadata"]["labels"]
    assert policy["podSelector"]["matchLabels"].items() <= labels.items()
    assert policy["egress"] == []
    (rule,) = policy["ingress"]
    assert rule["ports"] == [{"port": 19222, "protocol": "TCP"}]


def test_network_policies_name_ports_by_number():
    """A name of an init container's port is not resolved by every network plugin."""
    for example in EXAMPLES:
        for manifest in render(example):
            if manifest["kind"] == "NetworkPolicy":
                ports = [port["port"] for rule in manifest["spec"]["ingress"] for port in rule["ports"]]
                assert ports == [19222]
