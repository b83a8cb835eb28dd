"""What a recipe says of what it is computed on."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from kdcore.entry import Record


def _threads_form(value: object) -> str:
    return "auto" if isinstance(value, str) and not value.isdecimal() else "number"


class Runtime(Record):
    """What the run computes on."""

    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d{1,3})?)$")] = "auto"
    """auto takes a GPU where there is one."""
    processes: Annotated[int, Field(ge=1, le=64)] = 1
    """Processes that share each step, on a GPU each. A step has as many batches of
    per_device_train_batch_size, and its loss is that of one process with all of these samples."""
    threads: Annotated[
        Annotated[int, Field(ge=1, le=1024), Tag("number")]
        | Annotated[Literal["auto"], Tag("auto")],
        Discriminator(_threads_form),
    ] = 1
    """CPU threads, at most a trainer's share of the cores; auto takes that share. Small networks
    are faster with one, and the last bits of a student may depend on the number."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Numbers that networks multiply in. auto takes bfloat16 where it was measured to be faster for
    the network on this machine; weights, losses and what is measured stay float32."""
    compile: Literal["auto", "always", "never"] = "auto"
    """Compile the student's network (torch.compile), which takes a minute or more at the start;
    auto does so on a GPU where the steps that are planned earn it back. Only in one process."""

    @model_validator(mode="after")
    def _processes_can_do_it(self) -> Self:
        if self.processes == 1:
            return self
        alone = "device", self.device, "cuda, cpu or auto, where each process takes its own"
        if ":" not in self.device:
            if self.compile != "always":
                return self
            alone = "compile", self.compile, "auto or never: a compiled step is not shared"
        raise PydanticCustomError(
            "one_process",
            "found {processes} processes and {field} {found}; expected {expected}",
            {
                "processes": self.processes,
                "field": alone[0],
                "found": alone[1],
                "expected": alone[2],
                "pointer": f"/runtime/{alone[0]}",
            },
        )
