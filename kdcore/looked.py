"""What is read of a spec where nothing is to be trained: its data, and what is asked of it."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel

from kdcore.dataset import Dataset
from kdcore.datasets import DATASETS
from kdcore.entry import OneOf
from kdcore.task import Task
from kdcore.tasks import TASKS
from kdcore.tasks.classification import Classification


class Looked(BaseModel):
    """The data of a spec, and the task that it is for; all else in it is left aside."""

    data: Annotated[Dataset, OneOf(DATASETS)]
    task: Annotated[Task, OneOf(TASKS)] = Classification()
