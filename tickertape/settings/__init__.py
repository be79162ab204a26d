"""Every setting, read once, frozen. Flags over environment over .env over config.yaml over default.

A section a file, each field with its check. A field's description is its documentation: the
reference and ``config show`` are made of it. Units are last in names. A wrong value raises
`SettingsError` with one line that names the setting.
"""

from tickertape.settings.delivery import ROLES
from tickertape.settings.describe import describe, env_name
from tickertape.settings.embedding import DEFAULT_EMBEDDING_MODEL
from tickertape.settings.load import LEGACY_YAML, load
from tickertape.settings.whole import Settings

__all__ = [
    "DEFAULT_EMBEDDING_MODEL",
    "LEGACY_YAML",
    "ROLES",
    "Settings",
    "describe",
    "env_name",
    "load",
]
