"""From what a job wants to the devices that would do, or why none ever will."""

from __future__ import annotations

from collections.abc import Iterable

from qrmi.errors import InvalidInputError, QrmiError
from qrmi.site.lending.lease_states import Device
from qrmi.site.lending.taken import Choice
from qrmi.site.lending.vendors import Vendors
from qrmi.site.lending.verdicts import later, refused
from qrmi.site.terms import Answer, Want

__all__ = ["plan"]

_MOST_LISTED = 20


def plan(vendors: Vendors, want: Want) -> tuple[Choice, ...] | Answer:
    """The choices that the job leaves, in the order in which it wants them.

    Returns:
        An answer when there is no need to look what is free: it is refused for ever, or
        something is away.
    """
    twice = sorted({name for name in want.names if want.names.count(name) > 1})
    if twice:
        return refused(f"{twice[0]} is named twice", "ask for several slots of it instead")
    choices: list[Choice] = []
    for name in want.names:
        choice = _named(vendors, name, want.slots.get(name, 1))
        if isinstance(choice, Answer):
            return choice
        choices.append(choice)
    if want.any:
        others = _any(vendors, want)
        if isinstance(others, Answer):
            return others
        choices += others
    elif want.filters:
        return refused("filters say what any resource has to be able to do; none was asked for")
    return tuple(choices)


def _named(vendors: Vendors, name: str, slots: int) -> Choice | Answer:
    if name not in vendors.names():
        return refused(f"no resource {name!r} at this site", _there_is(vendors.names()))
    capacity = vendors.capacity(name)
    if slots > capacity:
        return refused(
            f"{name} has {capacity} slots, and {slots} were asked for",
            f"ask for {capacity} at most" if capacity else "ask the site: it has none to lend",
        )
    if reason := vendors.away(name):
        return later(f"{name} is away: {reason}", "wait until it is back, or ask for another one")
    try:
        devices = vendors.devices(name)
    except QrmiError as error:
        return _unasked(name, error)
    if not devices:
        return later(f"{name} is away: it has no device now")
    return Choice(wanted=name, devices=tuple(devices), slots=slots)


def _any(vendors: Vendors, want: Want) -> list[Choice] | Answer:
    found: list[Device] = []
    ever = 0
    for name in vendors.names():
        if name in want.names:
            continue
        try:
            devices = vendors.devices(name, want.filters)
        except InvalidInputError as error:
            return refused(error.message, error.hint)
        except QrmiError as error:
            devices, ever = (), ever + 1  # it may come back; nobody knows what it has
            if not vendors.away(name):
                found.append(_silent(name, error))
            continue
        ever += min(len(devices), vendors.capacity(name))
        if not vendors.away(name):
            found += devices
    if ever < want.any:
        what = f"{ever} other resources" if want.names else f"{ever} resources"
        suited = f" pass {want.filters!r}" if want.filters else " are there"
        hint = _there_is(vendors.names())
        return refused(f"{want.any} were asked for, and {what}{suited} at this site", hint)
    usable = tuple(device for device in found if not device.away)
    if len({device.name for device in usable}) < want.any:
        return later("not enough resources are online", "wait until one is back")
    return [Choice(wanted="", devices=usable)] * want.any


def _silent(name: str, error: QrmiError) -> Device:
    return Device(name=name, entry=name, type="", away=error.message or "it cannot be asked")


def _unasked(name: str, error: QrmiError) -> Answer:
    reason = f"{name} cannot be asked for its devices: {error.message}"
    return later(reason, error.hint) if error.retryable else refused(reason, error.hint)


def _there_is(names: Iterable[str]) -> str:
    known = list(names)
    listed = ", ".join(known[:_MOST_LISTED]) + (", …" if len(known) > _MOST_LISTED else "")
    return f"there is: {listed}" if listed else "this site has none; ask it"
