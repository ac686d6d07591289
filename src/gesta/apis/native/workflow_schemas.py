"""The schemas of what is printed of workflows, runs, jobs and schedules."""

from __future__ import annotations

from gesta.apis.native.schema_parts import MAYBE_MOMENT, MAYBE_TEXT, MOMENT, Schema, enum_of, list_of, object_of, ref
from gesta.workflows.face import CatchUp, Visibility, WorkflowStatus
from gesta.workflows.forms.reading import FORMS
from gesta.workflows.graph.definition import TriggerKind
from gesta.workflows.graph.progress import WaitKind
from gesta.workflows.jobs_face import JobAction, JobStatus

_TEXT: Schema = {"type": "string"}
_FLAG: Schema = {"type": "boolean"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_MAYBE_COUNT: Schema = {"type": ["integer", "null"], "minimum": 0}
_ANY: Schema = {}


def _maybe(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def workflow_schemas() -> dict[str, Schema]:
    return {**_definitions(), **_runs(), **_others()}


def _definitions() -> dict[str, Schema]:
    problem = object_of(
        "One thing that is wrong. `node` is an id, or empty for the workflow's own fields.",
        node=_TEXT,
        field=_TEXT,
        message=_TEXT,
    )
    workflow = object_of(
        "A workflow. `account` is null for one of the whole organization, `published_version` where there is none.",
        id=_TEXT,
        name=_TEXT,
        alias=_TEXT,
        slug=_TEXT,
        status=enum_of(WorkflowStatus),
        visibility=enum_of(Visibility),
        account=MAYBE_TEXT,
        application=_maybe(object_of("An application.", id=_TEXT, name=_TEXT, icon=_TEXT)),
        newest_version=_COUNT,
        published_version=_MAYBE_COUNT,
        hook_secret_hint=_TEXT,
        created_at=MOMENT,
        updated_at=MOMENT,
        published_at=MAYBE_MOMENT,
    )
    # A name that `object_of` takes for itself.
    workflow["properties"]["description"] = _TEXT
    workflow["required"].append("description")
    version = object_of(
        "A version. `form` is the one that it was written in; `nodes` counts them.",
        workflow_id=_TEXT,
        version=_COUNT,
        form={"type": "string"},
        nodes=_COUNT,
        trigger=enum_of(TriggerKind),
        price=_maybe(object_of("What one run costs.", amount=_TEXT, currency=_TEXT)),
        created_at=MOMENT,
        published_at=MAYBE_MOMENT,
    )
    whole = {**version, "properties": {**version["properties"], "definition": {"type": "object"}}}
    whole["required"] = [*version["required"], "definition"]
    change = object_of("One field.", field=_TEXT, before=_ANY, after=_ANY)
    edge = object_of("An edge.", source=_TEXT, target=_TEXT, branch=_TEXT)
    return {
        "DefinitionProblem": problem,
        "Workflow": workflow,
        "WorkflowPage": object_of(
            "One page, newest first.", items=list_of(ref("Workflow")), total=_COUNT, has_more=_FLAG
        ),
        "WorkflowVersion": version,
        "WorkflowVersionList": object_of("Newest first.", items=list_of(ref("WorkflowVersion"))),
        "WrittenVersion": whole,
        "Validation": object_of(
            "Whether it can be run, or all that is wrong with it.",
            is_valid=_FLAG,
            form={"enum": [*FORMS, None]},
            name=_TEXT,
            nodes=_COUNT,
            problems=list_of(ref("DefinitionProblem")),
        ),
        "WorkflowDiff": object_of(
            "What is different. `lines` is for people.",
            **{"from": _COUNT},
            to=_COUNT,
            is_empty=_FLAG,
            lines=list_of(_TEXT),
            nodes_added=list_of(_TEXT),
            nodes_removed=list_of(_TEXT),
            nodes_changed=list_of(object_of("A node.", id=_TEXT, changes=list_of(change))),
            edges_added=list_of(edge),
            edges_removed=list_of(edge),
            fields=list_of(change),
        ),
        "HookSecret": object_of(
            "Shown once; the one before is void. `path`: where it, or a signature under it, starts the workflow.",
            secret=_TEXT,
            hint=_TEXT,
            path=_TEXT,
        ),
        "HookStarted": object_of("The run that a webhook started.", run_id=_TEXT),
    }


def _runs() -> dict[str, Schema]:
    wait = object_of(
        "What it waits for. `key`: the event, the executor or the run; `until`: when it gives up.",
        kind=enum_of(WaitKind),
        key=_TEXT,
        until=MAYBE_MOMENT,
    )
    times: dict[str, Schema] = {
        "started_at": MAYBE_MOMENT,
        "finished_at": MAYBE_MOMENT,
        "duration_ms": {"type": ["integer", "null"]},
    }
    node = object_of(
        "One visit of a node, by its `path`. `rounds` are those of a container.",
        path=_TEXT,
        id=_TEXT,
        name=_TEXT,
        type=_TEXT,
        status=_TEXT,
        attempts=_COUNT,
        max_attempts=_COUNT,
        **times,
        due_at=MAYBE_MOMENT,
        wait=_maybe(wait),
        branch=_TEXT,
        input=_ANY,
        output=_ANY,
        error=_TEXT,
        rounds=_maybe(ref("RunRounds")),
    )
    rounds = object_of(
        "`items` are the first of those that have begun; `GET /ledger/runs/{id}/batches` has them all.",
        total=_COUNT,
        begun=_COUNT,
        items=list_of(object_of("One round.", index=_COUNT, status=_TEXT, **times, nodes=list_of(ref("RunNodeVisit")))),
    )
    answer = _maybe(object_of("What a Response node said.", status_code={"type": "integer"}, body=_ANY))
    return {
        "RunNodeVisit": node,
        "RunRounds": rounds,
        "RunTree": object_of(
            "A run. `is_resident` is false for one that was recorded from elsewhere; `version` null for one of a "
            "definition that is not stored.",
            run=ref("Execution"),
            workflow_id=_TEXT,
            version=_MAYBE_COUNT,
            is_resident=_FLAG,
            nodes=list_of(ref("RunNodeVisit")),
            waits=list_of({**wait, "properties": {"path": _TEXT, **wait["properties"]}}),
        ),
        "StartedRun": object_of(
            "`client_token` reads this one run and no other; `checkout_url`: where it is paid, while it has to be.",
            run=ref("Execution"),
            is_new=_FLAG,
            is_over=_FLAG,
            answer=answer,
            checkout_url=MAYBE_TEXT,
            client_token=_TEXT,
        ),
        "BatchPage": object_of(
            "Rounds of a container.",
            items=list_of(object_of("One round.", index=_COUNT, status=_TEXT, output=_ANY, error=_TEXT)),
            total=_COUNT,
            has_more=_FLAG,
        ),
        "Resumed": object_of("`resumed` is false where the node did not wait (any more).", resumed=_FLAG),
    }


def _others() -> dict[str, Schema]:
    job = object_of(
        "One action on many runs. `done`, `skipped` (there was nothing to do) and `failed` are over, of `total`. "
        "`errors` are those of the first hundred that failed.",
        id=_TEXT,
        action=enum_of(JobAction),
        status=enum_of(JobStatus),
        **dict.fromkeys(("total", "done", "skipped", "failed"), _COUNT),
        errors=list_of(object_of("Why nothing came of a run.", run_id=_TEXT, code=_TEXT, detail=_TEXT)),
        created_at=MOMENT,
        updated_at=MOMENT,
        finished_at=MAYBE_MOMENT,
    )
    schedule = object_of(
        "A schedule. `next_at` is null for one that is over.",
        id=_TEXT,
        workflow_id=_TEXT,
        name=_TEXT,
        cron=_TEXT,
        every_s={"type": ["number", "null"]},
        at=MAYBE_MOMENT,
        dates=list_of(MOMENT),
        starts_at=MAYBE_MOMENT,
        ends_at=MAYBE_MOMENT,
        timezone=_TEXT,
        input=_ANY,
        catch_up=enum_of(CatchUp),
        is_paused=_FLAG,
        next_at=MAYBE_MOMENT,
        last_at=MAYBE_MOMENT,
        created_at=MOMENT,
        updated_at=MOMENT,
    )
    return {
        "Job": job,
        "JobList": object_of("Newest first.", items=list_of(ref("Job"))),
        "Schedule": schedule,
        "ScheduleList": object_of("Newest first.", items=list_of(ref("Schedule"))),
        "EventTaken": object_of(
            "What the event did. `woken` are runs, `duplicates` workflows that had it already.",
            event_id=_TEXT,
            started=list_of(ref("Execution")),
            woken=list_of(_TEXT),
            duplicates=list_of(_TEXT),
        ),
        "Checkout": object_of(
            "The checkout session of a run.",
            **dict.fromkeys(("id", "run_id", "provider", "provider_id", "amount", "currency", "status", "url"), _TEXT),
            expires_at=MOMENT,
            created_at=MOMENT,
        ),
    }
