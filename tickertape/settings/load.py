"""Reading the settings, from every place they may come from."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from dotenv import dotenv_values
from pydantic import SecretStr, ValidationError

from tickertape.errors import SettingsError
from tickertape.settings.describe import env_names, mistake
from tickertape.settings.whole import Settings

# What config.yaml had before Tickertape: "section.key" -> our field. The text flow's topics.
LEGACY_YAML = {
    "kafka.bootstrap_servers": "brokers",
    "kafka.input_topic": "topic_text_messages",
    "kafka.output_topic": "topic_embeddings",
    "kafka.consumer_group": "app_id",
    "kafka.security_protocol": "security_protocol",
    "kafka.sasl_mechanism": "sasl_mechanism",
    "kafka.sasl_plain_username": "sasl_username",
    "kafka.sasl_plain_password": "sasl_password",
    "kafka.ssl_cafile": "ssl_ca_file",
    "kafka.ssl_certfile": "ssl_cert_file",
    "kafka.ssl_keyfile": "ssl_key_file",
    "kafka.ssl_check_hostname": "ssl_check_hostname",
    "model.name": "embedding_model",
    "model.max_length": "chunk_tokens",
    "model.device": "device",
    "flask.host": "web_host",
    "flask.port": "web_port",
    "logging.level": "log_level",
    "logging.file": "log_file",
}


# What such files have, and nothing here needs: named as ignored, with the reason.
IGNORED_YAML = {
    "kafka.auto_offset_reset": "topics are always read from their beginning",
    "kafka.enable_auto_commit": "offsets are committed once their outcome is confirmed",
    "kafka.group_id": "see kafka.consumer_group",
    "kafka.max_poll_records": "see TICKERTAPE_WINDOW_RECORDS",
    "kafka.session_timeout_ms": "see TICKERTAPE_SESSION_TIMEOUT",
    "model.batch_size": "batches are made by their tokens; see TICKERTAPE_BATCH_TOKENS",
    "model.cache_dir": "see TICKERTAPE_MODELS_DIR",
    "flask.debug": "the pages have no debugger",
    "flask.threaded": "the web server is asynchronous",
    "flask.secret_key": "the pages keep no sessions",
    "logging.format": "lines are JSON, or readable on a terminal",
}
# Sections that are another program's: what else they have is ignored too, but for what is ours and
# misspelt, and for what would have made a connection safe.
FOREIGN_SECTIONS = {
    "kafka": "the client's own settings are chosen here",
    "flask": "the pages are not Flask's",
    "logging": "there is one log",
}
_SAFETY = re.compile(r"s(?:asl|sl|ecurity)_", re.IGNORECASE)
ELSEWHERE = frozenset({"TICKERTAPE_CONFIG"})  # read here, and no field
# A Kubernetes service called tickertape puts these into every pod's environment.
_OF_KUBERNETES = re.compile(
    r"_(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]{1,60})?"
    r"|PORT_[0-9]{1,5}_(?:TCP|UDP)(?:_(?:PROTO|PORT|ADDR))?)\Z"
)


def load(root: Path | None = None, **flags: Any) -> Settings:
    """Read the settings: flags (by field name), environment, ``root``/.env, config.yaml.

    ``root`` is the folder of app.py; TICKERTAPE_CONFIG names another config file.

    Raises:
        SettingsError: one line that names the setting and what was expected.
    """
    root = root or Path.cwd()
    dotenv = root / ".env"
    try:
        known = {**(dotenv_values(dotenv) if dotenv.is_file() else {}), **os.environ}
        _check_brokers(known)
        _check_names(known)
        given = {name: value for name, value in flags.items() if value is not None}
        low, ignored = _yaml(root)
        if "sources" in low:
            low["sources"] = _with_variables(low["sources"], known, "sources")
        settings = _build(given, low, dotenv)
    except ValidationError as error:
        raise SettingsError(mistake(error)) from None
    settings = _with_key_file(settings)
    settings._ignored = ignored
    return settings


def _build(given: Mapping[str, Any], low: Mapping[str, Any], dotenv: Path) -> Settings:
    """Settings() with config.yaml below everything: its values fill only what is left unset."""
    env_file = dotenv if dotenv.is_file() else None
    first = Settings(_env_file=env_file, **given)
    missing = {name: value for name, value in low.items() if name not in first.model_fields_set}
    return Settings(_env_file=env_file, **{**given, **missing}) if missing else first


def _yaml(root: Path) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Read config.yaml as field -> value, and say what of it is ignored.

    An unknown key is named; a known one that nothing here needs stops nobody.
    """
    named = os.environ.get("TICKERTAPE_CONFIG")
    path = Path(named) if named else root / "config.yaml"
    if not path.is_file():
        if named:
            raise SettingsError(f"TICKERTAPE_CONFIG: there is no file {named}")
        return {}, ()
    try:
        tree = yaml.safe_load(path.read_text("utf-8")) or {}
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        reason = str(error).splitlines()[0]
        raise SettingsError(f"{path.name}: not readable as YAML: {reason}") from None
    if not isinstance(tree, dict):
        raise SettingsError(f"{path.name}: expected a mapping, got {type(tree).__name__}")
    values: dict[str, Any] = {}
    ignored: list[str] = []
    sections = {key.split(".")[0] for key in LEGACY_YAML}
    for key, value in tree.items():
        if key in Settings.model_fields:
            values[key] = value
        elif key in sections and isinstance(value, dict):
            for inner, leaf in value.items():
                field = LEGACY_YAML.get(f"{key}.{inner}")
                if field is None:
                    ignored.append(f"{path.name}: {_why_ignored(path.name, key, str(inner))}")
                    continue
                values[field] = ",".join(map(str, leaf)) if isinstance(leaf, list) else leaf
        else:
            raise SettingsError(f"{path.name}: unknown key {key}")
    return values, tuple(ignored)


_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def _with_variables(tree: Any, known: Mapping[str, str | None], where: str) -> Any:
    """Put the environment's values in the place of ``${NAME}``: secrets need not stand in a file.

    Raises:
        SettingsError: one that is not set.
    """
    if isinstance(tree, dict):
        return {k: _with_variables(v, known, f"{where}.{k}") for k, v in tree.items()}
    if isinstance(tree, list):
        return [_with_variables(v, known, f"{where}[{n}]") for n, v in enumerate(tree)]
    if not isinstance(tree, str):
        return tree

    def value(match: re.Match[str]) -> str:
        if (found := known.get(match[1])) is None:
            raise SettingsError(f"{where}: the environment has no {match[1]}")
        return found

    return _VARIABLE.sub(value, tree)


def _why_ignored(file: str, section: str, key: str) -> str:
    """Say of a key that sets nothing here why not.

    Raises:
        SettingsError: it is known to nobody, or what it asks for cannot be had.
    """
    name = f"{section}.{key}"
    why = IGNORED_YAML.get(name)
    if why is None:
        near = difflib.get_close_matches(name, LEGACY_YAML, 1, cutoff=0.85)
        near += [known for known in LEGACY_YAML if known.startswith(f"{name}_")]
        if near:
            raise SettingsError(f"{file}: unknown key {name}; is {near[0]} meant?")
        why = FOREIGN_SECTIONS.get(section)
    if why is None or (section == "kafka" and _SAFETY.match(key)):
        raise SettingsError(f"{file}: unknown key {name}")
    return f"{name} is ignored: {why}"


def _check_names(known: Mapping[str, str | None]) -> None:
    """A variable of ours that is misspelt would leave its setting at the default, in silence."""
    names = {name for field in Settings.model_fields for name in env_names(field)} | ELSEWHERE
    for given, value in known.items():
        name = given.upper()
        if not name.startswith("TICKERTAPE_") or name in names:
            continue
        if _OF_KUBERNETES.search(name) or (value or "").startswith(("tcp://", "udp://")):
            continue
        near = difflib.get_close_matches(name, names, 1, cutoff=0.8)
        hint = f"is {near[0]} meant?" if near else "`config show` lists all"
        raise SettingsError(f"{given}: unknown setting; {hint}")


def _check_brokers(known: Mapping[str, str | None]) -> None:
    one, two = known.get("KAFKA_BROKERS"), known.get("KAFKA_BOOTSTRAP_SERVERS")
    if one and two and one != two:
        raise SettingsError(
            f"KAFKA_BROKERS ({one}) and KAFKA_BOOTSTRAP_SERVERS ({two}) differ: set one of them"
        )


def _with_key_file(settings: Settings) -> Settings:
    if settings.llm_api_key is not None or settings.llm_api_key_file is None:
        return settings
    try:
        key = settings.llm_api_key_file.read_text("utf-8").strip()
    except (OSError, UnicodeError):
        raise SettingsError(
            f"LLM_API_KEY_FILE: expected a readable file, got {settings.llm_api_key_file}"
        ) from None
    return settings.model_copy(update={"llm_api_key": SecretStr(key)})
