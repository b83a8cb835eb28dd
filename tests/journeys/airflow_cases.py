"""DAGs for what the example does not show; read by Airflow."""

from airflow.sdk import DAG
from stillhouse_airflow import DistilOperator, DistilSensor

SPEC = {
    "teacher": {"model": {"name": "mlp", "hidden": [16]}},
    "student": {"model": {"name": "mlp", "hidden": [8]}},
    "data": {"name": "digits", "labelled": 100},
    "training": {"max_steps": 20},
}

with DAG("gates", schedule=None):
    specs = [{**SPEC, "gates": [f"student.accuracy >= {least}"]} for least in (0, 1)]
    DistilOperator.partial(task_id="distil", conn_id="stillhouse", retries=2).expand(spec=specs)

with DAG("following", schedule=None):
    DistilSensor(task_id="wait", job_id="{{ dag_run.conf['job'] }}")
    DistilSensor(task_id="skip", job_id="{{ dag_run.conf['missed'] }}", soft_fail=True)

with DAG("refused", schedule=None):
    DistilOperator(task_id="distil", spec={**SPEC, "method": "none"}, retries=2)
