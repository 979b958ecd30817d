"""Checks deploy/compose.yaml by the Compose Specification's schema and deploy/kubernetes by Kubernetes' own, that every image has a tag, and that
Prometheus understands what dashboards ask.

`cargo xtask test` runs it: check.py DEPLOY COMPOSE_SCHEMA PROMTOOL
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile

import jsonschema
import kubernetes_validate
import yaml

# Strimzi's kinds are not among Kubernetes' own. What is written of them is checked in the tests of what generates it.
NOT_KUBERNETES = ("kafka.strimzi.io/", "kustomize.config.k8s.io/")
# What Kubernetes ran when this was written, and the newest that the package knows.
KUBERNETES_VERSIONS = ("1.33", "1.37")
# A tag that says a version, or a digest.
PINNED = re.compile(r"(:v?\d+(\.\d+)+[\w.-]*|@sha256:[0-9a-f]{64})$")


def images(value):
    """All that is called `image`, wherever it stands."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "image" and isinstance(inner, str):
                yield inner
            else:
                yield from images(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from images(inner)


def compose(deploy, schema):
    document = yaml.safe_load((deploy / "compose.yaml").read_text())
    for error in jsonschema.Draft7Validator(json.loads(schema.read_text())).iter_errors(document):
        yield f"compose.yaml: {'/'.join(map(str, error.path))}: {error.message}"
    for name, service in document["services"].items():
        for port in service.get("ports", []):
            if not port.startswith("127.0.0.1:"):
                yield f"compose.yaml: {name} is published beyond loopback: {port}"
    yield from unpinned("compose.yaml", document)


def kubernetes(deploy):
    for file in sorted((deploy / "kubernetes").glob("*.yaml")):
        for document in yaml.safe_load_all(file.read_text()):
            if document["apiVersion"].startswith(NOT_KUBERNETES):
                continue
            for version in KUBERNETES_VERSIONS:
                try:
                    kubernetes_validate.validate(document, version, strict=True)
                except kubernetes_validate.ValidationError as error:
                    yield f"{file.name}: {document['kind']} by Kubernetes {version}: {error.message}"
            yield from unpinned(file.name, document)


def unpinned(file, document):
    for image in images(document):
        if not PINNED.search(image):
            yield f"{file}: {image} has no tag with a version"


def queries(deploy, promtool):
    """Each query as a rule that records it, for promtool parses rules."""
    rules = []
    for file in sorted((deploy / "grafana" / "dashboards").glob("*.json")):
        for panel in json.loads(file.read_text())["panels"]:
            for target in panel["targets"]:
                expr = target["expr"].replace("$__rate_interval", "1m")
                rules.append({"record": f"dashboard:{len(rules)}", "expr": expr, "labels": {"of": file.stem, "panel": panel["title"]}})
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        yaml.safe_dump({"groups": [{"name": "dashboards", "rules": rules}]}, file)
        file.flush()
        told = subprocess.run([promtool, "check", "rules", file.name], capture_output=True, text=True)
    if told.returncode != 0 or not rules:
        yield f"dashboards: {told.stdout}{told.stderr}"


def main():
    deploy, schema, promtool = map(pathlib.Path, sys.argv[1:])
    found = [*compose(deploy, schema), *kubernetes(deploy), *queries(deploy, promtool)]
    for problem in found:
        print(problem, file=sys.stderr)
    sys.exit(1 if found else 0)


main()
