"""Actors that answer requests in step with a driver, however often one of them is lost.

An actor that was lost comes back as new, without an error. So every reply carries the incarnation of its actor and the number of
changes that this incarnation has made. The driver refuses a reply that does not fit, and repeats all changes to that actor.
"""

from __future__ import annotations

import pickle
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from distil.errors import RunError
from distil.system.executor import Actors

_LOST: Final = 8  # times that an actor may be lost while one request is answered


class Actor:
    """A state that requests read and change.

    Args:
        make: A function that makes the state at first and after a loss.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self.begin()

    def begin(self) -> None:
        """Begin anew, as another incarnation."""
        self.incarnation = secrets.token_hex(8)
        self.changes = 0
        self.state = self._make()


@dataclass(frozen=True)
class Request:
    """A request to an actor.

    Attributes:
        work: A function of a module, which is called with the state and ``arguments``.
        arguments: Its further arguments.
        changes: Number of changes that the actor has made before.
        is_change: Whether this is one more, which is repeated after a loss.
    """

    work: Callable[..., Any]
    arguments: tuple[Any, ...]
    changes: int
    is_change: bool


@dataclass(frozen=True)
class Reply:
    """The reply to a request.

    Attributes:
        incarnation: The incarnation of the actor.
        changes: Number of changes that it has made.
        value: The result; None if the actor had made another number of changes before than the request says.
    """

    incarnation: str
    changes: int
    value: Any


def serve(actor: Actor, request: Request) -> Reply:
    """Answer one request."""
    if request.changes == 0 and actor.changes:
        actor.begin()  # the driver repeats all changes
    if request.changes != actor.changes:
        return Reply(actor.incarnation, actor.changes, None)
    value = request.work(actor.state, *request.arguments)
    actor.changes += request.is_change
    return Reply(actor.incarnation, actor.changes, value)


@dataclass
class Traffic:
    """The messages between a driver and its actors.

    Attributes:
        rounds: Number of rounds of requests.
        n_bytes: Bytes of all requests and replies, repeated ones included.
    """

    rounds: int = 0
    n_bytes: int = 0


@dataclass
class Crew:
    """The actors of a driver, numbered from 0.

    Attributes:
        actors: The actors, whose states are ``Actor``.
        size: Their number.
        members: The numbers of those that ``ask_all`` and ``change_all`` ask; at first all.
        traffic: The messages so far.
    """

    actors: Actors[Actor]
    size: int
    traffic: Traffic = field(default_factory=Traffic)

    def __post_init__(self) -> None:
        self._changes: list[list[Request]] = [[] for _ in range(self.size)]
        self._incarnations: list[str | None] = [None] * self.size
        self.members = list(range(self.size))

    def ask(self, work: Callable[..., Any], arguments: Mapping[int, tuple[Any, ...]]) -> dict[int, Any]:
        """The result of ``work`` on the states of some actors, by their numbers, in the order of ``arguments``."""
        return self._asked(work, arguments, is_change=False)

    def ask_all(self, work: Callable[..., Any], *arguments: Any) -> list[Any]:  # noqa: ANN401
        """The results of ``work`` on the states of all members, called with the same arguments."""
        return list(self.ask(work, dict.fromkeys(self.members, arguments)).values())

    def change(self, work: Callable[..., Any], arguments: Mapping[int, tuple[Any, ...]]) -> dict[int, Any]:
        """As ``ask``, for work that changes the states."""
        return self._asked(work, arguments, is_change=True)

    def change_all(self, work: Callable[..., Any], *arguments: Any) -> list[Any]:  # noqa: ANN401
        """As ``ask_all``, for work that changes the states."""
        return list(self.change(work, dict.fromkeys(self.members, arguments)).values())

    def _asked(
        self, work: Callable[..., Any], arguments: Mapping[int, tuple[Any, ...]], *, is_change: bool
    ) -> dict[int, Any]:
        requests = {
            number: Request(work, given, len(self._changes[number]), is_change) for number, given in arguments.items()
        }
        self.traffic.rounds += 1
        replies, left = dict[int, Reply](), requests
        for _ in range(_LOST):
            refused = []
            for number, reply in self._sent(left):
                if self._fits(number, left[number], reply):
                    replies[number] = reply
                else:
                    refused.append(number)
            for number in refused:
                self._repeat(number)
            left = {number: requests[number] for number in refused}
            if not left:
                break
        else:
            raise RunError(
                f"the shards {sorted(left)} were lost again and again; look for the reason in their processes"
            )
        for number, request in requests.items():
            if is_change:
                self._changes[number].append(request)
        return {number: replies[number].value for number in requests}

    def _fits(self, number: int, request: Request, reply: Reply) -> bool:
        """Whether a reply is of the known incarnation after all changes that the driver knows of."""
        if self._incarnations[number] is None and request.changes == 0:
            self._incarnations[number] = reply.incarnation
        return reply.incarnation == self._incarnations[number] and reply.changes == request.changes + request.is_change

    def _repeat(self, number: int) -> None:
        """Repeat all changes to an actor, unless it is lost again meanwhile, which its next reply shows."""
        self._incarnations[number] = None
        for request in self._changes[number]:
            ((_, reply),) = self._sent({number: request})
            if not self._fits(number, request, reply):
                return

    def _sent(self, requests: Mapping[int, Request]) -> list[tuple[int, Reply]]:
        replies = list(self.actors.ask(serve, requests))
        sent = (*requests.values(), *(reply for _, reply in replies))
        self.traffic.n_bytes += sum(len(pickle.dumps(each)) for each in sent)
        return replies
