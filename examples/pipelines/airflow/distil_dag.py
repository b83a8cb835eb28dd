"""A DAG that distils once a week and hands the student on only where it meets its gates."""  # noqa: INP001 - a DAG file

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, task
from stillhouse_airflow import DistilOperator

with DAG("distil", schedule="@weekly", catchup=False) as dag:
    distil = DistilOperator(
        task_id="distil",
        conn_id="stillhouse",
        spec="student.yaml",
        retries=2,
        retry_delay=timedelta(minutes=5),
    )

    @task
    def publish(job: str, outcome: str) -> str:
        """Stand for what comes next: `stillhouse download` of the job, on a machine that serves."""
        return f"{job} {outcome}"

    publish(distil.output["job"], distil.output["outcome"])
