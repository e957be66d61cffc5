"""Deployments."""

from __future__ import annotations

from typing import Any

from . import _protocol as pb
from ._deployment import Apply, Delete, PartlyApplied, Plan, State
from ._errors import Error, Fault, diagnostic
from ._handles import Scope
from ._json import anything, dumps, loads
from ._prepare import Prepare
from ._type import Type
from ._unknown import Unknown

# The limit of a state's value and of its private notes, in bytes.
_MAX_STATE = 64 << 10

_ACTIONS = {
    "none": pb.DEPLOYMENT_ACTION_NONE,
    "create": pb.DEPLOYMENT_ACTION_CREATE,
    "update": pb.DEPLOYMENT_ACTION_UPDATE,
    "replace": pb.DEPLOYMENT_ACTION_REPLACE,
}


def read(type: Type, request: pb.ReadDeploymentRequest) -> pb.ReadDeploymentResponse:
    try:
        stage, state = _request(type, request.instance, request.state)
        now = stage.read(state)
        return pb.ReadDeploymentResponse(state=None if now is None else _proto(type, now))
    except Exception as e:
        return pb.ReadDeploymentResponse(diagnostics=[diagnostic(e, str(type))])


def plan(type: Type, request: pb.PlanDeploymentRequest) -> pb.PlanDeploymentResponse:
    out = pb.PlanDeploymentResponse()
    try:
        unknown = Unknown(request.instance.unknown)
        inputs = dict(request.inputs)
        stage = type.decode(request.instance, unknown, Scope(request.instance, inputs))
        prior = _state(type, request.instance, request.prior) if request.HasField("prior") else None
        if prior is not None and _differs(type, prior, request.prior):
            out.upgraded.CopyFrom(_proto(type, prior))
        planned = stage.plan(Plan(prior, dict(request.digests), inputs.keys(), unknown))
        out.action, out.coexists = _ACTIONS[planned.action], planned.coexists
        out.changes.extend(
            pb.Change(argument=c.argument, before=c.before, after=c.after, forces_replacement=c.forces_replacement) for c in planned.changes
        )
    except Exception as e:
        out.diagnostics.append(diagnostic(e, str(type)))
    return out


def apply(type: Type, request: pb.ApplyDeploymentRequest) -> pb.ApplyDeploymentResponse:
    out = pb.ApplyDeploymentResponse()
    call = Apply(None, request.work_dir)
    try:
        call.prior = _state(type, request.instance, request.prior) if request.HasField("prior") else None
        stage, prepared = type.ready(request.instance, Scope(request.instance, dict(request.inputs), running=True))
        try:
            state = stage.apply(call)
        finally:
            stage.close()
        if not isinstance(state, State):
            raise Fault("apply returned neither a state nor an error")
        out.state.CopyFrom(_proto(type, state, prepared.value_type))
    except Exception as e:
        out.diagnostics.append(diagnostic(e, str(type)))
        if isinstance(e, PartlyApplied):
            out.state.CopyFrom(_proto(type, e.state))
    out.diagnostics.extend(call.warnings)
    return out


def delete(type: Type, request: pb.DeleteDeploymentRequest) -> pb.DeleteDeploymentResponse:
    out = pb.DeleteDeploymentResponse()
    call = Delete(None)
    try:
        stage, call.state = _request(type, request.instance, request.state)
        stage.delete(call)
    except Exception as e:
        out.diagnostics.append(diagnostic(e, str(type)))
    out.diagnostics.extend(call.warnings)
    return out


def import_deployment(type: Type, request: pb.ImportDeploymentRequest) -> pb.ImportDeploymentResponse:
    try:
        found = type.decode(request.instance, Unknown(request.instance.unknown)).import_deployment(request.id)
        return pb.ImportDeploymentResponse(state=None if found is None else _proto(type, found))
    except Exception as e:
        return pb.ImportDeploymentResponse(diagnostics=[diagnostic(e, str(type))])


def _request(type: Type, instance: pb.Instance, state: pb.DeploymentState) -> tuple[Any, State]:
    """Decodes what read and delete get. The deployment may no longer be configured, so arguments can be unknown."""
    return type.decode(instance, Unknown(instance.unknown)), _state(type, instance, state)


def _state(type: Type, instance: pb.Instance, given: pb.DeploymentState) -> State:
    """Decodes a state, upgrades an older one, and adds the attributes that are declared now."""
    now = type.options.state_version
    if given.version > now:
        raise Error(
            "the state of the deployment is newer than the plugin\nA later version of the plugin wrote it"
            f" (state version {given.version}; this version reads states up to {now}). Install the later version."
        )
    state = State(anything(loads(given.value_json or b"{}")) or {}, given.private)
    if given.version < now:
        upgrade: Any = type.cls
        state = upgrade.upgrade_state(given.version, state)
    declared = _declared(type, instance)
    if declared is not None:
        state.value = {name: state.value.get(name) for name in declared}
    return state


def _declared(type: Type, instance: pb.Instance) -> list[str] | None:
    """Returns the attributes of the state, if they are known: a deployment that is no longer configured has no arguments."""
    unknown = Unknown(instance.unknown)
    p = Prepare(instance, unknown)
    try:
        type.declare(type.decode(instance, unknown), p)
        return list(loads(p.out.value_type)[1]) if p.out.value_type else None
    except Exception:
        return None


def _differs(type: Type, state: State, given: pb.DeploymentState) -> bool:
    before = anything(loads(given.value_json or b"{}"))
    return given.version != type.options.state_version or state.private != given.private or dict(state.value) != before


def _proto(type: Type, state: State, value_type: bytes = b"") -> pb.DeploymentState:
    if value_type:
        declared, given = set(loads(value_type)[1]), set(state.value)
        if declared != given:
            names = ", ".join(sorted(declared ^ given))
            raise Fault(f"the state does not have the attributes that prepare declared: {names}")
    value = dumps(dict(state.value)).encode()
    for what, size in (("value", len(value)), ("private notes", len(state.private))):
        if size > _MAX_STATE:
            raise Fault(f"the deployment's state cannot be written: its {what} take {size} bytes, and at most {_MAX_STATE} are allowed")
    return pb.DeploymentState(value_json=value, private=state.private, version=type.options.state_version)
