"""What each planted failure does; the table of them is in `failures`."""

from __future__ import annotations

import datetime
import json
import ssl
from collections.abc import Callable
from typing import Any

from planting import Planting, raised_in_a_child

import qrmi
from qrmi import Payload, QuantumResource
from qrmi.config import Config
from qrmi.testing.programs import tiny_program
from qrmi.transport import Client, HttpConfig, Request, RequestsTransport

IQM = "iqm-server"
CS = "ibm-quantum-compute-service"
QS = "ibm-quantum-system"
FELIS = "alice-bob-felis"
OQTOPUS = "oqtopus"
PASQAL = "pasqal-cloud"
WARDEN = "pasqal-local"

Plant = Callable[[Planting], object]
Verb = Callable[[QuantumResource], object]

API = {  # where each service's own routes begin: not those of its token service
    IQM: "* /api",
    CS: "* /api",
    QS: "* /v1",
    FELIS: "* /v1",
    OQTOPUS: "* /",
    PASQAL: "* /core-fast",
    WARDEN: "* /",
}
PAGE = "<!DOCTYPE html><html><head><title>Attention Required!</title></head></html>"


def look(resource: QuantumResource) -> object:
    return resource.status()


def start(resource: QuantumResource) -> object:
    return resource.task_start(tiny_program(resource))


def status_of(task_id: str) -> Verb:
    return lambda resource: resource.task_status(task_id)


def setting(type_name: str, verb: Verb = look, **changes: str | None) -> Plant:
    """A resource with other settings."""
    return lambda planting: verb(planting.resource(type_name, **changes))


def answered(
    type_name: str,
    status: int,
    body: object = None,
    verb: Verb = look,
    match: str = "",
    **fault: Any,
) -> Plant:
    """A service that answers with a status."""

    def plant(planting: Planting) -> object:
        planting.fault(
            type_name,
            kind="status",
            status=status,
            body=body,
            match=match or API[type_name],
            **fault,
        )
        return verb(planting.resource(type_name, hasty=True))

    return plant


def broken(type_name: str, kind: str, verb: Verb = look, **fault: Any) -> Plant:
    """A service that does something else wrong."""

    def plant(planting: Planting) -> object:
        planting.fault(type_name, kind=kind, match=API[type_name], **{"seconds": 30, **fault})
        return verb(planting.resource(type_name, hasty=True))

    return plant


def storage(code: str, message: str = "") -> Plant:
    """A storage that refuses an upload."""
    body = (
        f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message>"
        "<RequestId>TX0000042</RequestId></Error>"
    )
    return answered(QS, 403, body, start, "PUT /", content_type="application/xml")


def ibm(code: int, message: str) -> dict[str, object]:
    error = {"code": str(code), "message": message, "more_info": "https://example.com"}
    return {"status_code": 400, "title": "no", "errors": [error], "trace": "trace-4242"}


def iqm(code: str, message: str) -> dict[str, object]:
    return {"error_code": code, "message": message, "request_id": "r-1", "details": None}


# --- credentials ----------------------------------------------------------------------------------


def expired_token(type_name: str) -> Plant:
    def plant(planting: Planting) -> object:
        resource = planting.resource(type_name)
        resource.status()
        planting.server(type_name).expire_tokens()  # type: ignore[attr-defined]
        try:
            return resource.status()
        finally:
            planting.server(type_name).token = "sandbox-token"  # type: ignore[attr-defined]

    return plant


def expired_pasqal_token(planting: Planting) -> object:
    server = planting.server(PASQAL)
    token = server.make_token(-60.0)  # type: ignore[attr-defined]
    return planting.resource(
        PASQAL,
        QRMI_PASQAL_CLOUD_AUTH_TOKEN=token,
        QRMI_PASQAL_CLOUD_CLIENT_ID=None,
        QRMI_PASQAL_CLOUD_CLIENT_SECRET=None,
    ).list_tasks()


def other_munge_key(planting: Planting) -> object:
    return answered(WARDEN, 500, {"detail": "Munge decode failed: Invalid credential"})(planting)


# --- configuration --------------------------------------------------------------------------------


def no_environment(planting: Planting) -> object:
    return QuantumResource("garnet", "iqm-server")


def config_named_but_absent(planting: Planting) -> object:
    planting.environment.setenv("QRMI_CONFIG", str(planting.folder / "absent.json"))
    return qrmi.open("garnet")


def config_malformed(planting: Planting) -> object:
    path = planting.file("qrmi_config.json", '{"resources": [\n  {"name": "a",}]}')
    planting.environment.setenv("QRMI_CONFIG", str(path))
    return qrmi.open("a")


def config_unreadable(planting: Planting) -> object:
    return Config.load(planting.folder)  # a folder: permissions do not stop every user


def config_that_others_read(planting: Planting) -> object:
    path = planting.file("qrmi_config.json", {"resources": [planting.settings(IQM)]})
    path.chmod(0o644)
    planting.environment.setenv("QRMI_CONFIG", str(path))
    return qrmi.open("garnet").status()


def default_unknown(planting: Planting) -> object:
    path = planting.file("qrmi_config.json", {"resources": [], "default": "garnet"})
    return Config.load(path)


def unknown_name(planting: Planting) -> object:
    return qrmi.open("no-such-resource")


def unknown_type(planting: Planting) -> object:
    return QuantumResource.from_config("x", "acme-annealer", {})


def local_device_unreadable(planting: Planting) -> object:
    return QuantumResource.from_config(
        "local", "local", {"QRMI_LOCAL_DEVICE": str(planting.folder / "absent.json")}
    ).target()


# --- network --------------------------------------------------------------------------------------


def refused_connection(planting: Planting) -> object:
    with planting.closed_port() as port:
        return planting.resource(
            IQM, hasty=True, QRMI_IQM_ISA_ENDPOINT=f"http://127.0.0.1:{port}"
        ).status()


def _secure(planting: Planting, *, trusted: bool, ended: bool = False) -> object:
    import trustme

    from qrmi_sandbox.iqm import IQMServer

    authority = trustme.CA()
    past = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    issued = authority.issue_cert("localhost", not_after=past if ended else None)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued.configure_cert(context)
    known = planting.folder / "ca.pem"
    (authority if trusted else trustme.CA()).cert_pem.write_to_path(known)
    with IQMServer(tls=context) as server:
        return planting.resource(
            IQM,
            hasty=True,
            QRMI_IQM_ISA_ENDPOINT=server.url,
            QRMI_HTTP_CA_BUNDLE=str(known),
            QRMI_HTTP_READ_TIMEOUT_SECONDS="5",
        ).status()


def untrusted_certificate(planting: Planting) -> object:
    return _secure(planting, trusted=False)


def ended_certificate(planting: Planting) -> object:
    return _secure(planting, trusted=True, ended=True)


def proxy_answers(status: int, transport: str) -> Plant:
    """A proxy that will not connect to a service behind TLS."""

    def serve(connection: Any) -> None:
        connection.recv(65536)
        connection.sendall(
            f"HTTP/1.1 {status} No\r\ncontent-length: 0\r\n"
            'proxy-authenticate: Basic realm="x"\r\nconnection: close\r\n\r\n'.encode()
        )

    def plant(planting: Planting) -> object:
        port = planting.listener(serve)
        return planting.resource(
            IQM,
            hasty=True,
            QRMI_IQM_ISA_ENDPOINT="https://iqm.example",
            QRMI_HTTP_PROXY=f"http://127.0.0.1:{port}",
            QRMI_HTTP_TRANSPORT=transport,
        ).status()

    return plant


def proxy_is_away(planting: Planting) -> object:
    with planting.closed_port() as port:
        return planting.resource(
            IQM, hasty=True, QRMI_HTTP_PROXY=f"http://127.0.0.1:{port}"
        ).status()


def lost_answer(planting: Planting) -> object:
    """A request that must not be sent twice, and whose answer is cut off."""
    planting.fault(IQM, kind="reset_after")
    client = Client(RequestsTransport(), HttpConfig(), resource_id="garnet")
    return client.send(Request("POST", planting.server(IQM).url + "/api/v1/jobs/garnet/circuit"))


def lost_start(planting: Planting) -> object:
    """A start whose answer is lost, on a service that takes no keys."""
    resource = planting.resource(WARDEN, hasty=True)
    program = tiny_program(resource)
    planting.fault(WARDEN, kind="reset_after", match="POST /jobs")
    return resource.task_start(program)


# --- programs -------------------------------------------------------------------------------------


def _iqm_program(**fields: Any) -> Payload:
    turn = {"name": "prx", "locus": ["QB1"], "args": {"angle": 3.14159, "phase": 0.0}}
    measure = {"name": "measure", "locus": ["QB1"], "args": {"key": "m_1_0_0"}}
    circuit = {"name": "flip", "instructions": [turn, measure]}
    return Payload.IQMServer(
        json.dumps({"circuits": [circuit], "shots": 10, **fields}), "circuit", None, None
    )


def program(type_name: str, payload: Callable[[], Payload]) -> Plant:
    return lambda planting: planting.resource(type_name).task_start(payload())


def local_program(payload: Callable[[], Payload]) -> Plant:
    return lambda planting: QuantumResource("local", "local").task_start(payload())


def sampler(text: str, program_id: str = "sampler") -> Payload:
    return Payload.QiskitPrimitive(text, program_id)


def too_many_qubits(planting: Planting) -> object:
    from qiskit import QuantumCircuit

    from qrmi.qiskit import SamplerV2

    circuit = QuantumCircuit(80)
    circuit.measure_all()
    return SamplerV2(planting.resource(CS)).run([circuit])


def too_many_atoms(planting: Planting) -> object:
    import pulser

    register = pulser.Register.rectangle(40, 40, spacing=6)
    sequence = pulser.Sequence(register, pulser.MockDevice)
    sequence.declare_channel("g", "rydberg_global")
    sequence.add(pulser.Pulse.ConstantPulse(100, 1, 0, 0), "g")
    return QuantumResource("local", "local").task_start(
        Payload.PasqalCloud(sequence.to_abstract_repr(), 10)
    )


def key_used_twice(planting: Planting) -> object:
    resource = QuantumResource("local", "local")
    resource.task_start(tiny_program(resource, shots=10), key="night-run")
    return resource.task_start(tiny_program(resource, shots=11), key="night-run")


# --- tasks ----------------------------------------------------------------------------------------


def _result(resource: QuantumResource, task_id: str) -> object:
    resource.task_wait(task_id, timeout_seconds=20)
    return resource.task_result(task_id)


def iqm_failed(planting: Planting) -> object:
    resource = planting.resource(IQM)
    task_id = resource.task_start(_iqm_program(max_circuit_duration_over_t2=1e-9))
    return _result(resource, task_id)


def qs_failed(planting: Planting) -> object:
    planting.change(QS, failure=(1517, "the pulse compiler gave up", "shorten the circuit"))
    return _result(*planting.started(QS))


def cs_failed(planting: Planting) -> object:
    resource = planting.resource(CS)
    params = {"pubs": [["OPENQASM 3.0; nonsense;", None, 10]], "version": 2, "options": {}}
    return _result(resource, resource.task_start(sampler(json.dumps(params))))


def local_failed(planting: Planting) -> object:
    resource = QuantumResource("local", "local")
    body = {"version": 2, "pubs": [["OPENQASM 3.0; nonsense;", None, 10]]}
    return _result(resource, resource.task_start(sampler(json.dumps(body))))


def cancelled(type_name: str) -> Plant:
    def plant(planting: Planting) -> object:
        planting.change(type_name, run_seconds=1.0)
        resource, task_id = planting.started(type_name)
        resource.task_stop(task_id)
        return _result(resource, task_id)

    return plant


def not_ready(type_name: str) -> Plant:
    def plant(planting: Planting) -> object:
        planting.change(type_name, run_seconds=30.0)
        resource, task_id = planting.started(type_name)
        try:
            return resource.task_result(task_id)
        finally:
            resource.task_stop(task_id)

    return plant


def waited_in_vain(planting: Planting) -> object:
    planting.change(OQTOPUS, run_seconds=30.0)
    resource, task_id = planting.started(OQTOPUS)
    try:
        return resource.task_wait(task_id, timeout_seconds=0.1)
    finally:
        resource.task_stop(task_id)


def unknown_task(type_name: str, task_id: str = "00000000-0000-4000-8000-000000000000") -> Plant:
    return setting(type_name, status_of(task_id))


# --- the journal, the scheduler, packages ---------------------------------------------------------


def journal_without_permission(planting: Planting) -> object:
    path = planting.file("a-file", "")
    planting.environment.setenv("QRMI_STATE_DIR", str(path / "below"))
    resource = planting.resource(IQM)
    return resource.task_start(_iqm_program())


def full_disk(planting: Planting) -> object:
    """No file of the process may grow, which is as near to a full disk as any user can get."""
    settings = planting.settings(IQM)["environment"]
    return raised_in_a_child(
        "import resource, signal, qrmi, json\n"
        f"handle = qrmi.QuantumResource.from_config('garnet', '{IQM}', {settings})\n"
        f"program = qrmi.Payload.IQMServer({_iqm_program().iqmjson!r}"
        ", 'circuit', None, None)\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
        "handle.task_start(program)",
        QRMI_STATE_DIR=str(planting.folder / "full"),
    )


def plugin_error(planting: Planting) -> object:
    planting.environment.setenv("QRMI_PLUGIN_ERROR", "maintenance until noon")
    planting.environment.setenv("SLURM_JOB_ID", "4711")
    return qrmi.open()


def job_lists_differ(planting: Planting) -> object:
    planting.environment.setenv("QRMI_JOB_QPU_RESOURCES", "a,b")
    planting.environment.setenv("QRMI_JOB_QPU_TYPES", "iqm-server")
    return qrmi.open()


def several_qpus(planting: Planting) -> object:
    planting.environment.setenv("QRMI_JOB_QPU_RESOURCES", "a,b")
    planting.environment.setenv("QRMI_JOB_QPU_TYPES", "iqm-server,oqtopus")
    return qrmi.open()


def no_job(planting: Planting) -> object:
    return qrmi.QRMIService()


def missing_pycurl(planting: Planting) -> object:
    entry = planting.settings(IQM)
    settings = {**entry["environment"], "QRMI_HTTP_TRANSPORT": "curl"}
    return raised_in_a_child(
        "import sys, qrmi\nsys.modules['pycurl'] = None\n"
        f"qrmi.QuantumResource.from_config('garnet', 'iqm-server', {settings}).status()"
    )


def missing_botocore(planting: Planting) -> object:
    entry = planting.settings(QS)
    return raised_in_a_child(
        "import sys, qrmi\nsys.modules['botocore'] = None\n"
        f"handle = qrmi.QuantumResource.from_config('s', '{QS}', {entry['environment']})\n"
        'body = \'{"pubs": [], "version": 2}\'\n'
        "handle.task_start(qrmi.Payload.QiskitPrimitive(body, 'sampler'))"
    )


def missing_qiskit(planting: Planting) -> object:
    return raised_in_a_child(
        "import sys\nsys.modules['qiskit'] = None\nimport qrmi.qiskit\nqrmi.qiskit.SamplerV2"
    )
