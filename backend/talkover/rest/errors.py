"""Errors of the REST endpoints in OpenAI's shape, so that stock clients raise what they document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response


class ApiError(Exception):
    """A refusal or failure the client is told about.

    `param` names the key at fault, `code` is a word for programs. Status 500 and above is the server's fault.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        self.code = code
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}

    def response(self) -> JSONResponse:
        return JSONResponse(self.body(), self.status, headers=self.headers)


def busy(what: str, retry_after_s: int) -> ApiError:
    """Every place is taken: 503, with the time after which another try may succeed."""
    return ApiError(
        503, f"All {what} are in use; try again.", code="server_busy", headers={"Retry-After": str(retry_after_s)}
    )


def install_error_handlers(app: FastAPI) -> None:
    """Answer every error of `app`, also those of the framework, in this one shape."""

    async def api_error(_request: Request, error: Exception) -> Response:
        assert isinstance(error, ApiError)
        return error.response()

    async def invalid_request(_request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return _validation_error(error.errors()).response()

    async def http_error(_request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code)
        return ApiError(error.status_code, str(error.detail), code=code, headers=error.headers).response()

    async def internal_error(_request: Request, _error: Exception) -> Response:
        # The server logs the traceback; the client learns nothing of it.
        return ApiError(500, "The server made a mistake; it has been logged.", code="internal_error").response()

    app.add_exception_handler(ApiError, api_error)
    app.add_exception_handler(RequestValidationError, invalid_request)
    app.add_exception_handler(HTTPException, http_error)
    app.add_exception_handler(Exception, internal_error)


def _validation_error(problems: Any) -> ApiError:
    """400 naming every key at fault; `param` is the first one."""
    lines: list[str] = []
    keys: list[str] = []
    for problem in problems:
        # The location begins with where the value was looked for (body, query), which is not part of the key.
        key = ".".join(str(part) for part in problem["loc"][1:])
        keys.append(key)
        if problem["type"] == "json_invalid":
            lines.append("the body is not valid JSON")
        elif problem["type"] == "missing":
            lines.append(f"{key or 'the body'} is required")
        else:
            lines.append(f"{key or 'the body'}: {_sentence(problem)}")
    code = "missing_required_parameter" if problems[0]["type"] == "missing" else "invalid_value"
    return ApiError(400, "; ".join(lines), param=keys[0] or None, code=code)


def _sentence(problem: Any) -> str:
    text = str(problem["msg"]).removeprefix("Value error, ")
    given = problem.get("input")
    shown = repr(given) if isinstance(given, str | int | float | bool) and len(repr(given)) <= 80 else None
    return text if shown is None else f"{text}, got {shown}"
