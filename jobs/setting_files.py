"""Settings from files: what `STILLHOUSE_X` says may stand in the file of `STILLHOUSE_X_FILE`.

That is how Compose, Swarm and systemd hand a password to a process.
"""

import os
from pathlib import Path
from typing import Any, Final

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsError

PREFIX: Final = "STILLHOUSE_"
SUFFIX: Final = "_FILE"


class FileSource(PydanticBaseSettingsSource):
    """The files that variables of this process name."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002  # pydantic's signature
        """Return what the file of a setting says, without the end of its last line.

        Raises:
            SettingsError: it cannot be read, or a variable says the setting as well.
        """
        variable = f"{PREFIX}{field_name.upper()}"
        named = os.environ.get(f"{variable}{SUFFIX}")
        if not named:
            return None, field_name, False
        if os.environ.get(variable):
            raise SettingsError(f"found {variable} and {variable}{SUFFIX}; expected one of them")
        try:
            said = Path(named).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is no text"
            raise SettingsError(
                f"{variable}{SUFFIX} names {named}, which cannot be read: {reason}; expected a file"
                " that the user of this process may read, with the value in it"
            ) from None
        # An empty one says nothing, as an empty variable does not.
        return said or None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return what files say, by setting."""
        found = {
            name: self.get_field_value(field, name)[0]
            for name, field in self.settings_cls.model_fields.items()
        }
        return {name: value for name, value in found.items() if value is not None}


class SettingsWithFiles(BaseSettings):
    """Settings that arguments say, then variables, then the files that variables name."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # pydantic's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # pydantic's signature
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources, the one that wins first."""
        return init_settings, env_settings, FileSource(settings_cls)
