"""The sections for workflows, runs and schedules of the synchronous client."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from gesta.client import _workflow_calls as calls
from gesta.client._trading_calls import Ask, pauses
from gesta.client._workflow_calls import UNSET, Definition, Row

if TYPE_CHECKING:
    from gesta.client._sync import Gesta

T = TypeVar("T")
PAGE_ROWS = 200


class _Section:
    def __init__(self, client: Gesta) -> None:
        self._client = client

    def _do(self, ask: Ask[T]) -> T:
        return ask.read(self._client._send(ask.call))

    def _once(self, ask: Ask[T]) -> T:
        """For what would be done twice if it were repeated."""
        return ask.read(self._client._body(ask.call))


class Workflows(_Section):
    """`gesta.workflows`. A definition is an object, or the text of a JSON or YAML file; a workflow is named by its id
    or its alias."""

    def validate(self, definition: Definition, *, form: str = "auto") -> Row:
        """Whether it can be run: `is_valid`, else `problems`, each with `node`, `field` and `message`."""
        return self._do(calls.validate(definition, form))

    def create(self, definition: Definition, *, form: str = "auto", publish: bool = False, **words: Any) -> Row:
        """Save a new one. `words`: name, alias, slug, description, visibility. Raises BadRequest, whose problem has all
        that is wrong, Conflict for an alias that is taken."""
        return self._once(calls.create(definition, form, publish, words))

    def save(
        self, workflow: str, definition: Definition, *, form: str = "auto", publish: bool = False, **words: Any
    ) -> Row:
        """Save a new version. `words` as for `create`, and `expected_version`. Raises NotFound, BadRequest,
        Conflict."""
        return self._once(calls.save(workflow, definition, form, publish, words))

    def list(self, *, limit: int | None = None, **filters: Any) -> Iterator[Row]:
        """Newest first, page after page. Filters: search, slug."""
        offset, left = 0, limit
        while left is None or left > 0:
            size = PAGE_ROWS if left is None else min(left, PAGE_ROWS)
            page = self._do(calls.workflows_page(offset, size, filters))
            yield from page["items"]
            offset += len(page["items"])
            left = None if left is None else left - len(page["items"])
            if not page["has_more"]:
                return

    def get(self, workflow: str) -> Row:
        """Raises NotFound."""
        return self._do(calls.workflow(workflow))

    def versions(self, workflow: str) -> Any:
        """Its versions, newest first, without their definitions."""
        return self._do(calls.versions(workflow))

    def version(self, workflow: str, version: int | str = "newest", *, form: str = "gesta") -> Row:
        """One version with its `definition`; `version` is a number, `newest` or `published`. Raises NotFound."""
        return self._do(calls.version(workflow, version, form))

    def diff(self, workflow: str, before: int | None = None, after: int | None = None) -> Row:
        """What is different between two versions: the last two, unless others are named."""
        return self._do(calls.diff(workflow, before, after))

    def publish(self, workflow: str, *, version: int | None = None) -> Row:
        """The newest version, unless another is named."""
        return self._do(calls.publish(workflow, version))

    def unpublish(self, workflow: str) -> Row:
        """Nothing starts it any more but a call that names a version."""
        return self._do(calls.act_on_workflow(workflow, "unpublish"))

    def pause(self, workflow: str) -> Row:
        """Its triggers start nothing; a call still does."""
        return self._do(calls.status(workflow, "paused"))

    def activate(self, workflow: str) -> Row:
        """Its triggers start it again."""
        return self._do(calls.status(workflow, "active"))

    def archive(self, workflow: str) -> None:
        """Nothing starts it; its alias is free, its schedules end, its runs stay on record."""
        self._do(calls.archive(workflow))

    def new_hook_secret(self, workflow: str) -> str:
        """A new secret of its inbound webhook; the one before is void."""
        return str(self._once(calls.act_on_workflow(workflow, "hook-secret"))["secret"])


class Runs(_Section):
    """`gesta.runs`. A run is an execution in Gesta's own words."""

    def start(
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
        return self._do(calls.start(workflow, definition, input, wait_s, key, said))

    def get(
        self, run_id: str, *, account: str | None = None, rounds: int | None = None, payloads: bool | None = None
    ) -> Row:
        """One run as a tree: `run`, `nodes` with their `rounds`, `waits`. Raises NotFound."""
        return self._do(calls.run(run_id, account, rounds, payloads))

    def list(self, *, limit: int | None = None, **filters: Any) -> Iterator[Row]:
        """Runs, newest first, with the filters of `gesta.executions.list`: status, workflow_id, account …"""
        return self._client.executions.list(limit=limit, kind="run", **filters)

    def events(self, run_id: str, *, after: int = 0) -> Iterator[Row]:
        """Its timeline and log, oldest first. Raises NotFound."""
        return self._client.executions.events(run_id, after=after)

    def batches(self, run_id: str, node: str, *, status: str | None = None, offset: int = 0, limit: int = 50) -> Row:
        """A page of the rounds of a container: `items`, `total`, `has_more`."""
        return self._do(calls.batches_page(run_id, node, status, offset, limit))

    def stop(self, run_id: str) -> Row:
        """Ask it to stop; `wait` tells what becomes of it. Raises NotFound, Conflict for one that is over."""
        return self._do(calls.act_on_run(run_id, "stop"))

    def retry(self, run_id: str) -> Row:
        """Go on with the same run from where it failed. Raises NotFound, Conflict."""
        return self._once(calls.act_on_run(run_id, "retry"))

    def rerun(self, run_id: str, *, input: Any = UNSET, from_node: str | None = None) -> Row:
        """A new run of the same version, with the same payload or another; from a node on, with what came before it
        done. As `start` answers."""
        return self._once(calls.rerun(run_id, input, from_node))

    def resume(self, run_id: str, node: str, payload: Any = None) -> bool:
        """Wake a node that waits for a webhook or a person. False: it did not wait (any more)."""
        return bool(self._do(calls.resume(run_id, node, payload))["resumed"])

    def checkout(self, run_id: str) -> Row:
        """Its checkout session. Raises NotFound for one that costs nothing."""
        return self._do(calls.checkout(run_id))

    def refund(self, run_id: str, *, reason: str = "") -> Row:
        """Pay it back. Raises Conflict unless it was paid and is not paid back."""
        return self._do(calls.refund(run_id, reason))

    def event(self, name: str, payload: Any = None, *, application: str = "", key: str | None = None) -> Row:
        """Tell of a named event: which runs it `started` and has `woken`."""
        return self._do(calls.event(name, application, payload, key))

    def bulk(self, action: str, *, input: Any = UNSET, from_node: str | None = None, **filters: Any) -> Row:
        """`stop`, `retry` or `rerun` whatever the filters admit, as a job: ids, workflow_id, status, account,
        created_from, created_to, name … `job` tells how far it is. Raises BadRequest for no filter at all."""
        return self._once(calls.bulk(action, input, from_node, filters))

    def job(self, job_id: str) -> Row:
        """How far a job is: `status`, `total`, `done`, `skipped`, `failed`, `errors`. Raises NotFound."""
        return self._do(calls.job(job_id))

    def wait(self, run_id: str, *, timeout_s: float = 60) -> Row:
        """The run as an execution once it is over; as it stands after `timeout_s`."""
        row = self._client.executions.get(run_id)
        for pause_s in pauses(timeout_s):
            if calls.is_over(row):
                break
            self._client._sleep(pause_s)
            row = self._client.executions.get(run_id)
        return row


class Schedules(_Section):
    """`gesta.schedules`."""

    def list(self, *, workflow: str | None = None) -> Any:
        """Newest first, with those of workflows' own triggers."""
        return self._do(calls.schedules(workflow))

    def get(self, schedule_id: str) -> Row:
        """Raises NotFound."""
        return self._do(calls.schedule(schedule_id))

    def create(self, workflow: str, **said: Any) -> Row:
        """Start a workflow at moments: exactly one of `cron`, `every_s`, `at` and `dates`; `starts_at`, `ends_at`,
        `timezone`, `input`, `name`, `catch_up` (skip, one, all)."""
        return self._once(calls.create_schedule(workflow, said))

    def change(self, schedule_id: str, **said: Any) -> Row:
        """All of it is said anew, as for `create`; without `workflow` it stays with its own."""
        return self._do(calls.change_schedule(schedule_id, said))

    def pause(self, schedule_id: str) -> Row:
        """What passes meanwhile is not caught up with."""
        return self._do(calls.pause_schedule(schedule_id, "pause"))

    def resume(self, schedule_id: str) -> Row:
        """Let it go on."""
        return self._do(calls.pause_schedule(schedule_id, "resume"))

    def delete(self, schedule_id: str) -> None:
        """Raises NotFound, Conflict for one that is a workflow's own trigger."""
        self._do(calls.delete_schedule(schedule_id))
