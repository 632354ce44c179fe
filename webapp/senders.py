"""Who sent a request, for counting alone: a keyed fingerprint of the network address, which is written down nowhere."""

from ipaddress import IPv6Address, IPv6Network, ip_address

from flask_limiter.util import get_remote_address

from webapp.keyed import keyed

NETWORK_BITS = 64
"""Whoever has one IPv6 address has all those that begin with the same 64 bits."""


def sender_key() -> str:
    """What stands for the address of this request where hits are counted, in memory or in Redis.

    An IPv6 address counts with its network, an IPv4 address that is written as one as what it is.
    """
    return fingerprint(network_of(get_remote_address()))


def network_of(address: str) -> str:
    """The address, or the network that it belongs to; what is no address stays as it is."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(found, IPv6Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(IPv6Network((found, NETWORK_BITS), strict=False))


def fingerprint(text: str) -> str:
    """A keyed hash: without the application's secret nobody can try all addresses until one fits."""
    return keyed(f"sender {text}").hex()[:32]
