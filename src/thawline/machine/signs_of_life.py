"""Processes of a run tell each other words through a store, and notice where one is lost or stopped.

The store lies in one of the processes, or in the agent that started them. It needs no process group.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, wait
from datetime import timedelta
from typing import Any, TypeVar

from thawline.errors import UserError
from thawline.machine.processes import Place

FIRST_WORD_S = 60.0  # for the first word of another process; chosen: importing torch takes seconds, from a slow disk 30
_BEAT_S = 3.0  # between two signs of life
_DEAD_S = 40.0  # without one; chosen: ten missed, and all is told within a minute
_POLL_S = 0.05
_LOOK_S = 1.0  # between two looks at the others; below 5 s, after which Lightning kills all where one has failed
_FAILED, CANNOT_WRITE = "failed", "cannot write"  # why a process leaves
_T = TypeVar("_T")


class Meeting:
    """What the processes of a run tell each other, and whether they live, until `end`.

    Args:
        store: Holds what they say, as text by key.
    """

    def __init__(self, store: Any, place: Place, *, wait_s: float = FIRST_WORD_S, dead_s: float | None = None) -> None:
        self._store, self._place, self._wait_s = store, place, wait_s
        self._dead_s = _DEAD_S if dead_s is None else dead_s
        self._over = threading.Event()
        self._step = 0  # of those that all take
        self._looked = self._answered = time.monotonic()
        self._seen = dict.fromkeys(range(place.world_size), (-1, self._looked))
        threading.Thread(target=self._beat, args=(store.clone(),), daemon=True).start()

    @property
    def rank(self) -> int:
        return self._place.rank

    @property
    def size(self) -> int:
        return self._place.world_size

    @property
    def ended(self) -> bool:
        """Whether it gives no sign of life any more."""
        return self._over.is_set()

    def word_of_first(self, name: str, value: str) -> str:
        """`value` of the first process.

        Raises:
            UserError: It did not say one in time.
        """
        if self.rank == 0:
            self._store.set(name, value)
            return value
        try:
            self._store.wait([name], timedelta(seconds=self._wait_s))
            return str(self._store.get(name).decode())
        except RuntimeError as error:
            raise UserError(
                f"process {self.rank} of {self.size} heard nothing from process 0 within "
                f"{self._wait_s:.0f} s; its output says why. Start all processes at the same time"
            ) from error

    def next_word_of_first(self, value: str) -> str:
        """`value` of the first process, which is waited for as long as it lives; raises what `gather` does."""
        self._step += 1
        name = f"step{self._step}"

        def heard() -> str:
            if self.rank == 0:
                self._store.set(name, value)
            self._wait_for({0: name})
            return str(self._store.get(name).decode())

        return self._asked(heard)

    def gather(self) -> None:
        """Until every process has come here. Nothing is read afterwards: the process with the store may end it then.

        Raises:
            OSError: One cannot write.
            UserError: One failed, or shows no sign of life.
        """
        keys = self._keys_of_next_step()
        self._asked(lambda: self._come("", keys))

    def words_of_all(self, value: str) -> list[str]:
        """The `value` of every process, by rank; raises what `gather` does. The store has to live on."""
        keys = self._keys_of_next_step()

        def heard() -> list[str]:
            self._come(value, keys)
            return [str(self._store.get(key).decode()) for key in keys.values()]

        return self._asked(heard)

    def _keys_of_next_step(self) -> dict[int, str]:
        self._step += 1
        return {rank: f"step{self._step}/{rank}" for rank in range(self.size)}

    def _come(self, value: str, keys: Mapping[int, str]) -> None:
        self._store.set(keys[self.rank], value)
        self._wait_for(keys)

    def look_around(self) -> None:
        """Raise what `gather` would, at most once in `_LOOK_S`; call it often."""
        if time.monotonic() - self._looked > _LOOK_S:
            self._looked = time.monotonic()
            self._asked(lambda: self._look_at(self._seen))

    def wait_for_all(self) -> None:
        """`gather`, then `end`."""
        try:
            self.gather()
        finally:
            self.end()

    def end(self) -> None:
        """Give no sign of life any more."""
        self._over.set()

    def leave(self, reason: str, *, kind: str = _FAILED) -> None:
        """Tell those that wait that this process will not come; nothing after `end`.

        Args:
            kind: `CANNOT_WRITE` where it goes on without what they wait for.
        """
        if not self._over.is_set():
            self._over.set()
            with contextlib.suppress(UserError):  # nobody is there to hear it
                self._asked(lambda: self._store.set(f"{kind}/{self.rank}", reason))

    def _wait_for(self, keys: Mapping[int, str]) -> None:
        missing = dict(keys)
        while missing := {rank: key for rank, key in missing.items() if not self._store.check([key])}:
            self._look_at(missing)
            time.sleep(_POLL_S)

    def _look_at(self, ranks: Iterable[int]) -> None:
        """Raises if one left, or did not give a sign of life for too long."""
        for rank in ranks:
            self._refuse_gone(rank)
            now, heard = time.monotonic(), int(self._store.add(f"beats/{rank}", 0))
            self._answered = now
            beats, since = self._seen[rank]
            if heard != beats:
                self._seen[rank] = heard, now
            elif now - since > self._dead_s:
                raise UserError(
                    f"process {rank} of {self.size} shows no sign of life for {self._dead_s:.0f} s; its output says why"
                )

    def _refuse_gone(self, rank: int) -> None:
        for kind, error in ((_FAILED, UserError), (CANNOT_WRITE, OSError)):
            if rank != self.rank and self._store.check([f"{kind}/{rank}"]):
                reason = self._store.get(f"{kind}/{rank}").decode()
                raise error(f"process {rank} of {self.size} {kind}: {reason}")

    def _asked(self, ask: Callable[[], _T]) -> _T:
        """What `ask` gives. It runs in a thread: a store in a process that is stopped never answers.

        Raises:
            UserError: The process that holds the store is gone, or it does not answer.
        """
        answer: Future[_T] = Future()

        def run() -> None:
            try:
                answer.set_result(ask())
            except BaseException as error:
                answer.set_exception(error)

        self._answered = time.monotonic()
        threading.Thread(target=run, daemon=True).start()
        while not wait([answer], timeout=_LOOK_S).done:
            if time.monotonic() - self._answered > self._dead_s:
                self._over.set()
                raise UserError(
                    f"the process that holds the words of all {self.size} does not answer for {self._dead_s:.0f} s; "
                    "it is stopped, or its machine cannot be reached"
                )
        try:
            return answer.result()
        except RuntimeError as error:  # the process that held the store is gone
            raise UserError("another process of this run ended; its output says why") from error

    def _beat(self, store: Any) -> None:
        while not self._over.is_set():
            try:
                store.add(f"beats/{self.rank}", 1)
            except RuntimeError:  # nobody is there to hear it
                return
            self._over.wait(_BEAT_S)
