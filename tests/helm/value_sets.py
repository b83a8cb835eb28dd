"""Values that somebody may install the chart with."""

from __future__ import annotations

from typing import Any, Final

GPUS: Final[dict[str, Any]] = {
    "pools": {
        "a100": {
            "image": {"repository": "stillhouse-worker-gpu"},
            "queues": ["a100", "default"],
            "gpus": 2,
            "sharedMemory": "4Gi",
            "runtimeClassName": "nvidia",
            "nodeSelector": {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB"},
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
            "settings": {"stop_seconds": 90},
        },
        "night": {"queues": ["night"], "replicas": 3, "slots": 2},
    }
}
KEDA: Final[dict[str, Any]] = {
    "pools": {
        "cpu": {"keda": {"enabled": True}},
        "a100": {
            "queues": ["a100", "default"],
            "gpus": 1,
            "slots": 2,
            "keda": {"enabled": True, "maximum": 8, "inspections": False},
        },
    }
}
BUCKET: Final[dict[str, Any]] = {
    "data": {"persistent": False, "size": "20Gi"},
    "artifacts": {
        "place": "s3://bucket/prefix",
        "s3": {
            "endpoint": "https://s3.example.org",
            "region": "eu-central-1",
            "pathStyle": False,
            "presign": True,
            "secret": "bucket",
            "sessionTokenKey": "session-token",
        },
    },
}
INGRESS: Final[dict[str, Any]] = {
    "ingress": {
        "enabled": True,
        "className": "nginx",
        "hosts": ["stillhouse.example.org"],
        "tls": [{"secretName": "stillhouse-tls", "hosts": ["stillhouse.example.org"]}],
    },
    "api": {"allowedHosts": ["distil.example.org"]},
    # None of the chart's own pool.
    "pools": {"cpu": None, "only": {"queues": ["only"]}},
}
OPENSHIFT: Final[dict[str, Any]] = {"user": None, "group": None, "sweeper": {"replicas": 0}}
STOPPED: Final[dict[str, Any]] = {"stopped": True, **KEDA}
EVERYTHING: Final[dict[str, Any]] = {
    **INGRESS,
    "fullnameOverride": "distillery",
    "images": {
        "api": {"repository": "registry.example.org/stillhouse-api", "tag": "0.2.0"},
        "worker": {"digest": f"sha256:{'0' * 64}"},
        "pullSecrets": ["registry"],
    },
    "data": {"existingClaim": "files"},
    "artifacts": BUCKET["artifacts"],
    "settings": {"retention_days": 90, "upload_bytes": 53687091200, "warm": True},
    "extraEnv": [
        {"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": "http://collector:4318"},
        {
            "name": "STILLHOUSE_HUB_TOKEN",
            "valueFrom": {"secretKeyRef": {"name": "hub", "key": "token"}},
        },
    ],
    "serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/s3"}},
    "podAnnotations": {"example.org/team": "vision"},
    "podLabels": {"team": "vision"},
    "priorityClassName": "batch",
    "migrate": {"revision": "0013", "tolerations": [{"operator": "Exists"}]},
    "sweeper": {"affinity": {"nodeAffinity": {}}},
    "pools": {**GPUS["pools"], **KEDA["pools"], "night": {"priorityClassName": "night"}},
    "networkPolicy": {
        "enabled": True,
        "servers": [
            {
                "to": [{"ipBlock": {"cidr": "10.0.0.5/32"}}],
                "ports": [{"port": 5432}, {"port": 6379}],
            }
        ],
        "workersTo": [{"ports": [{"port": 443}]}],
    },
    "metrics": {
        "serviceMonitor": {"enabled": True, "keySecret": "scraper", "labels": {"release": "prom"}},
        "rules": {"enabled": True},
        "dashboard": {"enabled": True, "annotations": {"grafana_folder": "ML"}},
    },
}
SETS: Final[dict[str, dict[str, Any]]] = {
    "defaults": {},
    "gpus": GPUS,
    "keda": KEDA,
    "bucket": BUCKET,
    "ingress": INGRESS,
    "openshift": OPENSHIFT,
    "stopped": STOPPED,
    "everything": EVERYTHING,
}
