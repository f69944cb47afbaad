"""`[webrtc]`: whether the server takes WebRTC calls, and how their media reaches it.

Laws: as `schema.py`'s; a fault is found before a call is, and the credential of the TURN server is in no message.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, StringConstraints, model_validator

from parley.config.values import WebRtcConfig

_URL = re.compile(r"(?P<scheme>stun|turns?):(?P<host>[^\s?:\[\]/@]+)(:[0-9]{1,5})?(\?transport=(udp|tcp))?")

LEAST_PORTS = 10
"""A range with fewer is a mistake: each call takes a port on each address of this machine."""


def _parts(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _switch(value: object) -> object:
    words = {"true": "on", "1": "on", "yes": "on", "false": "off", "0": "off", "no": "off"}
    return words.get(str(value).lower(), value) if isinstance(value, bool | str) else value


def _ice_url(url: str) -> str:
    found = _URL.fullmatch(url)
    if found is None:
        raise ValueError(
            "an ICE server is stun:HOST:PORT, turn:HOST:PORT?transport=udp or turns:HOST:PORT?transport=tcp"
        )
    if found["scheme"] == "stun" and "?" in url:
        raise ValueError("a STUN server takes no ?transport=")
    return url


def _port_range(value: str) -> str:
    if not value:
        return value
    found = re.fullmatch(r"([0-9]{1,5})\s*-\s*([0-9]{1,5})", value)
    low, high = (int(found[1]), int(found[2])) if found is not None else (0, 0)
    if not 1024 <= low < high <= 65_535 or high - low + 1 < LEAST_PORTS:
        raise ValueError(
            f"a range of UDP ports is LOW-HIGH, within 1024-65535 and at least {LEAST_PORTS} ports, such as 40000-40999"
        )
    return value


def _address(value: str) -> str:
    try:
        return value and str(ipaddress.ip_address(value.strip("[]")))
    except ValueError:
        raise ValueError("it must be an IP address, such as 203.0.113.7") from None


class WebRtcSection(BaseModel):
    """`[webrtc]`"""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    calls: Annotated[Literal["off", "on"], BeforeValidator(_switch)] = "on"
    ice_servers: Annotated[tuple[Annotated[str, AfterValidator(_ice_url)], ...], BeforeValidator(_parts)] = ()
    ice_username: str = ""
    ice_credential: Annotated[str, StringConstraints(max_length=512)] = ""
    ports: Annotated[str, AfterValidator(_port_range)] = ""
    announced_address: Annotated[str, AfterValidator(_address)] = ""

    @model_validator(mode="after")
    def _one_of_each(self) -> WebRtcSection:
        turn = [url for url in self.ice_servers if url.startswith("turn")]
        if len(turn) > 1 or len(self.ice_servers) - len(turn) > 1:
            raise ValueError("ice_servers may have one STUN server and one TURN server")
        if turn and not (self.ice_username and self.ice_credential):
            raise ValueError(
                "a TURN server needs ice_username and ice_credential (PARLEY_WEBRTC_ICE_USERNAME, PARLEY_WEBRTC_ICE_CREDENTIAL)"
            )
        return self

    def config(self) -> WebRtcConfig:
        """The values that the server reads."""
        low, _, high = self.ports.partition("-")
        return WebRtcConfig(
            enabled=self.calls == "on",
            ice_servers=self.ice_servers,
            ice_username=self.ice_username,
            ice_credential=self.ice_credential,
            ports=(int(low), int(high)) if self.ports else None,
            announced_address=self.announced_address,
        )
