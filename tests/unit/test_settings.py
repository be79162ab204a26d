"""Every setting, from every place it may come from; a wrong one is one line that names it."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tickertape.cli import config
from tickertape.errors import SettingsError
from tickertape.settings import LEGACY_YAML, Settings, describe, env_name, load
from tickertape.settings.describe import env_names
from tickertape.settings.load import IGNORED_YAML

SECRET = "sk-do-not-show-me"

# field: (as a variable, what it becomes); none is the default
VALUES: dict[str, tuple[str, Any]] = {
    "brokers": ("one:9092, two:9093", "one:9092,two:9093"),
    "app_id": ("desk.1", "desk.1"),
    "broker_port": ("19092", 19092),
    "topic_data_ingestion": ("a", "a"),
    "topic_text_messages": ("b", "b"),
    "topic_financial_documents": ("c", "c"),
    "topic_embedding_requests": ("d", "d"),
    "topic_embeddings": ("e", "e"),
    "topic_vector_updates": ("f", "f"),
    "topic_summary_requests": ("g", "g"),
    "topic_llm_results": ("h", "h"),
    "topic_batch_status": ("i", "i"),
    "topic_batch_progress": ("j", "j"),
    "topic_chat_turns": ("ct", "ct"),
    "compression": ("zstd", "zstd"),
    "security_protocol": ("", "PLAINTEXT"),  # what goes together has tests of its own
    "sasl_mechanism": ("", None),
    "sasl_username": ("me", "me"),
    "sasl_password": (SECRET, SECRET),
    "sasl_password_file": ("/run/password", Path("/run/password")),
    "oauth_token_url": ("https://id.example/token", "https://id.example/token"),
    "oauth_client_id": ("worker", "worker"),
    "oauth_client_secret": (SECRET, SECRET),
    "oauth_scope": ("kafka", "kafka"),
    "ssl_ca_file": ("", None),
    "ssl_cert_file": ("", None),
    "ssl_key_file": ("", None),
    "ssl_key_password": (SECRET, SECRET),
    "ssl_check_hostname": ("0", False),
    "linger_ms": ("50", 50),
    "producer_batch_bytes": ("65536", 65536),
    "data_dir": ("/srv/t", Path("/srv/t")),
    "models_dir": ("/srv/m", Path("/srv/m")),
    "stores": ("sqlite, other", ("sqlite", "other")),
    "store_timeout_seconds": ("9", 9.0),
    "database_url": (f"postgresql://u:{SECRET}@h/d", f"postgresql://u:{SECRET}@h/d"),
    "pgvector_schema": ("desk", "desk"),
    "pgvector_halfvec": ("1", True),
    "redis_url": (f"redis://u:{SECRET}@h", f"redis://u:{SECRET}@h"),
    "redis_prefix": ("desk", "desk"),
    "faiss_half": ("1", True),
    "offline": ("1", True),
    "sources": ('{"a": {"kind": "files"}}', {"a": {"kind": "files"}}),
    "ingest_ahead_max": ("5000", 5000),
    "embedding_model": ("all-MiniLM-L12-v2", "sentence-transformers/all-MiniLM-L12-v2"),
    "engine": ("openvino", "openvino"),
    "precision": ("fp32", "fp32"),
    "device": ("cuda", "cuda"),
    "threads": ("3", 3),
    "chunk_tokens": ("128", 128),
    "chunk_overlap_tokens": ("16", 16),
    "batch_tokens": ("2048", 2048),
    "batch_wait_ms": ("20", 20),
    "llm_provider": ("openai", "openai"),
    "llm_url": ("http://llm:8000", "http://llm:8000/v1"),
    "llm_api_key": (SECRET, SECRET),
    "llm_api_key_file": ("", None),  # has tests of its own
    "llm_model": ("some/model", "some/model"),
    "llm_timeout_seconds": ("7.5", 7.5),
    "llm_concurrency": ("32", 32),
    "llm_temperature": ("0.5", 0.5),
    "answer_tokens_max": ("300", 300),
    "summary_sentences": ("5", 5),
    "roles": ("embed,progress", ("embed", "progress")),
    "window_records": ("64", 64),
    "in_flight_records_max": ("100", 100),
    "in_flight_bytes_max": ("4096", 4096),
    "session_timeout_seconds": ("12", 12.0),
    "drain_seconds": ("2", 2.0),
    "retry_delays_seconds": ("1, 2.5", (1.0, 2.5)),
    "retry_jitter": ("0.5", 0.5),
    "replays_max": ("2", 2),
    "text_bytes_max": ("1000", 1000),
    "batch_idle_seconds": ("60", 60.0),
    "batch_retention_hours": ("24", 24.0),
    "web_host": ("0.0.0.0", "0.0.0.0"),
    "web_port": ("8080", 8080),
    "web_allowed_hosts": ("a.example,b.example", ("a.example", "b.example")),
    "web_body_bytes_max": ("2048", 2048),
    "log_level": ("debug", "DEBUG"),
    "log_file": ("/var/log/t", Path("/var/log/t")),
}


@pytest.fixture(autouse=True)
def nothing_of_the_developers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    names = {name for info in Settings.model_fields.values() for name in aliases(info)}
    for name in {*names, "TICKERTAPE_CONFIG"}:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def aliases(info: Any) -> list[str]:
    return [str(choice) for choice in info.validation_alias.choices]


def plain(settings: Settings, field: str) -> Any:
    value = getattr(settings, field)
    return value.get_secret_value() if hasattr(value, "get_secret_value") else value


def test_the_table_above_knows_every_setting():
    assert VALUES.keys() == Settings.model_fields.keys()


@pytest.mark.parametrize("field", VALUES)
def test_each_is_read_from_its_variable_from_env_file_from_yaml_and_as_a_flag(
    field: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    text, wanted = VALUES[field]
    default = plain(load(tmp_path), field)
    assert text == "" or wanted != default, "a test that cannot fail"
    if not text:
        return
    name = env_name(field)
    monkeypatch.setenv(name, text)
    assert plain(load(tmp_path), field) == wanted
    monkeypatch.delenv(name)
    (tmp_path / ".env").write_text(f"{name}='{text}'\n")
    assert plain(load(tmp_path), field) == wanted
    (tmp_path / ".env").unlink()
    (tmp_path / "config.yaml").write_text(json.dumps({field: text}))
    assert plain(load(tmp_path), field) == wanted
    (tmp_path / "config.yaml").unlink()
    assert plain(load(tmp_path, **{field: text}), field) == wanted
    assert plain(load(tmp_path), field) == default


def test_flags_go_over_the_environment_over_env_file_over_yaml_over_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    found = [load(tmp_path).web_port]
    (tmp_path / "config.yaml").write_text("flask: {port: 1001}")
    found.append(load(tmp_path).web_port)
    (tmp_path / ".env").write_text("TICKERTAPE_WEB_PORT=1002")
    found.append(load(tmp_path).web_port)
    monkeypatch.setenv("TICKERTAPE_WEB_PORT", "1003")
    found.append(load(tmp_path).web_port)
    found.append(load(tmp_path, web_port=1004).web_port)
    assert found == [6066, 1001, 1002, 1003, 1004]
    assert load(tmp_path, web_port=None).web_port == 1003, "a flag that was not given"


def test_an_empty_variable_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("KAFKA_BROKERS", "")
    monkeypatch.setenv("LLM_URL", "")
    monkeypatch.setenv("TICKERTAPE_WEB_PORT", "")
    settings = load(tmp_path)
    assert (settings.embedded_broker, settings.llm_url, settings.web_port) == (True, None, 6066)
    assert settings.bootstrap == "localhost:9092"


def test_a_config_yaml_of_before_tickertape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "old.yaml").write_text(
        """
        kafka:
          bootstrap_servers: [one:9092, "two:9092"]
          input_topic: texts
          output_topic: vectors
          consumer_group: desk
        model: {name: all-MiniLM-L6-v2, max_length: 128, device: cpu}
        flask: {host: 0.0.0.0, port: 5000}
        logging: {level: warning}
        linger_ms: 7
        retry_delays_seconds: [1, 2]
        """
    )
    monkeypatch.setenv("TICKERTAPE_CONFIG", str(tmp_path / "old.yaml"))
    found = load(tmp_path)
    assert found.brokers == "one:9092,two:9092"
    assert (found.topic_text_messages, found.topic_embeddings) == ("texts", "vectors")
    assert (found.app_id, found.device, found.chunk_tokens) == ("desk", "cpu", 128)
    assert found.embedding_model == "sentence-transformers/all-MiniLM-L6-v2"
    assert (found.web_host, found.web_port, found.log_level) == ("0.0.0.0", 5000, "WARNING")
    assert (found.linger_ms, found.retry_delays_seconds) == (7, (1.0, 2.0))
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "three:9092")
    assert load(tmp_path).brokers == "three:9092"


def test_each_old_key_is_a_setting():
    assert set(LEGACY_YAML.values()) <= Settings.model_fields.keys()


@pytest.mark.parametrize("name", ["KAFKA_BROKERS", "KAFKA_BOOTSTRAP_SERVERS"])
def test_either_name_of_the_brokers(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(name, "one:9092")
    assert load(tmp_path).bootstrap == "one:9092"
    monkeypatch.setenv("KAFKA_BROKERS", "one:9092")
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "one:9092")
    assert load(tmp_path).bootstrap == "one:9092"


@pytest.mark.parametrize("place", ["environment", ".env"])
def test_two_names_with_two_values_are_one_too_many(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("KAFKA_BROKERS", "a:1")
    if place == "environment":
        monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "b:1")
    else:
        (tmp_path / ".env").write_text("KAFKA_BOOTSTRAP_SERVERS=b:1")
    with pytest.raises(SettingsError, match=r"^KAFKA_BROKERS \(a:1\) and KAFKA_BOOTSTRAP_SERVERS"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("http://h:8000", "http://h:8000/v1"),
        ("http://h:8000/", "http://h:8000/v1"),
        ("https://h/v1", "https://h/v1"),
        ("https://h/openai/v1/", "https://h/openai/v1"),
    ],
)
def test_v1_is_added_where_the_url_has_no_path(given: str, kept: str):
    assert Settings(llm_url=given).llm_url == kept


WRONG = [
    ("TICKERTAPE_WEB_PORT", "http", "integer.*'http'"),
    ("TICKERTAPE_WEB_PORT", "70000", "65535.*'70000'"),
    ("TICKERTAPE_LINGER_MS", "-1", "greater than or equal to 0"),
    ("TICKERTAPE_COMPRESSION", "brotli", "'none', 'gzip'.*'brotli'"),
    ("TICKERTAPE_APP_ID", "a b", "pattern"),
    ("TICKERTAPE_APP_ID", "", None),
    ("TICKERTAPE_ROLES", "embed,fly", "unknown: fly"),
    ("TICKERTAPE_ROLES", ",", "expected some of ingest"),
    ("TICKERTAPE_RETRY_DELAYS", "1,-2", "expected 1 to 20 delays"),
    ("TICKERTAPE_RETRY_DELAYS", "1,nan", "expected 1 to 20 delays"),
    ("TICKERTAPE_RETRY_DELAYS", ",", "expected 1 to 20 delays"),
    ("TICKERTAPE_RETRY_DELAYS", "soon", "number"),
    ("TICKERTAPE_CHUNK_OVERLAP_TOKENS", "200", "expected at most half of TICKERTAPE_CHUNK_TOKENS"),
    ("TICKERTAPE_LOG_LEVEL", "loud", "'DEBUG'"),
    ("KAFKA_BROKERS", "localhost", "expected host:port"),
    ("KAFKA_BROKERS", "localhost:0", "expected host:port"),
    ("KAFKA_BROKERS", "a:1,:2", "expected host:port.*':2'"),
    ("LLM_URL", "llm:8000", r"expected http://host\[:port\]"),
    ("LLM_URL", "http://", r"expected http://host\[:port\]"),
    ("LLM_URL", "ftp://host/v1", r"expected http://host\[:port\]"),
    ("LLM_URL", "http://llm:port", r"expected http://host\[:port\]"),
    ("LLM_URL", "http://llm:70000", r"expected http://host\[:port\]"),
    ("LLM_URL", "http://[llm", r"expected http://host\[:port\]"),
    ("LLM_URL", "http://bü..ro/v1", r"expected http://host\[:port\]"),
    ("LLM_URL", "http://a b/v1", r"expected http://host\[:port\]"),
    ("LLM_URL", f"http://me:{SECRET}@llm/v1", "expected no credentials in the URL"),
    ("LLM_TIMEOUT", "0", "greater than 0"),
    ("LLM_API_KEY_FILE", "/none/there", "expected a readable file, got /none/there"),
]


@pytest.mark.parametrize(("name", "value", "says"), WRONG)
def test_a_wrong_value_is_one_line_that_names_the_setting(
    name: str, value: str, says: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(name, value)
    if says is None:
        load(tmp_path)  # empty is unset
        return
    with pytest.raises(SettingsError, match=says) as caught:
        load(tmp_path)
    message = str(caught.value)
    assert message.startswith(f"{name}: ")
    assert "\n" not in message
    assert SECRET not in message


@pytest.mark.parametrize(
    ("yaml", "says"),
    [
        ("kafka: {bootstrap: a}", "config.yaml: unknown key kafka.bootstrap"),
        ("colour: red", "config.yaml: unknown key colour"),
        ("kafka: [a]", "config.yaml: unknown key kafka"),
        ("- a", "config.yaml: expected a mapping, got list"),
        ("a: [", "config.yaml: not readable as YAML: "),
        (b"\xff\xfe", "config.yaml: not readable as YAML: "),
        ("flask: {port: http}", "TICKERTAPE_WEB_PORT: .* 'http'"),
    ],
)
def test_a_wrong_config_yaml_is_one_line(yaml: str | bytes, says: str, tmp_path: Path):
    path = tmp_path / "config.yaml"
    path.write_bytes(yaml if isinstance(yaml, bytes) else yaml.encode())
    with pytest.raises(SettingsError, match=f"^{says}") as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)


def test_an_empty_config_yaml_and_one_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "config.yaml").write_text("# nothing yet\n")
    assert load(tmp_path) == load(tmp_path / "elsewhere")
    monkeypatch.setenv("TICKERTAPE_CONFIG", "nowhere.yaml")
    with pytest.raises(SettingsError, match=r"^TICKERTAPE_CONFIG: there is no file nowhere\.yaml"):
        load(tmp_path)


def test_secrets_are_shown_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "key"
    file.write_text(f" {SECRET}\n")
    monkeypatch.setenv("LLM_API_KEY_FILE", str(file))
    settings = load(tmp_path)
    assert settings.llm_api_key is not None
    assert settings.llm_api_key.get_secret_value() == SECRET
    for shown in (repr(settings), str(describe(settings)), str(settings.model_dump())):
        assert SECRET not in shown
    assert describe(settings)["LLM_API_KEY"]["value"] == "***"
    monkeypatch.setenv("LLM_API_KEY", "the-variable-wins")
    key = load(tmp_path).llm_api_key
    assert key is not None
    assert key.get_secret_value() == "the-variable-wins"


def test_every_setting_is_described_under_one_name():
    described = describe(Settings())
    assert len(described) == len(Settings.model_fields)
    for name, entry in described.items():
        text = entry["description"]
        assert text, f"{name} says nothing of itself"
        assert text.endswith("."), name
        assert name == env_name(entry["field"])
        ours = name.startswith(("TICKERTAPE_", "KAFKA_SASL_", "KAFKA_SSL_", "KAFKA_OAUTH_"))
        assert ours or name in {
            *("KAFKA_BROKERS", "INPUT_TOPIC", "OUTPUT_TOPIC", "MODEL_NAME", "LLM_URL"),
            *("LLM_API_KEY", "LLM_API_KEY_FILE", "LLM_TIMEOUT", "LLM_PROVIDER", "DATABASE_URL"),
            *("REDIS_URL", "KAFKA_SECURITY_PROTOCOL"),
        }


def test_a_settings_object_is_frozen_and_leaves_the_environment_alone(tmp_path: Path):
    before = dict(os.environ)
    settings = load(tmp_path)
    with pytest.raises(ValueError, match="frozen"):
        settings.web_port = 1
    assert dict(os.environ) == before


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("TICKERTAPE_WEBPORT", "TICKERTAPE_WEBPORT: unknown setting; is TICKERTAPE_WEB_PORT meant"),
        ("TICKERTAPE_STORE", "TICKERTAPE_STORE: unknown setting; is TICKERTAPE_STORES meant"),
        ("TICKERTAPE_COLOUR_OF_ALL_PAGES", "unknown setting; `config show` lists all"),
    ],
)
@pytest.mark.parametrize("place", ["environment", ".env"])
def test_a_misspelt_variable_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, says: str, place: str
):
    if place == ".env":
        (tmp_path / ".env").write_text(f"{name}=http://x\n")
    else:
        monkeypatch.setenv(name, "http://x")
    with pytest.raises(SettingsError) as caught:
        load(tmp_path)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_kubernetes_sets_for_a_service_of_our_name_stops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name, value in {
        "TICKERTAPE_SERVICE_HOST": "10.0.0.1",
        "TICKERTAPE_SERVICE_PORT": "6066",
        "TICKERTAPE_SERVICE_PORT_HTTP": "6066",
        "TICKERTAPE_PORT": "tcp://10.0.0.1:6066",
        "TICKERTAPE_PORT_6066_TCP": "tcp://10.0.0.1:6066",
        "TICKERTAPE_PORT_6066_TCP_PROTO": "tcp",
        "TICKERTAPE_PORT_6066_TCP_ADDR": "10.0.0.1",
        "TICKERTAPE_WORKER_SERVICE_HOST": "10.0.0.2",
        "TICKERTAPE_WORKER_PORT": "tcp://10.0.0.2:6066",
    }.items():
        monkeypatch.setenv(name, value)
    assert load(tmp_path).web_port == Settings().web_port


def test_keys_that_such_files_have_and_nothing_needs_are_named_as_ignored(tmp_path: Path):
    (tmp_path / "config.yaml").write_text(
        "flask: {host: localhost, port: 5000, debug: true}\n"
        "kafka: {auto_offset_reset: latest}\n"
        "logging: {level: debug, file: t.log, format: '%(message)s'}\n"
    )
    settings = load(tmp_path)
    assert (settings.web_port, settings.log_file) == (5000, Path("t.log"))
    assert [line.partition(" is ignored: ")[0] for line in settings.ignored] == [
        *("config.yaml: flask.debug", "config.yaml: kafka.auto_offset_reset"),
        "config.yaml: logging.format",
    ]


def test_what_is_ignored_names_only_settings_that_there_are():
    known = {env_name(field) for field in Settings.model_fields}
    for key, why in IGNORED_YAML.items():
        assert key not in LEGACY_YAML
        assert set(re.findall(r"TICKERTAPE_[A-Z_]+", why)) <= known


def test_config_show_cuts_nothing_where_it_is_piped():
    (group,) = config.commands(lambda: Settings(_env_file=None, app_id="desk", stores=("a" * 200,)))
    shown = CliRunner().invoke(group, ["show"]).stdout
    lines = {line.split()[0]: line for line in shown.splitlines()}
    assert set(lines) == {env_name(field) for field in Settings.model_fields}
    assert "a" * 200 in lines["TICKERTAPE_STORES"]
    assert "\u2026" not in shown


def test_what_is_another_programs_in_such_files_is_named_as_ignored(tmp_path: Path):
    (tmp_path / "config.yaml").write_text(
        "flask: {port: 5000, templates_auto_reload: true, SESSION_COOKIE_NAME: a}\n"
        "kafka: {bootstrap_servers: 'k:1', fetch_min_bytes: 1, heartbeat_interval_ms: 3000}\n"
        "logging: {level: info, handlers: {console: {class: logging.StreamHandler}}}\n"
    )
    settings = load(tmp_path)
    assert (settings.web_port, settings.brokers) == (5000, "k:1")
    assert [line.partition(" is ignored: ")[0] for line in settings.ignored] == [
        "config.yaml: flask.templates_auto_reload",
        "config.yaml: flask.SESSION_COOKIE_NAME",
        "config.yaml: kafka.fetch_min_bytes",
        "config.yaml: kafka.heartbeat_interval_ms",
        "config.yaml: logging.handlers",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("flask: {prot: 5000}", "unknown key flask.prot; is flask.port meant"),
        ("kafka: {bootstrap_server: k}", "is kafka.bootstrap_servers meant"),
        ("kafka: {security_protocol: SASL_SSL}", "KAFKA_BROKERS: expected with KAFKA_SECURITY"),
        ("kafka: {ssl_crlfile: a.pem}", "unknown key kafka.ssl_crlfile"),
        ("kafka: {sasl_password: x}", "unknown key kafka.sasl_password"),
        ("model: {pooling: cls}", "unknown key model.pooling"),
        ("celery: {broker: x}", "unknown key celery"),
    ],
)
def test_what_is_misspelt_or_cannot_be_had_stops_the_start(tmp_path: Path, text: str, said: str):
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(SettingsError, match=said):
        load(tmp_path)


def test_a_fields_name_is_no_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """SSL_CERT_FILE is OpenSSL's, OFFLINE may be anybody's."""
    ours = {name for field in Settings.model_fields for name in env_names(field)}
    for field in Settings.model_fields:
        if field.upper() not in ours:
            monkeypatch.setenv(field.upper(), "anybody's")
    (tmp_path / ".env").write_text("OFFLINE=true\nsasl_mechanism=mine\n", "utf-8")
    assert load(tmp_path) == Settings()
    assert not load(tmp_path).offline


SASL = {"KAFKA_BROKERS": "b:9093", "KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}
SCRAM = {
    **SASL,
    "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
    "KAFKA_SASL_USERNAME": "me",
    "KAFKA_SASL_PASSWORD": SECRET,
}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (SASL, "KAFKA_SASL_MECHANISM: expected with KAFKA_SECURITY_PROTOCOL=SASL_SSL"),
        (SCRAM | {"KAFKA_BROKERS": ""}, "KAFKA_BROKERS: expected with KAFKA_SECURITY_PROTOCOL"),
        (SCRAM | {"KAFKA_SASL_USERNAME": ""}, "KAFKA_SASL_USERNAME: expected with"),
        (SCRAM | {"KAFKA_SASL_PASSWORD": ""}, "KAFKA_SASL_PASSWORD: expected with"),
        (SCRAM | {"KAFKA_SECURITY_PROTOCOL": "SSL"}, "KAFKA_SECURITY_PROTOCOL: expected SASL_SSL"),
        (SCRAM | {"KAFKA_SASL_MECHANISM": "GSSAPI"}, "KAFKA_SASL_MECHANISM: "),
        (SCRAM | {"KAFKA_SASL_MECHANISM": "OAUTHBEARER"}, "KAFKA_OAUTH_TOKEN_URL: expected with"),
        ({"KAFKA_SSL_CAFILE": "/ca.pem"}, "KAFKA_SECURITY_PROTOCOL: expected SSL or SASL_SSL"),
        (SCRAM | {"KAFKA_SSL_KEYFILE": "/key.pem"}, "KAFKA_SSL_CERTFILE: expected with"),
        ({"KAFKA_OAUTH_TOKEN_URL": "https://me:pw@id/token"}, "KAFKA_OAUTH_TOKEN_URL: "),
    ],
)
def test_half_of_what_lets_us_in_stops_the_start(
    given: dict[str, str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=f"^{re.escape(said)}") as caught:
        load(tmp_path)
    assert SECRET not in str(caught.value)
