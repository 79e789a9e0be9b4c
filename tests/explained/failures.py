"""The table of planted failures: what each must come to, fixed in advance.

``docs/errors.md`` shows it. Each row is planted for real by `plants` and held to by
``test_failures.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import plants
from plants import (
    CS,
    FELIS,
    IQM,
    OQTOPUS,
    PAGE,
    PASQAL,
    QS,
    WARDEN,
    answered,
    ibm,
    iqm,
    setting,
    start,
)

from qrmi import Payload, errors
from qrmi.errors import Owner, QrmiError

__all__ = ["FAILURES", "Row"]

USER, SITE, VENDOR, NETWORK = Owner.USER, Owner.SITE, Owner.VENDOR, Owner.NETWORK


@attrs.frozen
class Row:
    """One planted failure.

    Attributes:
        area: what kind of thing is wrong.
        what: what is planted, in words.
        plant: plants it and makes the call that fails.
        error: the class of the error, or one above it.
        owner: who can act.
        retryable: whether the same call may succeed later, unchanged.
        hint: words of the hint.
        ids: an id that the error must carry for support; ``given``: one that the server made up.
    """

    area: str
    what: str
    plant: Callable[[Any], object]
    error: type[QrmiError]
    owner: Owner
    retryable: bool
    hint: str
    ids: str = ""

    def __str__(self) -> str:
        return f"{self.area}: {self.what}"


def _rows(area: str, *rows: tuple[Any, ...]) -> list[Row]:
    return [Row(area, *row) for row in rows]


CREDENTIALS = _rows(
    "credentials",
    (
        "wrong token (IQM)",
        setting(IQM, QRMI_IQM_ISA_TOKEN="wrong"),
        errors.AuthenticationFailedError, USER, False, "credentials",
    ),
    (
        "wrong API key (Felis)",
        setting(FELIS, QRMI_AB_FELIS_API_KEY="d3Jvbmc6a2V5"),
        errors.AuthenticationFailedError, USER, False, "credentials",
    ),
    (
        "wrong token (OQTOPUS)",
        setting(OQTOPUS, QRMI_OQTOPUS_API_TOKEN="wrong"),
        errors.AuthenticationFailedError, USER, False, "credentials", "given",
    ),
    (
        "wrong IAM API key (compute service)",
        setting(CS, QRMI_IBM_QCS_IAM_APIKEY="wrong"),
        errors.AuthenticationFailedError, USER, False, "IAM API key", "given",
    ),
    (
        "wrong IAM API key (quantum system)",
        setting(QS, QRMI_IBM_QS_IAM_APIKEY="wrong"),
        errors.AuthenticationFailedError, USER, False, "IAM API key",
    ),
    (
        "wrong storage key (quantum system)",
        setting(QS, start, QRMI_IBM_QS_AWS_SECRET_ACCESS_KEY="wrong"),
        errors.AuthenticationFailedError, USER, False, "AWS_SECRET_ACCESS_KEY", "4442587FB7D0A2F9",
    ),
    (
        "unknown storage key (quantum system)",
        plants.storage("InvalidAccessKeyId"),
        errors.AuthenticationFailedError, USER, False, "AWS_ACCESS_KEY_ID", "TX0000042",
    ),
    (
        "wrong client secret (Pasqal Cloud)",
        setting(PASQAL, lambda r: r.list_tasks(), QRMI_PASQAL_CLOUD_CLIENT_SECRET="wrong"),
        errors.AuthenticationFailedError, USER, False, "credentials",
    ),
    (
        "token that has expired, and nothing to get another (Pasqal Cloud)",
        plants.expired_pasqal_token,
        errors.AuthenticationFailedError, USER, False, "renew QRMI_PASQAL_CLOUD_AUTH_TOKEN",
    ),
    (
        "token that the service takes no more (IQM)",
        plants.expired_token(IQM),
        errors.AuthenticationFailedError, USER, False, "credentials",
    ),
    (
        "no permission, told by a gateway's page (compute service)",
        answered(CS, 403, PAGE, content_type="text/html"),
        errors.AccessDeniedError, SITE, False, "permission", "given",
    ),
    (
        "no permission (OQTOPUS)",
        answered(OQTOPUS, 403, {"message": "User is not authorized"}),
        errors.AccessDeniedError, SITE, False, "permission", "given",
    ),
    (
        "account has used up what it paid for (IQM)",
        answered(IQM, 402, iqm("no_credits", "no credits are left")),
        errors.AccessDeniedError, SITE, False, "used up", "r-1",
    ),
    (
        "another MUNGE key (Warden)",
        plants.other_munge_key,
        errors.AuthenticationFailedError, SITE, False, "MUNGE key",
    ),
    (
        "user is not on Warden's list (Warden)",
        answered(WARDEN, 403, {"detail": "User not authorized"}),
        errors.AccessDeniedError, SITE, False, "authorized_users",
    ),
    (
        "session of a job that has ended (Warden)",
        answered(WARDEN, 403, {"detail": "Session has been revoked"}),
        errors.AccessDeniedError, USER, False, "inside a job of yours",
    ),
    (
        "another user's session (Warden)",
        answered(WARDEN, 403, {"detail": "Session belongs to another user."}),
        errors.AccessDeniedError, USER, False, "as the user whose job it is",
    ),
)  # fmt: skip

CONFIGURATION = _rows(
    "configuration",
    (
        "a required key is missing (IQM)",
        setting(IQM, QRMI_IQM_ISA_ENDPOINT=None),
        errors.ConfigError, USER, False, "config check",
    ),
    (
        "a required variable is not set (IQM)",
        plants.no_environment,
        errors.EnvVarNotSetError, USER, False, "qrmi_config.json",
    ),
    (
        "no credentials at all (Pasqal Cloud)",
        setting(
            PASQAL,
            lambda r: r.list_tasks(),
            QRMI_PASQAL_CLOUD_CLIENT_ID=None,
            QRMI_PASQAL_CLOUD_CLIENT_SECRET=None,
        ),
        errors.ConfigError, USER, False, "PASQAL_USERNAME",
    ),
    (
        "no project (Pasqal Cloud)",
        setting(PASQAL, start, QRMI_PASQAL_CLOUD_PROJECT_ID=None),
        errors.ConfigError, USER, False, "PROJECT_ID",
    ),
    (
        "a time that is no number (IQM)",
        setting(IQM, QRMI_HTTP_READ_TIMEOUT_SECONDS="soon"),
        errors.ConfigError, USER, False, "config check",
    ),
    (
        "an endpoint that is no URL (IQM)",
        setting(IQM, QRMI_IQM_ISA_ENDPOINT="iqm.example"),
        errors.ConfigError, USER, False, "config check",
    ),
    (
        "a token with a line break in it (OQTOPUS)",
        setting(OQTOPUS, QRMI_OQTOPUS_API_TOKEN="two\nlines"),
        errors.ConfigError, USER, False, "line break",
    ),
    (
        "certificates that do not exist (IQM)",
        setting(IQM, QRMI_HTTP_CA_BUNDLE="/no/such/file.pem"),
        errors.ConfigError, USER, False, "config check",
    ),
    (
        "QRMI_CONFIG names no file",
        plants.config_named_but_absent,
        errors.ConfigError, USER, False, "unset it",
    ),
    (
        "configuration file that is not JSON",
        plants.config_malformed,
        errors.ConfigError, USER, False, "config check",
    ),
    (
        "configuration file that cannot be read",
        plants.config_unreadable,
        errors.ConfigError, USER, False, "permissions",
    ),
    (
        "configuration file with secrets that others can read",
        plants.config_that_others_read,
        errors.ConfigError, USER, False, "chmod 600",
    ),
    (
        "a secret given in two ways (IQM)",
        setting(IQM, QRMI_IQM_ISA_TOKEN_FILE="/some/file"),
        errors.ConfigError, USER, False, "one way",
    ),
    (
        "a secret's file that does not exist (IQM)",
        setting(IQM, QRMI_IQM_ISA_TOKEN=None, QRMI_IQM_ISA_TOKEN_FILE="/no/such/file"),
        errors.ConfigError, USER, False, "file",
    ),
    (
        "a secret's command that fails (IQM)",
        setting(IQM, QRMI_IQM_ISA_TOKEN=None, QRMI_IQM_ISA_TOKEN_COMMAND="false"),
        errors.ConfigError, USER, False, "by hand",
    ),
    (
        "default that is not among the resources",
        plants.default_unknown,
        errors.ConfigError, USER, False, "config check",
    ),
    (
        "a name that nothing has",
        plants.unknown_name,
        errors.ResourceNotFoundError, USER, False, "there is: local",
    ),
    (
        "a type that no driver is for",
        plants.unknown_type,
        errors.UnsupportedResourceTypeError, USER, False, "installed types",
    ),
    (
        "device file that does not exist (embedded simulator)",
        plants.local_device_unreadable,
        errors.ConfigError, USER, False, "config check",
    ),
    (
        "bucket that does not exist (quantum system)",
        plants.storage("NoSuchBucket"),
        errors.ConfigError, USER, False, "S3_BUCKET", "TX0000042",
    ),
    (
        "device that the account does not have (Felis)",
        lambda p: p.resource(FELIS, "QPU:NONE").target(),
        errors.ResourceNotFoundError, USER, False, "this account can use",
    ),
    (
        "device that does not exist (OQTOPUS)",
        lambda p: p.resource(OQTOPUS, "no-such-device").status(),
        errors.ResourceNotFoundError, USER, False, "qrmi resources", "given",
    ),
)  # fmt: skip

NETWORK_ROWS = _rows(
    "network",
    (
        "nobody listens (IQM)",
        plants.refused_connection,
        errors.ResourceUnavailableError, NETWORK, True, "endpoint",
    ),
    (
        "a host that no name server knows (IQM)",
        lambda p: p.resource(
            IQM, hasty=True, QRMI_IQM_ISA_ENDPOINT="http://iqm.invalid"
        ).status(),
        errors.ResourceUnavailableError, NETWORK, True, "endpoint",
    ),
    (
        "a certificate of an authority that is not trusted (IQM)",
        plants.untrusted_certificate,
        errors.ResourceUnavailableError, SITE, False, "QRMI_HTTP_CA_BUNDLE",
    ),
    (
        "a certificate that has expired (IQM)",
        plants.ended_certificate,
        errors.ResourceUnavailableError, SITE, False, "certificate",
    ),
    *(
        (
            f"{what}, through {transport} (IQM)",
            plants.proxy_answers(status, transport),
            errors.ResourceUnavailableError, owner, again, hint,
        )
        for transport in ("curl", "requests")
        for what, status, owner, again, hint in (
            ("proxy wants other credentials", 407, USER, False, "QRMI_HTTP_PROXY"),
            ("proxy does not let anyone to the service", 403, SITE, False, "ask the site"),
            ("proxy cannot reach the service", 502, NETWORK, True, "try again later"),
        )
    ),
    (
        "proxy is away (IQM)",
        plants.proxy_is_away,
        errors.ResourceUnavailableError, NETWORK, True, "prox",
    ),
    (
        "service stays silent (Felis)",
        plants.broken(FELIS, "silence"),
        errors.ResourceUnavailableError, NETWORK, True, "network",
    ),
    (
        "connection is cut before the answer (OQTOPUS)",
        plants.broken(OQTOPUS, "reset_before"),
        errors.ResourceUnavailableError, NETWORK, True, "network",
    ),
    (
        "answer is cut off half-way (compute service)",
        plants.broken(CS, "half_body"),
        errors.ResourceUnavailableError, NETWORK, True, "network",
    ),
    (
        "a request that must not be repeated, and its answer is lost (IQM)",
        plants.lost_answer,
        errors.AnswerLostError, NETWORK, False, "look on the service",
    ),
    (
        "the answer to a start is lost, on a service without keys (Warden)",
        plants.lost_start,
        errors.TaskStartUncertainError, NETWORK, False, "look",
    ),
)  # fmt: skip

SERVICE = _rows(
    "service",
    (
        "all lanes hold a task (quantum system)",
        answered(QS, 429, ibm(1232, "Lanes are full"), start, "POST /v1/jobs"),
        errors.ResourceUnavailableError, SITE, True, "qrmi tasks", "trace-4242",
    ),
    (
        "system is reserved (quantum system)",
        answered(QS, 423, ibm(1233, "Reserved"), match="GET /v1"),
        errors.ResourceUnavailableError, SITE, True, "reservation", "trace-4242",
    ),
    (
        "clocks differ (quantum system's storage)",
        plants.storage("RequestTimeTooSkewed", "too skewed"),
        errors.AccessDeniedError, SITE, False, "clock", "TX0000042",
    ),
    (
        "too many requests for two hours (IQM)",
        answered(IQM, 429, retry_after=7200),
        errors.ResourceUnavailableError, VENDOR, True, "try again in 7200 s",
    ),
    (
        "too many requests (compute service)",
        answered(CS, 429, ibm(1429, "slow down")),
        errors.ResourceUnavailableError, VENDOR, True, "ask less often", "trace-4242",
    ),
    (
        "500 (Felis)",
        answered(FELIS, 500, {"detail": "Internal Server Error"}),
        errors.ResourceUnavailableError, VENDOR, True, "try again later",
    ),
    (
        "502 of a gateway, a page (Pasqal Cloud)",
        answered(PASQAL, 502, PAGE, content_type="text/html"),
        errors.ResourceUnavailableError, VENDOR, True, "try again later",
    ),
    (
        "maintenance (IQM)",
        answered(IQM, 503, iqm("maintenance", "until noon")),
        errors.ResourceUnavailableError, VENDOR, True, "try again later", "r-1",
    ),
    (
        "maintenance with a time (OQTOPUS)",
        answered(OQTOPUS, 503, {"message": "down"}, retry_after=900),
        errors.ResourceUnavailableError, VENDOR, True, "try again in 900 s", "given",
    ),
    (
        "a page instead of an answer (compute service)",
        plants.broken(CS, "html"),
        errors.UnexpectedAnswerError, VENDOR, False, "proxy", "given",
    ),
    (
        "text that is no JSON (Felis)",
        plants.broken(FELIS, "not_json"),
        errors.UnexpectedAnswerError, VENDOR, False, "endpoint",
    ),
    (
        "an answer without its fields (IQM)",
        plants.broken(IQM, "drop_fields"),
        errors.UnexpectedAnswerError, VENDOR, False, "tell the vendor",
    ),
    (
        "a redirect to nowhere (Felis)",
        answered(FELIS, 302),
        errors.UnexpectedAnswerError, VENDOR, False, "vendor",
    ),
    (
        "no such route: an older version, or another service (Warden)",
        answered(WARDEN, 404, {"detail": "Not Found"}),
        errors.UnsupportedFunctionError, SITE, False, "QRMI_WARDEN_URL",
    ),
    (
        "no QPU slot is free (Warden)",
        answered(WARDEN, 409, {"detail": "Not enough QPU slots available"}),
        errors.ResourceUnavailableError, SITE, True, "fewer slots",
    ),
)  # fmt: skip

PROGRAMS = _rows(
    "program",
    (
        "payload of another vendor (IQM)",
        plants.program(IQM, lambda: plants.sampler("{}")),
        errors.UnsupportedPayloadError, USER, False, "it takes: iqm-server",
    ),
    (
        "payload that is not JSON",
        plants.local_program(lambda: plants.sampler("{")),
        errors.InvalidInputError, USER, False, "",
    ),
    (
        "a program id that does not exist (embedded simulator)",
        plants.local_program(lambda: plants.sampler('{"version": 2, "pubs": []}', "tea")),
        errors.UnsupportedPayloadError, USER, False, "estimator, sampler",
    ),
    (
        "a schema that is not known (embedded simulator)",
        plants.local_program(lambda: plants.sampler('{"version": 9, "pubs": []}')),
        errors.InvalidInputError, USER, False, "version of the schema",
    ),
    (
        "more qubits than the device has (compute service)",
        plants.too_many_qubits,
        errors.IsaError, USER, False, "larger device",
    ),
    (
        "more atoms than can be emulated (embedded simulator)",
        plants.too_many_atoms,
        errors.IsaError, USER, False, "fewer atoms",
    ),
    (
        "more shots than the service allows (IQM)",
        plants.program(IQM, lambda: plants._iqm_program(shots=10**9)),
        errors.InvalidInputError, USER, False, "qrmi show", "body",
    ),
    (
        "a circuit that the service refuses (IQM)",
        plants.program(IQM, lambda: plants._iqm_program(circuits=[])),
        errors.InvalidInputError, USER, False, "reason", "body",
    ),
    (
        "a field that jobs do not have (OQTOPUS)",
        plants.program(
            OQTOPUS,
            lambda: Payload.Oqtopus('{"job_type": "sampling", "program": "x", "colour": 1}'),
        ),
        errors.InvalidInputError, USER, False, "it has:",
    ),
    (
        "a program too large for the gateway (compute service)",
        answered(CS, 413, PAGE, start, "POST /api/v1/jobs", content_type="text/html"),
        errors.InvalidInputError, USER, False, "qrmi show", "given",
    ),
    (
        "a request that the service calls malformed (Pasqal Cloud)",
        answered(
            PASQAL, 422, {"message": "", "data": {"description": [{"loc": ["a"], "msg": "0"}]}},
        ),
        errors.InvalidInputError, USER, False, "reason",
    ),
    (
        "one key for two programs",
        plants.key_used_twice,
        errors.InvalidInputError, USER, False, "a key of its own",
    ),
)  # fmt: skip

TASKS = _rows(
    "task",
    (
        "failed, with the reason (IQM)",
        plants.iqm_failed,
        errors.TaskFailedError, USER, False, "task_logs",
    ),
    (
        "failed, with the reason (quantum system)",
        plants.qs_failed,
        errors.TaskFailedError, USER, False, "task_logs",
    ),
    (
        "failed, with the reason (compute service)",
        plants.cs_failed,
        errors.TaskFailedError, USER, False, "task_logs",
    ),
    (
        "failed, with the reason (embedded simulator)",
        plants.local_failed,
        errors.TaskFailedError, USER, False, "task_logs",
    ),
    (
        "was stopped (OQTOPUS)",
        plants.cancelled(OQTOPUS),
        errors.TaskCancelledError, USER, False, "start it again",
    ),
    (
        "was stopped (Felis)",
        plants.cancelled(FELIS),
        errors.TaskCancelledError, USER, False, "start it again",
    ),
    (
        "has not ended (compute service)",
        plants.not_ready(CS),
        errors.TaskNotReadyError, USER, True, "wait",
    ),
    (
        "has not ended when the time is over (OQTOPUS)",
        plants.waited_in_vain,
        errors.WaitTimeoutError, USER, True, "the task goes on",
    ),
    *(
        (
            f"no such task ({name})",
            plants.unknown_task(kind, *more),
            errors.TaskNotFoundError, USER, False, "qrmi tasks", ids,
        )
        for name, kind, ids, *more in (
            ("IQM", IQM, "body"),
            ("compute service", CS, "body"),
            ("quantum system", QS, "body"),
            ("Felis", FELIS, ""),
            ("OQTOPUS", OQTOPUS, "given"),
            ("Pasqal Cloud", PASQAL, ""),
            ("Warden", WARDEN, "", "424242"),
        )
    ),
    (
        "logs of a service that keeps none (OQTOPUS)",
        setting(OQTOPUS, lambda r: r.task_logs("x")),
        errors.UnsupportedFunctionError, USER, False, "",
    ),
)  # fmt: skip

SURROUNDINGS = _rows(
    "journal",
    (
        "state folder that cannot be made",
        plants.journal_without_permission,
        errors.JournalError, USER, False, "QRMI_STATE_DIR",
    ),
    (
        "full disk",
        plants.full_disk,
        errors.JournalError, USER, False, "space",
    ),
) + _rows(
    "scheduler",
    (
        "the site's plug-in failed: QRMI_PLUGIN_ERROR",
        plants.plugin_error,
        errors.ResourceUnavailableError, SITE, False, "job's id",
    ),
    (
        "more names of QPUs than types",
        plants.job_lists_differ,
        errors.JobListsError, SITE, False, "job's id",
    ),
    (
        "several QPUs, and none is named",
        plants.several_qpus,
        errors.ResourceNotFoundError, USER, False, "qrmi.open(name)",
    ),
    (
        "QRMIService outside a job",
        plants.no_job,
        errors.EnvVarNotSetError, USER, False, "qrmi.open(name)",
    ),
) + _rows(
    "package",
    (
        "libcurl is asked for, pycurl is not installed",
        plants.missing_pycurl,
        errors.MissingExtraError, USER, False, "openqrmi[fast]",
    ),
    (
        "botocore is not installed (quantum system)",
        plants.missing_botocore,
        errors.MissingExtraError, USER, False, "openqrmi[ibm]",
    ),
    (
        "Qiskit is not installed",
        plants.missing_qiskit,
        errors.MissingExtraError, USER, False, "openqrmi[qiskit]",
    ),
)  # fmt: skip

FAILURES: tuple[Row, ...] = tuple(
    CREDENTIALS + CONFIGURATION + NETWORK_ROWS + SERVICE + PROGRAMS + TASKS + SURROUNDINGS
)
