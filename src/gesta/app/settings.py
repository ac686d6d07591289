"""Every setting, once: its name, type, default, bounds and meaning. `docs/reference/configuration.md` is made from it.

A value comes from, in order of precedence: a command-line flag, an environment variable (`GESTA_SERVER__PORT`), a TOML
file (`--config`, `GESTA_CONFIG` or `./gesta.toml`), the default written here.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin
from urllib.parse import urlsplit, urlunsplit

import msgspec
from msgspec import Meta

from gesta.access.buckets import Bucket
from gesta.access.settings import DEFAULT_BUCKETS, AccessSettings
from gesta.kernel.errors import InvalidInput
from gesta.workflows.payments.settings import PaymentSettings
from gesta.workflows.triggers.settings import TriggerSettings

_ACCESS = AccessSettings()
DEFAULT_FILE = Path("gesta.toml")
PREFIX = "GESTA_"


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The listening socket and its connections."""

    host: Annotated[
        str, Meta(description="Address to listen on. `0.0.0.0` or `::` opens the server to the network.")
    ] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="TCP port; 0 lets the system choose one.")] = 8080
    shutdown_deadline_s: Annotated[
        float,
        Meta(gt=0, le=3600, description="How long a stop waits for requests in progress before it aborts them."),
    ] = 10.0
    max_connections: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Open connections, idle ones and WebSockets included. One more is answered 503 and closed. "
            "The limit of open files is raised to fit; where the system refuses, this number is lowered and logged.",
        ),
    ] = 12_000
    header_timeout_s: Annotated[
        float,
        Meta(gt=0, le=3600, description="A connection that has not sent a whole request head by then is closed."),
    ] = 15.0
    keep_alive_s: Annotated[
        int, Meta(ge=1, le=3600, description="How long a connection may idle between two requests.")
    ] = 65
    header_bytes: Annotated[
        int, Meta(ge=1024, le=1_048_576, description="Largest request head; a larger one is answered 413.")
    ] = 65_536
    query_bytes: Annotated[
        int, Meta(ge=256, le=1_048_576, description="Longest query string; a longer one is answered 400.")
    ] = 16_384
    backlog: Annotated[int, Meta(ge=1, le=65_535, description="Connections the system queues before accepting.")] = 2048


class DatabaseSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the ledger lives."""

    url: Annotated[
        str,
        Meta(
            min_length=1,
            description="`sqlite:///relative/path`, `sqlite:////absolute/path`, a bare file path, or "
            "`postgresql://user:password@host:port/name`. The folder of a SQLite file is created.",
        ),
    ] = "sqlite:///gesta-data/gesta.sqlite3"

    @property
    def is_postgres(self) -> bool:
        return self.url.startswith(("postgresql://", "postgres://"))

    @property
    def sqlite_path(self) -> Path:
        """The file of a SQLite URL. Raises InvalidInput for a URL of another scheme."""
        if self.url.startswith("sqlite:"):
            path = self.url.removeprefix("sqlite:").removeprefix("//")
            path = path.removeprefix("/")
            if not path:
                raise InvalidInput(
                    "database.url names no file: write sqlite:///path/to/gesta.sqlite3", where="settings"
                )
            return Path(path)
        if "://" in self.url:
            scheme = self.url.partition("://")[0]
            raise InvalidInput(
                f"database.url has the unknown scheme {scheme[:32]!r}: use sqlite:///path or postgresql://…",
                field="database.url",
                where="settings",
            )
        return Path(self.url)

    @property
    def masked_url(self) -> str:
        """The URL as it may be printed: without its password, and without its query, which may hold one too."""
        if not self.is_postgres:
            return self.url
        try:
            parts = urlsplit(self.url)
            host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
            place = host + (f":{parts.port}" if parts.port else "")
        except ValueError:
            return "postgresql://…"
        user = "" if parts.username is None else parts.username + (":***" if parts.password else "") + "@"
        return urlunsplit((parts.scheme, user + place, parts.path, "***" if parts.query else "", ""))

    def __repr__(self) -> str:
        return f"DatabaseSettings(url={self.masked_url!r})"


class LimitSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds on what one request or stream may hold."""

    body_bytes: Annotated[
        int, Meta(ge=1024, le=1_073_741_824, description="Largest request body; a larger one is answered 413.")
    ] = 16_777_216
    body_timeout_s: Annotated[
        float, Meta(gt=0, le=86_400, description="A body that is not whole by then is answered 408.")
    ] = 60.0
    body_idle_timeout_s: Annotated[
        float, Meta(gt=0, le=3600, description="A body of which nothing arrives for so long is answered 408.")
    ] = 15.0
    websocket_frame_bytes: Annotated[
        int, Meta(ge=1024, le=67_108_864, description="Largest WebSocket message; a larger one closes with 1009.")
    ] = 1_048_576
    websocket_ping_s: Annotated[
        float,
        Meta(gt=0, le=3600, description="A WebSocket is pinged so often, and dropped when as long without a pong."),
    ] = 20.0
    stream_heartbeat_s: Annotated[
        float, Meta(gt=0, le=3600, description="A silent event stream sends a heartbeat so often.")
    ] = 15.0


class BucketSettings(msgspec.Struct, frozen=True, kw_only=True):
    """A token bucket, one per credential."""

    rate_per_s: Annotated[float, Meta(ge=1e-6, le=1e9, description="Requests per second in the long run.")]
    burst: Annotated[int, Meta(ge=1, le=1_000_000_000, description="Requests that may come at once.")]


def _default(bucket: str) -> BucketSettings:
    default = DEFAULT_BUCKETS[bucket]
    return BucketSettings(rate_per_s=float(default.rate_per_s), burst=default.burst)


class RateSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Requests per credential; above it the answer is 429 with `Retry-After`."""

    crosstrade: Annotated[BucketSettings, Meta(description="CrossTrade publishes 3 per second, burst 20.")] = _default(
        "crosstrade"
    )
    crosstrade_subscribe: Annotated[
        BucketSettings, Meta(description="Subscriptions on CrossTrade's WebSocket: 20 per minute, burst 5.")
    ] = _default("crosstrade_subscribe")
    hummingbot: Annotated[BucketSettings, Meta(description="Hummingbot publishes no limit.")] = _default("hummingbot")
    b3os: Annotated[BucketSettings, Meta(description="B3OS publishes no limit.")] = _default("b3os")
    b3os_public: Annotated[
        BucketSettings, Meta(description="Executions of public workflows, for each address and workflow.")
    ] = _default("b3os_public")
    refold: Annotated[BucketSettings, Meta(description="Refold publishes no limit.")] = _default("refold")
    native: Annotated[BucketSettings, Meta(description="Gesta's own API under `/ledger`.")] = _default("native")

    def buckets(self) -> dict[str, Bucket]:
        """As access takes them."""
        return {
            name: Bucket(rate_per_s=bucket.rate_per_s, burst=bucket.burst)
            for name, bucket in ((name, getattr(self, name)) for name in self.__struct_fields__)
        }


class SessionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Session tokens of linked accounts."""

    ttl_s: Annotated[int, Meta(ge=60, le=31_536_000, description="Lifetime of a session token.")] = (
        _ACCESS.session_ttl_s
    )
    refresh_ttl_s: Annotated[
        int, Meta(ge=60, le=31_536_000, description="Lifetime of its refresh token; not below `ttl_s`.")
    ] = _ACCESS.refresh_ttl_s
    per_account: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Sessions of one account; one more ends the oldest.")
    ] = _ACCESS.sessions_per_account


class TradingSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The paper venue and the market that it trades against. One process trades: the one that was started last."""

    enabled: Annotated[
        bool, Meta(description="Take orders and run the market. Where it is false, trading calls answer 503.")
    ] = True
    market: Annotated[
        Literal["simulated", "replay", "none"],
        Meta(
            description="Where market data comes from: a seeded simulated market (named so wherever it is shown), "
            "recorded files, or only what is pushed to `POST /ledger/market/data`."
        ),
    ] = "simulated"
    replay: Annotated[
        str,
        Meta(
            description="Files to replay, separated like the system's search path (`:`); `INSTRUMENT=FILE` names one."
        ),
    ] = ""
    speed: Annotated[
        str,
        Meta(pattern="^(max|[0-9]{1,6}(\\.[0-9]{1,6})?)$", description="Times real time, or `max`, of a replay."),
    ] = "1"
    seed: Annotated[int, Meta(ge=0, le=2**53, description="Seed of the simulated market.")] = 1
    quotes_per_s: Annotated[
        float, Meta(gt=0, le=1000, description="Quotes of each simulated instrument in a second.")
    ] = 4.0
    starting_cash: Annotated[
        int, Meta(ge=0, le=1_000_000_000_000, description="What a paper account begins with, in its currency.")
    ] = 100_000
    fees: Annotated[
        str,
        Meta(
            min_length=1,
            description="`default` (usual commissions), `zero`, or a TOML file: `base` and `[[rule]]` tables.",
        ),
    ] = "default"
    slip_ticks: Annotated[
        int,
        Meta(
            ge=0,
            le=1000,
            description="How many ticks worse a market order fills what the displayed size does not cover; 0 lets it "
            "wait for the next quote.",
        ),
    ] = 1
    latency_ms: Annotated[
        int, Meta(ge=0, le=60_000, description="How much later, by the market's time, an order reaches the venue.")
    ] = 0
    queue_ahead: Annotated[
        bool, Meta(description="A limit order at the touch waits behind the size that is displayed there.")
    ] = False
    snapshot_s: Annotated[
        float,
        Meta(
            ge=0,
            le=86_400,
            description="The recorded PnL of a running executor follows the market at most this often; 0 is never. "
            "Whoever asks for a running executor is told its PnL of that moment in any case.",
        ),
    ] = 30.0
    instruments: Annotated[
        str, Meta(description="A TOML file of `[[instrument]]` tables: instruments besides those that are built in.")
    ] = ""


class WorkflowSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Workflows: their runs are carried out by this process, or by `gesta worker` processes beside it (PostgreSQL)."""

    enabled: Annotated[bool, Meta(description="Take and run workflows. Where it is false, their calls answer 503.")] = (
        True
    )
    carries: Annotated[
        bool,
        Meta(description="Carry runs out in this process. Where it is false, `gesta worker` processes must do it."),
    ] = True
    worker: Annotated[
        str,
        Meta(
            max_length=100,
            description="This process's name among those that carry runs out; two that run at once must differ. Empty "
            "is right for one server alone.",
        ),
    ] = ""
    concurrency: Annotated[int, Meta(ge=1, le=10_000, description="Runs at work at once; more wait on disk.")] = 64
    sync_timeout_s: Annotated[
        float, Meta(gt=0, le=3600, description="How long a caller of a synchronous execution waits for its answer.")
    ] = 60.0
    survives_power_loss: Annotated[
        bool,
        Meta(description="Every step is on disk before the next begins (SQLite: synchronous FULL instead of NORMAL)."),
    ] = True
    keeps_days: Annotated[
        float,
        Meta(gt=0, le=3650, description="How long the engine remembers a run's steps; the ledger keeps the run."),
    ] = 7.0
    allow_networks: Annotated[
        str,
        Meta(
            description="Private networks that HTTP nodes may reach, as CIDRs separated by commas, such as "
            "`127.0.0.0/8`. Empty: the public network only."
        ),
    ] = ""
    steps_module: Annotated[
        str, Meta(description="A Python module of the operator's with the functions that `python` nodes may name.")
    ] = ""
    triggers: TriggerSettings = TriggerSettings()
    payments: PaymentSettings = PaymentSettings()


class LogSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Logs go to standard error. No credential and no query string is ever written."""

    level: Annotated[Literal["debug", "info", "warning", "error"], Meta(description="Least level to write.")] = "info"
    format: Annotated[
        Literal["auto", "json", "console"],
        Meta(description="One JSON object per line, or lines for people; `auto` is the latter on a terminal."),
    ] = "auto"
    requests: Annotated[bool, Meta(description="Write one line per request.")] = True


class MetricsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`/metrics`, in the Prometheus text format, without authentication."""

    enabled: Annotated[bool, Meta(description="Count requests and serve `/metrics`.")] = True


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All of it."""

    server: ServerSettings = ServerSettings()
    database: DatabaseSettings = DatabaseSettings()
    limits: LimitSettings = LimitSettings()
    rates: RateSettings = RateSettings()
    sessions: SessionSettings = SessionSettings()
    trading: TradingSettings = TradingSettings()
    workflows: WorkflowSettings = WorkflowSettings()
    log: LogSettings = LogSettings()
    metrics: MetricsSettings = MetricsSettings()


def load_settings(
    config_file: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Read the settings: `overrides` (dotted names, None is "not given") over environment over file over defaults.

    Without `config_file`, `GESTA_CONFIG` names the file; without that, `./gesta.toml` is read if it exists. Raises
    InvalidInput, naming the setting and where it was given, for an unreadable file, an unknown name or a wrong value.
    """
    environ = os.environ if environ is None else environ
    merged: dict[str, Any] = msgspec.to_builtins(Settings())
    for name, value, origin in (
        *_from_file(config_file, environ),
        *_from_environment(environ),
        *((name, value, "a flag") for name, value in (overrides or {}).items() if value is not None),
    ):
        _put(merged, name, value, origin)
    try:
        settings = msgspec.convert(merged, Settings, strict=False)
    except msgspec.ValidationError as error:
        message, _, path = str(error).rpartition(" - at `$.")
        name = path.rstrip("`")
        raise InvalidInput(f"The setting {name} is wrong: {message or error}", field=name, where="settings") from None
    if not settings.database.is_postgres:
        _ = settings.database.sqlite_path
    if settings.sessions.refresh_ttl_s < settings.sessions.ttl_s:
        raise InvalidInput("sessions.refresh_ttl_s must not be below sessions.ttl_s.", where="settings")
    return settings


Given = tuple[str, Any, str]


def _from_file(config_file: Path | None, environ: Mapping[str, str]) -> Iterator[Given]:
    named = config_file or (Path(environ["GESTA_CONFIG"]) if environ.get("GESTA_CONFIG") else None)
    path = named or DEFAULT_FILE
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        if named is None:
            return
        raise InvalidInput(f"The settings file {path} does not exist.", where="settings") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"The settings file {path} cannot be read: {error}", where="settings") from None
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(f"The settings file {path} is not valid TOML: {error}", where="settings") from None
    yield from _leaves(table, "", str(path))


def _leaves(table: Mapping[str, Any], above: str, origin: str) -> Iterator[Given]:
    for key, value in table.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{above}{key}.", origin)
        else:
            yield f"{above}{key}", value, origin


def _from_environment(environ: Mapping[str, str]) -> Iterator[Given]:
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or variable == "GESTA_CONFIG":
            continue
        rest = variable[len(PREFIX) :].lower()
        if "__" in rest:
            yield rest.replace("__", "."), environ[variable], variable
        elif rest.partition("_")[0] in Settings.__struct_fields__ and "_" in rest:
            section, _, field = rest.partition("_")
            better = f"{PREFIX}{section}__{field}".upper()
            raise InvalidInput(f"{variable} sets nothing; did you mean {better}?", field=variable, where="settings")


def _put(merged: dict[str, Any], name: str, value: Any, origin: str) -> None:
    """Store one value at its dotted name, refusing names that no setting has."""
    kind: type[msgspec.Struct] = Settings
    *sections, last = name.split(".")
    place = merged
    for depth, part in enumerate(sections):
        inner = struct_of(_field_type(kind, part, name, origin))
        if inner is None:
            raise InvalidInput(
                f"{'.'.join(sections[: depth + 1])} is one value, not a section (in {origin}).",
                field=name,
                where="settings",
            )
        kind = inner
        place = place.setdefault(part, {})
    if struct_of(_field_type(kind, last, name, origin)) is not None and not isinstance(value, Mapping):
        raise InvalidInput(f"{name} is a section, not one value (in {origin}).", field=name, where="settings")
    place[last] = value


def _field_type(kind: type[msgspec.Struct], part: str, name: str, origin: str) -> Any:
    hints = {field.name: field.type for field in msgspec.structs.fields(kind)}
    if part not in hints:
        near = difflib.get_close_matches(part, hints, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else f"it is one of {', '.join(sorted(hints))}."
        raise InvalidInput(f"There is no setting {name} (in {origin}); {hint}", field=name, where="settings")
    return hints[part]


def struct_of(annotation: Any) -> type[msgspec.Struct] | None:
    """The section type behind an annotation, if it is one."""
    if get_origin(annotation) is Annotated:
        return struct_of(get_args(annotation)[0])
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return annotation
    return None
