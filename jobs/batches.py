"""Asking together what many ask at once: one thread takes all that waits and answers it in one go.

Sixteen writers that fight for one lock are slower than one that writes for sixteen; and a question
alone is answered as soon as it comes.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Generic, TypeVar

from sqlalchemy.exc import TimeoutError as PoolTimeout

LARGEST: Final = 64
"""Questions in one batch at most: a transaction must end some time."""
MOST_WAITING: Final = 2_000
"""Questions that may wait; more are refused, as by a database without a free connection."""

Question = TypeVar("Question")
Answer = TypeVar("Answer")


class Batches(Generic[Question, Answer]):
    """Answers questions of the coroutines of one event loop with a function that takes many."""

    def __init__(
        self, name: str, work: Callable[[Sequence[Question]], Sequence[Answer | Exception]]
    ) -> None:
        """Answer with `work`, in a thread of this name; what it raises is everybody's answer."""
        self._work = work
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        # All but the thread is touched by the event loop alone.
        self._waiting: deque[tuple[Question, asyncio.Future[Answer]]] = deque()
        self._busy = False

    async def ask(self, question: Question) -> Answer:
        """Return the answer.

        Raises:
            Exception: the answer is one, or the whole batch failed.
        """
        if len(self._waiting) >= MOST_WAITING:
            raise PoolTimeout(f"found {MOST_WAITING} questions that wait; expected fewer")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        self._waiting.append((question, future))
        if not self._busy:
            self._busy = True
            loop.call_soon(self._gather, loop, 0)
        return await future

    def close(self) -> None:
        """Let the batch that is under way end; nobody asks any more."""
        self._thread.shutdown()

    def _gather(self, loop: asyncio.AbstractEventLoop, before: int) -> None:
        """Begin once a round of the loop has brought nothing new: a crowd comes as one batch."""
        if before < len(self._waiting) < LARGEST:
            loop.call_soon(self._gather, loop, len(self._waiting))
        else:
            self._begin(loop)

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        batch: list[tuple[Question, asyncio.Future[Answer]]] = []
        while self._waiting and len(batch) < LARGEST:
            asked = self._waiting.popleft()
            # Who has left meanwhile wants no answer, and above all no job.
            if not asked[1].cancelled():
                batch.append(asked)
        self._busy = bool(batch)
        if batch:
            self._thread.submit(self._answer, loop, batch)

    def _answer(
        self, loop: asyncio.AbstractEventLoop, batch: list[tuple[Question, asyncio.Future[Answer]]]
    ) -> None:
        answers: Sequence[Answer | Exception]
        try:
            answers = self._work([question for question, _ in batch])
        except Exception as error:  # noqa: BLE001  # whatever it is, those who asked must hear it
            answers = [error] * len(batch)
        told = list(zip((future for _, future in batch), answers, strict=True))
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to hear it
            loop.call_soon_threadsafe(self._tell, loop, told)

    def _tell(
        self,
        loop: asyncio.AbstractEventLoop,
        told: list[tuple[asyncio.Future[Answer], Answer | Exception]],
    ) -> None:
        for future, answer in told:
            if future.done():
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)
        # First the answers go out, and what they bring in comes along.
        loop.call_soon(self._gather, loop, -1)
