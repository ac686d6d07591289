from __future__ import annotations

from pathlib import Path

import pytest

from gesta.access.settings import DEFAULT_BUCKETS
from gesta.app.settings import DatabaseSettings, Settings, load_settings
from gesta.kernel.errors import InvalidInput


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "gesta.toml"
    path.write_text(text, "utf-8")
    return path


def test_defaults_when_nothing_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load_settings(environ={})
    assert settings == Settings()
    assert (settings.server.host, settings.server.port) == ("127.0.0.1", 8080)
    assert settings.database.sqlite_path == Path("gesta-data/gesta.sqlite3")


def test_a_flag_beats_the_environment_beats_the_file_beats_the_default(tmp_path: Path) -> None:
    file = written(tmp_path, '[server]\nport = 1\nhost = "::1"\nbacklog = 7\n[log]\nlevel = "error"\n')
    environ = {"GESTA_SERVER__PORT": "2", "GESTA_SERVER__HOST": "0.0.0.0", "PATH": "/bin"}
    settings = load_settings(file, {"server.port": 3, "log.level": None}, environ)
    assert (settings.server.port, settings.server.host, settings.server.backlog) == (3, "0.0.0.0", 7)
    assert settings.log.level == "error"
    assert settings.server.keep_alive_s == Settings().server.keep_alive_s


def test_the_environment_names_the_file_and_the_working_directory_has_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(tmp_path, "[server]\nport = 11\n")
    assert load_settings(environ={"GESTA_CONFIG": str(file)}).server.port == 11
    monkeypatch.chdir(tmp_path)
    assert load_settings(environ={}).server.port == 11


def test_values_of_every_type_from_the_environment() -> None:
    settings = load_settings(
        environ={
            "GESTA_LOG__REQUESTS": "false",
            "GESTA_LIMITS__BODY_TIMEOUT_S": "2.5",
            "GESTA_RATES__CROSSTRADE__BURST": "9",
        },
    )
    assert settings.log.requests is False
    assert settings.limits.body_timeout_s == 2.5
    assert settings.rates.crosstrade.burst == 9


def test_one_part_of_a_bucket_can_be_set() -> None:
    settings = load_settings(environ={"GESTA_RATES__CROSSTRADE__BURST": "9"})
    assert settings.rates.crosstrade.rate_per_s == 3
    settings = load_settings(environ={"GESTA_RATES__NATIVE__RATE_PER_S": "9"})
    assert settings.rates.native.burst == DEFAULT_BUCKETS["native"].burst


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[server]\nprot = 1", "There is no setting server.prot (in {file}); did you mean port?"),
        ("[sever]\nport = 1", "There is no setting sever.port (in {file}); did you mean server?"),
        ("port = 1", "There is no setting port (in {file}); it is one of database, limits"),
        ("server = 1", "server is a section, not one value (in {file})."),
        ("[server.port]\nx = 1", "server.port is one value, not a section (in {file})."),
        ("[server]\nport = 65536", "The setting server.port is wrong: Expected `int` <= 65535"),
        ("[server]\nport = 'x'", "The setting server.port is wrong: Expected `int`, got `str`"),
        ("[log]\nlevel = 'loud'", "The setting log.level is wrong: Invalid enum value 'loud'"),
        ("[server", "is not valid TOML"),
        ("[sessions]\nttl_s = 100\nrefresh_ttl_s = 99", "sessions.refresh_ttl_s must not be below sessions.ttl_s."),
        ("[database]\nurl = 'mysql://x'", "database.url has the unknown scheme 'mysql'"),
        ("[database]\nurl = 'sqlite:///'", "database.url names no file"),
        ("[limits]\nbody_bytes = 1e99", "The setting limits.body_bytes is wrong"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    file = written(tmp_path, text)
    with pytest.raises(InvalidInput) as refused:
        load_settings(file, environ={})
    assert said.format(file=file) in refused.value.message


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"GESTA_SERVER__PROT": "1"}, "(in GESTA_SERVER__PROT); did you mean port?"),
        ({"GESTA_DATABASE_URL": "x"}, "GESTA_DATABASE_URL sets nothing; did you mean GESTA_DATABASE__URL?"),
        ({"GESTA_CONFIG": "/nowhere/gesta.toml"}, "The settings file /nowhere/gesta.toml does not exist."),
    ],
)
def test_a_wrong_variable_is_refused(environ: dict[str, str], said: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        load_settings(environ=environ)
    assert said in refused.value.message


def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "gesta.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidInput, match="cannot be read"):
        load_settings(path, environ={})
    with pytest.raises(InvalidInput, match="cannot be read"):
        load_settings(tmp_path, environ={})


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///data/x.sqlite3", "data/x.sqlite3"),
        ("sqlite:////var/lib/x.sqlite3", "/var/lib/x.sqlite3"),
        ("./x.sqlite3", "x.sqlite3"),
        ("/var/x", "/var/x"),
    ],
)
def test_sqlite_urls_and_paths(url: str, path: str) -> None:
    assert DatabaseSettings(url=url).sqlite_path == Path(path)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://gesta:hunter2@db:5433/gesta", "postgresql://gesta:***@db:5433/gesta"),
        ("postgresql://gesta@db/gesta", "postgresql://gesta@db/gesta"),
        ("postgresql://db/gesta?password=hunter2", "postgresql://db/gesta?***"),
        ("postgresql://u:hunter2@[::1]:5432/gesta", "postgresql://u:***@[::1]:5432/gesta"),
        ("postgresql://u:hunter2@db:port/gesta", "postgresql://…"),
        ("sqlite:///a/b", "sqlite:///a/b"),
    ],
)
def test_a_password_is_never_shown(url: str, shown: str) -> None:
    settings = load_settings(overrides={"database.url": url}, environ={})
    assert settings.database.masked_url == shown
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in str(settings.database)


def test_every_bucket_of_access_is_a_setting_with_the_same_default() -> None:
    assert Settings().rates.buckets() == DEFAULT_BUCKETS


def test_the_bounds_of_triggers_are_settings(tmp_path: Path) -> None:
    file = written(tmp_path, "[workflows.triggers]\ncron_seconds = false\nleast_period_s = 60\n")
    settings = load_settings(file, environ={"GESTA_WORKFLOWS__TRIGGERS__SCHEDULES": "7"}).workflows.triggers
    assert (settings.cron_seconds, settings.least_period_s, settings.schedules) == (False, 60, 7)
    for name, value in (("SCHEDULES", "-1"), ("LEAST_PERIOD_S", "0.5"), ("CRON_SECOND", "true")):
        with pytest.raises(InvalidInput, match=f"workflows.triggers.{name.lower()}"):
            load_settings(environ={f"GESTA_WORKFLOWS__TRIGGERS__{name}": value})
