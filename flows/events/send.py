"""Sending of events and messages: the only place of the events that knows Prefect."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from ...data.errors import ConfigError, shorten
from ...data.text.wording import counted
from .event import Event

_log = logging.getLogger(__name__)

SUBJECT = "assay"


def emit(event: Event) -> None:
    """Send an event from a flow run.

    Prefect adds the flow run, its deployment and its tags to the related resources, and sends from
    a thread that it drains at the end of the process. An event that cannot be sent is logged.
    """
    from prefect.events import emit_event

    json_event = event.to_json()
    name = json_event.pop("event")
    try:
        emit_event(name, **json_event | {"id": event.event_id})
    except Exception as error:  # noqa: BLE001 - an event must not end a run
        _log.warning("the event %s was not emitted: %s", name, shorten(str(error)))


def deliver(events: Sequence[Event]) -> None:
    """Send events and wait until the configured server has taken them.

    Raises:
        ConfigError: The server cannot be reached, or refuses them.
    """
    import httpx
    from prefect.client.orchestration import get_client

    occurred = datetime.now(UTC).isoformat()
    body = [event.to_json() | {"occurred": occurred} for event in events]
    try:
        with get_client(sync_client=True) as client:
            client.request("POST", "/events", json=body)
    except httpx.HTTPError as error:
        raise ConfigError(
            f"the Prefect server did not take {counted(len(body), 'event')}:"
            f" {type(error).__name__}: {error}"
        ) from error


def require_block(name: str) -> Any:
    """Return a notification block of the server.

    Args:
        name: TYPE/NAME of the block, such as "slack-webhook/oncall".

    Raises:
        ConfigError: The server has no such block, or it sends no notifications.
    """
    import prefect.blocks.notifications  # noqa: F401 - registers the types
    from prefect.blocks.abstract import NotificationBlock
    from prefect.blocks.core import Block

    try:
        block = Block.load(name, _sync=True)  # type: ignore[call-arg]
    except (ValueError, KeyError, RuntimeError) as error:
        raise ConfigError(
            f"notify is {name!r}: {shorten(str(error))}; make the block on the pages of the Prefect"
            " server, or name one of `prefect block ls`"
        ) from error
    if not isinstance(block, NotificationBlock):
        raise ConfigError(
            f"notify is {name!r}, a block of type {type(block).__name__}, which sends no"
            " notifications; name a block such as slack-webhook/NAME"
        )
    return block


def notify(block: Any, message: str) -> None:
    """Send a message by a notification block; a failure is logged, without the block's address."""
    try:
        # In a thread without an event loop, where blocks of both kinds behave alike.
        with ThreadPoolExecutor(1) as pool:
            pool.submit(_notify, block, message).result()
    except Exception as error:  # noqa: BLE001 - a message must not end a run
        # The text of the error may have the address, which is a secret.
        _log.warning("the notification was not sent: %s", type(error).__name__)


def _notify(block: Any, message: str) -> None:
    with block.raise_on_failure():
        answer = block.notify(message, subject=SUBJECT)
        if inspect.iscoroutine(answer):
            asyncio.run(answer)
