"""Settings of an IBM Quantum System."""

from __future__ import annotations

import attrs

from qrmi.references import service_url
from qrmi.settings import EnvironmentSource, Secret, setting
from qrmi.transport import HttpSettings

__all__ = ["QuantumSystemSettings"]


def _seconds(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise ValueError("expected a whole number of seconds, 1 or more")
    return value


@attrs.frozen(kw_only=True)
class QuantumSystemSettings(HttpSettings):
    """What a resource of type ``ibm-quantum-system`` is told; the keys are upstream's.

    The storage settings and the time limit are needed only by those verbs that use them.

    Attributes:
        endpoint: base address of the Quantum System API; its paths begin with ``/v1``.
        iam_endpoint: base address of the identity service.
        iam_apikey: the API key that is exchanged for tokens.
        service_crn: the service instance.
        aws_access_key_id: of the S3-compatible storage.
        aws_secret_access_key: of the S3-compatible storage.
        s3_endpoint: where this side reaches the storage.
        s3_bucket: where inputs, results and logs are.
        s3_region: the storage's region.
        s3_endpoint_for_qsapi: where the service reaches the storage; ``None`` for the same place.
        timeout_seconds: the longest execution of a task, and how long the service may use the
            storage for it; 4294967295 for no limit.
    """

    endpoint: str = setting(
        "QRMI_IBM_QS_ENDPOINT", convert=service_url, help="Base URL of the Quantum System API."
    )
    iam_endpoint: str = setting(
        "QRMI_IBM_QS_IAM_ENDPOINT",
        convert=service_url,
        help="Base URL of IBM Cloud IAM, such as https://iam.cloud.ibm.com.",
    )
    iam_apikey: Secret = setting(
        "QRMI_IBM_QS_IAM_APIKEY", convert=Secret, help="API key of IBM Cloud IAM."
    )
    service_crn: str = setting(
        "QRMI_IBM_QS_SERVICE_CRN", help="The service instance: a CRN that begins with crn:v1:."
    )
    aws_access_key_id: Secret | None = setting(
        "QRMI_IBM_QS_AWS_ACCESS_KEY_ID",
        default=None,
        convert=Secret,
        help="Access key id of the S3-compatible storage.",
    )
    aws_secret_access_key: Secret | None = setting(
        "QRMI_IBM_QS_AWS_SECRET_ACCESS_KEY",
        default=None,
        convert=Secret,
        help="Secret access key of the S3-compatible storage.",
    )
    s3_endpoint: str | None = setting(
        "QRMI_IBM_QS_S3_ENDPOINT",
        default=None,
        convert=service_url,
        help="URL of the S3-compatible storage.",
    )
    s3_bucket: str | None = setting(
        "QRMI_IBM_QS_S3_BUCKET", default=None, help="Bucket for inputs, results and logs."
    )
    s3_region: str | None = setting(
        "QRMI_IBM_QS_S3_REGION", default=None, help="Region of the bucket, such as us-east."
    )
    s3_endpoint_for_qsapi: str | None = setting(
        "QRMI_IBM_QS_S3_ENDPOINT_FOR_QSAPI",
        default=None,
        convert=service_url,
        help="URL under which the service reaches the storage, where it is not the same.",
    )
    timeout_seconds: int | None = setting(
        "QRMI_JOB_TIMEOUT_SECONDS",
        default=None,
        convert=_seconds,
        help="Longest execution of a task in seconds; the service can store results for as long, "
        "seven days at most. 4294967295 for no limit.",
    )

    def must_have(self, resource_id: str, *attributes: str) -> None:
        """Make sure that settings are given which not every verb needs.

        Raises:
            EnvVarNotSetError: one is not; the message names the variable, the hint the file's key
                and the command that checks them.
        """
        for attribute in attributes:
            if getattr(self, attribute) is None:
                source = EnvironmentSource(prefix=resource_id, environ={})
                raise source.missing(self.declarations()[attribute])
