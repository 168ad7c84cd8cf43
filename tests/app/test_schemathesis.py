"""Whatever /openapi.json allows to be sent, and much that it forbids, is answered as it says: never with a 5xx."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.stateful import run_state_machine_as_test
from schemathesis import BaseSchema, Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from app import create_app
from app.settings import Settings
from tests.app.pictures import noise
from tests.app.process import running

KEY = "a key of sixteen and more".replace(" ", "-")
HEADERS = {"Authorization": f"Bearer {KEY}"}

# Not those that hold a schema to more than it can say: that a text is base64, or that one of two fields is given.
CHECKS: list[Any] = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.allow_header_conformance,
    checks.unsupported_method,
    checks.ignored_auth,
    checks.use_after_free,
    checks.ensure_resource_availability,
]


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BaseSchema]:
    """Of a service that asks for a key, and has some pictures."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PARALLAX_API_KEYS", KEY)
        with running(tmp_path_factory.mktemp("data")) as (service, client):
            service.wait_for("ready")
            for number in range(5):
                files, fields = {"file": noise(number)}, {"id": str(number), "metadata": '{"year": 2020}'}
                assert client.post("/v1/images", files=files, data=fields, headers=HEADERS).status_code == 201
            yield schemathesis.openapi.from_url(str(client.base_url.join("/openapi.json")))
            assert service.process.poll() is None
            assert client.get("/readyz").status_code == 200


def operations() -> Iterator[tuple[str, str, GenerationMode]]:
    """Every operation there is, with what its description allows, and what it forbids if it takes anything at all."""
    for path, item in create_app(Settings()).openapi()["paths"].items():
        for method, operation in item.items():
            yield path, method, GenerationMode.POSITIVE
            if operation.keys() & {"parameters", "requestBody"}:
                yield path, method, GenerationMode.NEGATIVE


@pytest.mark.parametrize("examples", [10, pytest.param(200, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("path", "method", "mode"), list(operations()))
def test_every_operation_answers_as_its_description_says(
    schema: BaseSchema, path: str, method: str, mode: GenerationMode, examples: int
) -> None:
    @given(schema[path][method].as_strategy(generation_mode=mode))
    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    def ask(case: Case) -> None:
        case.call_and_validate(headers=HEADERS, checks=CHECKS)

    ask()


@pytest.mark.parametrize("examples", [20, pytest.param(300, marks=pytest.mark.slow)])
def test_operations_one_after_another_answer_as_their_description_says(schema: BaseSchema, examples: int) -> None:
    """A picture that one request adds is read, changed and deleted by the next."""

    class Sequence(schema.as_state_machine()):  # type: ignore[misc]
        def setup(self) -> None:
            """Each sequence begins with the same gallery, so that Hypothesis finds it as it was."""
            with httpx.Client(base_url=schema.get_base_url(), headers=HEADERS, timeout=60, trust_env=False) as client:
                while images := client.get("/v1/images").json()["images"]:
                    for image in images:
                        assert client.delete(f"/v1/images/{image['id']}").status_code == 204
                for number in range(3):
                    assert client.put(f"/v1/images/{number}", files={"file": noise(number)}).status_code == 201

        def get_call_kwargs(self, case: Case) -> dict[str, Any]:
            return {"headers": HEADERS}

        def validate_response(self, response: httpx.Response, case: Case, **options: Any) -> None:
            case.validate_response(response, checks=CHECKS, headers=HEADERS)

    run_state_machine_as_test(
        Sequence,
        settings=settings(
            max_examples=examples, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
