"""What the API server's answers mean: whether to try again, and whether somebody was quicker."""

import json

import pytest
from kubernetes.aio.client.exceptions import ApiException
from remediator.adapters.api_server import translate
from remediator.adapters.kube import (
    AlreadyExists,
    Conflict,
    Expired,
    Forbidden,
    KubeError,
    NotFound,
    Rejected,
    Unavailable,
)

QUOTA = 'Operation cannot be fulfilled on resourcequotas "records": the object has been modified'
EXCEEDED = 'flinkremediations "a" is forbidden: exceeded quota: records, requested: 1, used: 9, limited: 9'
RIGHTS = 'flinkdeployments.flink.apache.org "job" is forbidden: User "x" cannot patch resource "flinkdeployments"'
WEBHOOK = 'admission webhook "flink.example.com" denied the request: parallelism is frozen'
POLICY = "flinkdeployments \"job\" is forbidden: ValidatingAdmissionPolicy 'freeze' with binding 'b' denied request: no"
TEST_FAILED = "the server rejected our request due to an error in our request"
UNREACHED = 'Internal error occurred: failed calling webhook "flink.example.com": connection refused'


@pytest.mark.parametrize(
    ("code", "reason", "message", "meaning"),
    [
        (409, "AlreadyExists", 'flinkremediations "a" already exists', AlreadyExists),
        (409, "Conflict", QUOTA, Conflict),
        (409, "", "object is being deleted", Conflict),
        (422, "Invalid", TEST_FAILED, Conflict),
        (422, "Invalid", "spec.job.parallelism: Invalid value", Rejected),
        (400, "BadRequest", "unknown field", Rejected),
        (413, "RequestEntityTooLarge", "limit is 3145728", Rejected),
        (403, "Forbidden", WEBHOOK, Rejected),
        (409, "Conflict", WEBHOOK, Rejected),
        (429, "TooManyRequests", WEBHOOK, Rejected),
        (403, "Forbidden", POLICY, Rejected),
        (422, "Invalid", POLICY, Rejected),
        (403, "Forbidden", RIGHTS, Forbidden),
        (403, "Forbidden", EXCEEDED, Forbidden),
        (401, "Unauthorized", "Unauthorized", Unavailable),
        (408, "Timeout", "", Unavailable),
        (429, "TooManyRequests", "please try again later", Unavailable),
        (500, "InternalError", UNREACHED, Unavailable),
        (503, "ServiceUnavailable", "apiserver is shutting down", Unavailable),
        (504, "Timeout", "", Unavailable),
        (410, "Expired", "too old resource version: 1 (7)", Expired),
        (404, "NotFound", 'flinkdeployments "job" not found', NotFound),
    ],
)
def test_an_answer_means(code: int, reason: str, message: str, meaning: type[KubeError]) -> None:
    assert (
        type(translate(_answer(code, json.dumps({"kind": "Status", "reason": reason, "message": message})))) is meaning
    )


@pytest.mark.parametrize("body", ["<html>forbidden by the proxy</html>", "", "[]", "null"])
def test_what_is_no_status_says_nothing_about_the_content(body: str) -> None:
    assert type(translate(_answer(403, body))) is Forbidden
    assert type(translate(_answer(409, body))) is Conflict


def _answer(code: int, body: str) -> ApiException:
    error = ApiException(status=code, reason="reason")
    error.body = body
    return error
