"""Workflows and their versions on each kind of database."""

from __future__ import annotations

import asyncio

import pytest

from gesta.access.model import Account, AccountType, Organization, Principal, Scope
from gesta.access.service import AccessService
from gesta.access.settings import AccessSettings
from gesta.app.build import MIGRATIONS
from gesta.kernel.errors import CallerError, Conflict, Forbidden, InvalidInput, NotFound, TooLarge
from gesta.ledger.records import Named
from gesta.storage.migrate import migrate
from gesta.storage.program import Database, Fetch, Program, Statement
from gesta.testing.fakes import ManualClock, SeededIds
from gesta.workflows.definitions.desk import DefinitionDesk
from gesta.workflows.definitions.hook_secrets import hook_hash
from gesta.workflows.definitions.rows import find_anywhere
from gesta.workflows.definitions.words import MOST_DEFINITION_BYTES
from gesta.workflows.face import Draft, Visibility, WorkflowStatus
from gesta.workflows.graph.definition import Definition, Node, NodeType, Trigger, TriggerKind
from gesta.workflows.runs.rows import MIGRATIONS as WORKFLOWS
from gesta.workflows.triggers.settings import TriggerSettings

ALL = frozenset({Scope.RUN})


def flow(trigger: Trigger | None = None, *, title: str = "") -> Definition:
    return Definition(nodes=(Node(id="start", type=NodeType.START, name=title),), trigger=trigger or Trigger())


def every(cron: str) -> Definition:
    return flow(Trigger(kind=TriggerKind.SCHEDULE, cron=cron))


def on(event: str, application: str = "") -> Definition:
    named = Named(name=application) if application else None
    return flow(Trigger(kind=TriggerKind.EVENT, event=event, application=named))


class Office:
    def __init__(self, database: Database, clock: ManualClock) -> None:
        self.database, self.clock = database, clock
        self.kicks = 0
        self.access = AccessService(database, clock, SeededIds(1), AccessSettings())
        self.desk = self.desk_with(TriggerSettings())

    def desk_with(self, settings: TriggerSettings) -> DefinitionDesk:
        return DefinitionDesk(
            database=self.database,
            clock=self.clock,
            ids=SeededIds(2),
            key=self.access.derived_key,
            settings=settings,
            on_schedules=self._kick,
        )

    def _kick(self) -> None:
        self.kicks += 1

    async def open(self) -> None:
        self.organization = await self.access.create_organization("Office")
        self.other = await self.access.create_organization("Other")
        self.ann = await self.account("ann@office")
        self.bob = await self.account("bob@office")

    async def account(self, name: str) -> Account:
        return await self.access.ensure_account(self.organization.id, name, AccountType.LINKED)

    def principal(
        self,
        account: Account | None = None,
        *,
        organization: Organization | None = None,
        scopes: frozenset[Scope] = ALL,
    ) -> Principal:
        return Principal(
            organization=organization or self.organization,
            identity_id=1,
            identity_name="builder",
            credential_id=1,
            scopes=scopes,
            account=account,
        )

    async def rows(self, sql: str) -> list[tuple[object, ...]]:
        def program() -> Program[list[tuple[object, ...]]]:
            rows = yield Fetch(Statement("test", sql, sql))
            return [tuple(row) for row in rows]

        return await self.database.read(program)


@pytest.fixture
async def office(database: Database, clock: ManualClock) -> Office:
    await migrate(database, list(dict.fromkeys([*MIGRATIONS, WORKFLOWS])))
    office = Office(database, clock)
    await office.open()
    return office


async def test_a_workflow_goes_from_draft_to_published_with_versions(office: Office) -> None:
    desk, me = office.desk, office.principal()
    made = await desk.create(me, Draft(definition=flow(), name="Orders", alias="orders", slug="o", description="d"))
    assert (made.status, made.newest_version, made.published_version) == (WorkflowStatus.DRAFT, 1, None)
    assert len(made.id) == 24
    assert await desk.get(me, made.id) == await desk.get(me, "orders") == made
    office.clock.advance_us(5)
    saved = await desk.save(me, "orders", Draft(definition=flow(title="two"), expected_version=1))
    assert (saved.newest_version, saved.name, saved.description) == (2, "Orders", "d")
    assert saved.updated_at_us == saved.created_at_us + 5
    published = await desk.publish(me, "orders", version=1)
    assert (published.status, published.published_version, published.newest_version) == (WorkflowStatus.ACTIVE, 1, 2)
    assert (await desk.version(me, "orders")).definition == flow()
    assert (await desk.version(me, "orders", 2)).definition == flow(title="two")
    assert [(each.version, each.published_at_us) for each in await desk.versions(me, made.id)] == [
        (2, None),
        (1, office.clock.now_us()),
    ]
    assert (await desk.publish(me, "orders")).published_version == 2
    withdrawn = await desk.unpublish(me, "orders")
    assert (withdrawn.status, withdrawn.published_version) == (WorkflowStatus.DRAFT, None)
    assert (await desk.version(me, "orders")).version == 2


async def test_a_version_is_saved_once(office: Office) -> None:
    """Two who began with the same version: one is told to read again."""
    desk, me = office.desk, office.principal()
    made = await desk.create(me, Draft(definition=flow()))
    drafts = [Draft(definition=flow(title=word), expected_version=1) for word in ("one", "two")]
    outcomes = await asyncio.gather(*(desk.save(me, made.id, draft) for draft in drafts), return_exceptions=True)
    assert sorted(type(each).__name__ for each in outcomes) == ["Conflict", "WorkflowView"]
    assert len(await desk.versions(me, made.id)) == 2


async def test_organizations_create_at_the_same_time(office: Office) -> None:
    callers = [office.principal(), office.principal(organization=office.other)] * 10
    made = await asyncio.gather(*(office.desk.create(each, Draft(definition=flow())) for each in callers))
    assert len({each.id for each in made}) == 20
    for caller in callers[:2]:
        _, total = await office.desk.list(caller)
        assert total == 10


async def test_one_alias_is_one_workflow(office: Office) -> None:
    desk, me = office.desk, office.principal()
    first = await desk.create(me, Draft(definition=flow(), alias="a"))
    second = await desk.create(me, Draft(definition=flow(), alias="b"))
    stranger = await desk.create(office.principal(organization=office.other), Draft(definition=flow(), alias="a"))
    for taken in ("a", first.id):
        with pytest.raises(Conflict):
            await desk.create(me, Draft(definition=flow(), alias=taken))
        with pytest.raises(Conflict):
            await desk.save(me, second.id, Draft(definition=flow(), alias=taken))
    with pytest.raises(Conflict):
        await desk.save(me, second.id, Draft(definition=flow(), alias=second.id))
    assert (await desk.get(me, second.id)).newest_version == 1
    assert (await desk.save(me, "a", Draft(definition=flow(), alias="a"))).newest_version == 2
    await desk.delete(me, "a")
    assert (await desk.save(me, "b", Draft(definition=flow(), alias="a"))).alias == "a"
    with pytest.raises(NotFound):
        await desk.get(me, stranger.id)


async def test_accounts_see_the_organizations_and_their_own(office: Office) -> None:
    desk, me = office.desk, office.principal()
    ann, bob = office.principal(office.ann), office.principal(office.bob)
    shared = await desk.create(me, Draft(definition=flow(), name="shared"))
    hers = await desk.create(ann, Draft(definition=flow(), name="hers", is_private=True))
    assert (hers.account, hers.visibility) == (office.ann.id, Visibility.PRIVATE)
    assert [each.name for each in (await desk.list(ann))[0]] == ["hers", "shared"]
    assert await desk.list(bob) == ([shared], 1)
    assert (await desk.list(me))[1] == 2
    for action in (
        desk.get(bob, hers.id),
        desk.version(bob, hers.id),
        desk.versions(bob, hers.id),
        desk.save(bob, hers.id, Draft(definition=flow())),
        desk.publish(bob, hers.id),
        desk.unpublish(bob, hers.id),
        desk.set_status(bob, hers.id, WorkflowStatus.ARCHIVED),
        desk.delete(bob, hers.id),
        desk.new_hook_secret(bob, hers.id),
    ):
        with pytest.raises(NotFound):
            await action
    assert await desk.get(ann, hers.id) == hers


async def test_the_list_is_searched_and_paged(office: Office) -> None:
    desk, me = office.desk, office.principal()
    for number in range(5):
        await desk.create(
            me, Draft(definition=flow(), name=f"Flow {number}", slug="even" if number % 2 == 0 else "odd")
        )
    await desk.create(me, Draft(definition=flow(), name="100% sure", description="Ship_It"))
    page, total = await desk.list(me, search="flow", offset=1, limit=2)
    assert ([each.name for each in page], total) == (["Flow 3", "Flow 2"], 5)
    assert (await desk.list(me, slug="odd"))[1] == 2
    assert (await desk.list(me, slug="odd", search="FLOW 3"))[1] == 1
    for word, count in (("%", 1), ("_", 1), ("ship_it", 1), ("!", 0), ("shipxit", 0), ("", 6)):
        assert (await desk.list(me, search=word))[1] == count, word
    assert await desk.list(me, limit=0) == ([], 6)
    assert await desk.list(me, offset=10**12) == ([], 6)
    for bad in ({"offset": -1}, {"limit": -1}, {"search": "x" * 300}, {"slug": "\0"}):
        with pytest.raises(InvalidInput):
            await desk.list(me, **bad)


async def test_statuses(office: Office) -> None:
    desk, me = office.desk, office.principal()
    made = await desk.create(me, Draft(definition=flow()))
    for early in (WorkflowStatus.ACTIVE, WorkflowStatus.PAUSED):
        with pytest.raises(Conflict):
            await desk.set_status(me, made.id, early)
    await desk.publish(me, made.id)
    with pytest.raises(Conflict):
        await desk.set_status(me, made.id, WorkflowStatus.DRAFT)
    assert (await desk.set_status(me, made.id, WorkflowStatus.PAUSED)).status is WorkflowStatus.PAUSED
    assert (await desk.publish(me, made.id)).status is WorkflowStatus.PAUSED
    await desk.set_status(me, made.id, WorkflowStatus.ARCHIVED)
    assert await desk.list(me) == ([], 0)
    for action in (
        desk.save(me, made.id, Draft(definition=flow())),
        desk.publish(me, made.id),
        desk.unpublish(me, made.id),
        desk.new_hook_secret(me, made.id),
    ):
        with pytest.raises(Conflict):
            await action
    assert (await desk.get(me, made.id)).status is WorkflowStatus.ARCHIVED
    assert (await desk.set_status(me, made.id, WorkflowStatus.ACTIVE)).status is WorkflowStatus.ACTIVE


async def test_publishing_writes_what_starts_it(office: Office) -> None:
    desk, me = office.desk, office.principal()
    triggers = "SELECT event, application FROM workflow_triggers ORDER BY application"
    schedules = "SELECT id, next_at, paused FROM workflow_schedules"
    made = await desk.create(me, Draft(definition=on("order.paid", "Google Sheets")))
    assert await office.rows(triggers) == []
    await desk.publish(me, made.id)
    assert await office.rows(triggers) == [("order.paid", "googlesheets")]
    await desk.save(me, made.id, Draft(definition=every("0 * * * *")))
    assert await office.rows(schedules) == []
    kicks = office.kicks
    await desk.publish(me, made.id)
    assert office.kicks > kicks
    assert await office.rows(triggers) == []
    ((id, next_us, paused),) = await office.rows(schedules)
    assert (id, paused) == (made.id, 0)
    assert isinstance(next_us, int)
    assert 0 < next_us - office.clock.now_us() <= 3600_000_000
    # The same schedule goes on, also when its moment has come meanwhile.
    office.clock.advance_us(7200_000_000)
    await desk.save(me, made.id, Draft(definition=every("0 * * * *")))
    await desk.publish(me, made.id)
    assert await office.rows(schedules) == [(made.id, next_us, 0)]
    await desk.save(me, made.id, Draft(definition=every("30 * * * *")))
    await desk.publish(me, made.id)
    ((_, other_us, _),) = await office.rows(schedules)
    assert isinstance(other_us, int)
    assert other_us > office.clock.now_us()
    await desk.set_status(me, made.id, WorkflowStatus.ARCHIVED)
    assert await office.rows(schedules) == []
    await desk.set_status(me, made.id, WorkflowStatus.ACTIVE)
    assert await office.rows(schedules) == [(made.id, other_us, 0)]
    await desk.unpublish(me, made.id)
    assert await office.rows(schedules) == []


async def test_what_cannot_be_published_changes_nothing(office: Office) -> None:
    desk, me = office.desk_with(TriggerSettings(cron_seconds=False)), office.principal()
    made = await desk.create(me, Draft(definition=every("0 9 * * * 30")))
    with pytest.raises(Conflict):
        await desk.publish(me, made.id)
    for version in (2, 0, -1, 10**30):
        with pytest.raises(NotFound):
            await desk.publish(me, made.id, version=version)
        with pytest.raises(NotFound):
            await desk.version(me, made.id, version)
    assert (await desk.get(me, made.id)).published_version is None
    assert (await desk.versions(me, made.id))[0].published_at_us is None


async def test_a_hook_secret_is_kept_as_a_hash(office: Office) -> None:
    desk, me = office.desk, office.principal()
    made = await desk.create(me, Draft(definition=flow()))
    secret = await desk.new_hook_secret(me, made.id)
    row = await office.database.read(lambda: find_anywhere(made.id))
    assert row is not None
    assert row.hook_hash == hook_hash(secret)
    assert secret.startswith(row.view.hook_secret_hint)
    assert 0 < len(row.view.hook_secret_hint) <= 20
    assert await desk.new_hook_secret(me, made.id) != secret
    await desk.delete(me, made.id)
    row = await office.database.read(lambda: find_anywhere(made.id))
    assert row is not None
    assert (row.hook_hash, row.view.hook_secret_hint) == (None, "")


@pytest.mark.parametrize(
    "draft",
    [
        Draft(definition=flow(), name=""),
        Draft(definition=flow(), name="x" * 257),
        Draft(definition=flow(), name="a\0b"),
        Draft(definition=flow(), alias="a/b"),
        Draft(definition=flow(), alias=" a"),
        Draft(definition=flow(), slug="x" * 129),
        Draft(definition=flow(), description="\0"),
        Draft(definition=flow(), application=Named(name="\0")),
        Draft(definition=flow(title="x" * (MOST_DEFINITION_BYTES + 1))),
    ],
)
async def test_words_that_cannot_be(office: Office, draft: Draft) -> None:
    with pytest.raises((InvalidInput, TooLarge)):
        await office.desk.create(office.principal(), draft)
    assert await office.desk.list(office.principal()) == ([], 0)


async def test_everybody_sees_what_is_public_and_published(office: Office) -> None:
    me = office.principal()
    made = await office.desk.create(me, Draft(definition=flow(), name="Shop", visibility=Visibility.PUBLIC_VIEW))

    async def hidden(word: str = made.id) -> None:
        with pytest.raises(NotFound):
            await office.desk.public(word)

    await hidden()
    await office.desk.publish(me, made.id)
    await office.desk.save(me, made.id, Draft(definition=flow(title="Later")))
    view, version = await office.desk.public(made.id)
    assert (view.name, version.version, version.definition) == ("Shop", 1, flow())
    for word in ("0" * 24, "nul\0", "x" * 5000):
        await hidden(word)
    await office.desk.save(me, made.id, Draft(definition=flow(), visibility=Visibility.ORGANIZATION))
    await hidden()
    await office.desk.save(me, made.id, Draft(definition=flow(), visibility=Visibility.PUBLIC_EXECUTE))
    assert (await office.desk.public(made.id))[1].version == 1
    await office.desk.delete(me, made.id)
    await hidden()


async def test_scopes(office: Office) -> None:
    desk = office.desk
    made = await desk.create(office.principal(), Draft(definition=flow()))
    reader = office.principal(scopes=frozenset({Scope.READ}))
    assert await desk.get(reader, made.id) == made
    for action in (desk.create(reader, Draft(definition=flow())), desk.publish(reader, made.id)):
        with pytest.raises(Forbidden):
            await action
    nobody = office.principal(scopes=frozenset())
    for asked in (desk.get(nobody, made.id), desk.list(nobody)):
        with pytest.raises(Forbidden):
            await asked
    for word in ("nothing", "\0", "x" * 10_000, ""):
        with pytest.raises(CallerError):
            await desk.get(reader, word)
