"""The sections for workflows, runs and schedules of the asynchronous client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, TypeVar

from gesta.client import _workflow_calls as calls
from gesta.client._trading_calls import Ask, pauses
from gesta.client._workflow_calls import UNSET, Definition, Row

if TYPE_CHECKING:
    from gesta.client._async import AsyncGesta

T = TypeVar("T")
PAGE_ROWS = 200


class _Section:
    def __init__(self, client: AsyncGesta) -> None:
        self._client = client

    async def _do(self, ask: Ask[T]) -> T:
        return ask.read(await self._client._send(ask.call))

    async def _once(self, ask: Ask[T]) -> T:
        """For what would be done twice if it were repeated."""
        return ask.read(await self._client._body(ask.call))


class AsyncWorkflows(_Section):
    """`gesta.workflows`. A definition is an object, or the text of a JSON or YAML file; a workflow is named by its id
    or its alias."""

    async def validate(self, definition: Definition, *, form: str = "auto") -> Row:
        """Whether it can be run: `is_valid`, else `problems`, each with `node`, `field` and `message`."""
        return await self._do(calls.validate(definition, form))

    async def create(self, definition: Definition, *, form: str = "auto", publish: bool = False, **words: Any) -> Row:
        """Save a new one. `words`: name, alias, slug, description, visibility. Raises BadRequest, whose problem has all
        that is wrong, Conflict for an alias that is taken."""
        return await self._once(calls.create(definition, form, publish, words))

    async def save(
        self, workflow: str, definition: Definition, *, form: str = "auto", publish: bool = False, **words: Any
    ) -> Row:
        """Save a new version. `words` as for `create`, and `expected_version`. Raises NotFound, BadRequest,
        Conflict."""
        return await self._once(calls.save(workflow, definition, form, publish, words))

    async def list(self, *, limit: int | None = None, **filters: Any) -> AsyncIterator[Row]:
        """Newest first, page after page. Filters: search, slug."""
        offset, left = 0, limit
        while left is None or left > 0:
            page = await self._do(
                calls.workflows_page(offset, PAGE_ROWS if left is None else min(left, PAGE_ROWS), filters)
            )
            for one in page["items"]:
                yield one
            offset += len(page["items"])
            left = None if left is None else left - len(page["items"])
            if not page["has_more"]:
                return

    async def get(self, workflow: str) -> Row:
        """Raises NotFound."""
        return await self._do(calls.workflow(workflow))

    async def versions(self, workflow: str) -> Any:
        """Its versions, newest first, without their definitions."""
        return await self._do(calls.versions(workflow))

    async def version(self, workflow: str, version: int | str = "newest", *, form: str = "gesta") -> Row:
        """One version with its `definition`; `version` is a number, `newest` or `published`. Raises NotFound."""
        return await self._do(calls.version(workflow, version, form))

    async def diff(self, workflow: str, before: int | None = None, after: int | None = None) -> Row:
        """What is different between two versions: the last two, unless others are named."""
        return await self._do(calls.diff(workflow, before, after))

    async def publish(self, workflow: str, *, version: int | None = None) -> Row:
        """The newest version, unless another is named."""
        return await self._do(calls.publish(workflow, version))

    async def unpublish(self, workflow: str) -> Row:
        """Nothing starts it any more but a call that names a version."""
        return await self._do(calls.act_on_workflow(workflow, "unpublish"))

    async def pause(self, workflow: str) -> Row:
        """Its triggers start nothing; a call still does."""
        return await self._do(calls.status(workflow, "paused"))

    async def activate(self, workflow: str) -> Row:
        """Its triggers start it again."""
        return await self._do(calls.status(workflow, "active"))

    async def archive(self, workflow: str) -> None:
        """Nothing starts it; its alias is free, its schedules end, its runs stay on record."""
        await self._do(calls.archive(workflow))

    async def new_hook_secret(self, workflow: str) -> str:
        """A new secret of its inbound webhook; the one before is void."""
        return str((await self._once(calls.act_on_workflow(workflow, "hook-secret")))["secret"])


class AsyncRuns(_Section):
    """`gesta.runs`. A run is an execution in Gesta's own words."""

    async def start(
        self,
        workflow: str | None = None,
        input: Any = None,
        *,
        definition: Definition | None = None,
        wait_s: float = 0,
        key: str | None = None,
        **said: Any,
    ) -> Row:
        """Start a run of a workflow, or of a definition that is not stored: `run`, `client_token`, `checkout_url`,
        `answer`. What failed in passing is repeated without starting two; `key` makes that hold for calls of yours.
        With `wait_s` it is over when this returns, or that long has passed. `said`: version, drafts, account,
        environment, name, external_ref, client_safe_metadata, customer_email, success_url … Raises BadRequest,
        NotFound, Conflict."""
        return await self._do(calls.start(workflow, definition, input, wait_s, key, said))

    async def get(
        self, run_id: str, *, account: str | None = None, rounds: int | None = None, payloads: bool | None = None
    ) -> Row:
        """One run as a tree: `run`, `nodes` with their `rounds`, `waits`. Raises NotFound."""
        return await self._do(calls.run(run_id, account, rounds, payloads))

    def list(self, *, limit: int | None = None, **filters: Any) -> AsyncIterator[Row]:
        """Runs, newest first, with the filters of `gesta.executions.list`: status, workflow_id, account …"""
        return self._client.executions.list(limit=limit, kind="run", **filters)

    def events(self, run_id: str, *, after: int = 0) -> AsyncIterator[Row]:
        """Its timeline and log, oldest first. Raises NotFound."""
        return self._client.executions.events(run_id, after=after)

    async def batches(
        self, run_id: str, node: str, *, status: str | None = None, offset: int = 0, limit: int = 50
    ) -> Row:
        """A page of the rounds of a container: `items`, `total`, `has_more`."""
        return await self._do(calls.batches_page(run_id, node, status, offset, limit))

    async def stop(self, run_id: str) -> Row:
        """Ask it to stop; `wait` tells what becomes of it. Raises NotFound, Conflict for one that is over."""
        return await self._do(calls.act_on_run(run_id, "stop"))

    async def retry(self, run_id: str) -> Row:
        """Go on with the same run from where it failed. Raises NotFound, Conflict."""
        return await self._once(calls.act_on_run(run_id, "retry"))

    async def rerun(self, run_id: str, *, input: Any = UNSET, from_node: str | None = None) -> Row:
        """A new run of the same version, with the same payload or another; from a node on, with what came before it
        done. As `start` answers."""
        return await self._once(calls.rerun(run_id, input, from_node))

    async def resume(self, run_id: str, node: str, payload: Any = None) -> bool:
        """Wake a node that waits for a webhook or a person. False: it did not wait (any more)."""
        return bool((await self._do(calls.resume(run_id, node, payload)))["resumed"])

    async def checkout(self, run_id: str) -> Row:
        """Its checkout session. Raises NotFound for one that costs nothing."""
        return await self._do(calls.checkout(run_id))

    async def refund(self, run_id: str, *, reason: str = "") -> Row:
        """Pay it back. Raises Conflict unless it was paid and is not paid back."""
        return await self._do(calls.refund(run_id, reason))

    async def event(self, name: str, payload: Any = None, *, application: str = "", key: str | None = None) -> Row:
        """Tell of a named event: which runs it `started` and has `woken`."""
        return await self._do(calls.event(name, application, payload, key))

    async def bulk(self, action: str, *, input: Any = UNSET, from_node: str | None = None, **filters: Any) -> Row:
        """`stop`, `retry` or `rerun` whatever the filters admit, as a job: ids, workflow_id, status, account,
        created_from, created_to, name … `job` tells how far it is. Raises BadRequest for no filter at all."""
        return await self._once(calls.bulk(action, input, from_node, filters))

    async def job(self, job_id: str) -> Row:
        """How far a job is: `status`, `total`, `done`, `skipped`, `failed`, `errors`. Raises NotFound."""
        return await self._do(calls.job(job_id))

    async def wait(self, run_id: str, *, timeout_s: float = 60) -> Row:
        """The run as an execution once it is over; as it stands after `timeout_s`."""
        row = await self._client.executions.get(run_id)
        for pause_s in pauses(timeout_s):
            if calls.is_over(row):
                break
            await self._client._sleep(pause_s)
            row = await self._client.executions.get(run_id)
        return row


class AsyncSchedules(_Section):
    """`gesta.schedules`."""

    async def list(self, *, workflow: str | None = None) -> Any:
        """Newest first, with those of workflows' own triggers."""
        return await self._do(calls.schedules(workflow))

    async def get(self, schedule_id: str) -> Row:
        """Raises NotFound."""
        return await self._do(calls.schedule(schedule_id))

    async def create(self, workflow: str, **said: Any) -> Row:
        """Start a workflow at moments: exactly one of `cron`, `every_s`, `at` and `dates`; `starts_at`, `ends_at`,
        `timezone`, `input`, `name`, `catch_up` (skip, one, all)."""
        return await self._once(calls.create_schedule(workflow, said))

    async def change(self, schedule_id: str, **said: Any) -> Row:
        """All of it is said anew, as for `create`; without `workflow` it stays with its own."""
        return await self._do(calls.change_schedule(schedule_id, said))

    async def pause(self, schedule_id: str) -> Row:
        """What passes meanwhile is not caught up with."""
        return await self._do(calls.pause_schedule(schedule_id, "pause"))

    async def resume(self, schedule_id: str) -> Row:
        """Let it go on."""
        return await self._do(calls.pause_schedule(schedule_id, "resume"))

    async def delete(self, schedule_id: str) -> None:
        """Raises NotFound, Conflict for one that is a workflow's own trigger."""
        await self._do(calls.delete_schedule(schedule_id))
