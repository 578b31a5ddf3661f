"""Routes of accounts and sessions."""

from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field

from inspector.serve.accounts import LONGEST_NAME, LONGEST_PASSWORD, Account, Role
from inspector.serve.audit import newest
from inspector.serve.page import Name, Whole, of
from inspector.serve.problems import Problem
from inspector.serve.security import COOKIE, account_of, needs

router = APIRouter(prefix="/api")

COOKIE_S: Final = 30 * 86_400
"""How long a browser keeps the cookie; the session behind it ends after hours without a request."""

Admin = Annotated[Account, Depends(needs(Role.ADMIN))]


class Login(BaseModel):
    """Name and password."""

    name: Annotated[Name, Field(max_length=LONGEST_NAME)]
    password: Annotated[str, Field(max_length=LONGEST_PASSWORD)]


class NewAccount(Login):
    """An account to make."""

    role: Role


@router.get("/session")
def session(request: Request) -> dict[str, Any]:
    """Return the account of the request; `login` says whether a login is needed."""
    account = account_of(request)
    if account is None:
        return {"login": True, "name": None, "role": None}
    return {"login": False, "name": account.name or None, "role": account.role}


@router.post("/session")
def log_in(login: Login, request: Request, response: Response) -> dict[str, Any]:
    """Log in; the answer sets the session's cookie."""
    page = of(request)
    address = request.client.host if request.client else ""
    keys = (f"name {login.name}", f"address {address}")
    wait_s = page.attempts.begin(*keys)
    if wait_s:
        raise Problem(
            HTTPStatus.TOO_MANY_REQUESTS,
            f"too many wrong passwords: try again in {wait_s:.0f} s",
            {"Retry-After": f"{wait_s:.0f}"},
        )
    token = page.accounts.log_in(login.name, login.password)
    if token is None:
        raise Problem(HTTPStatus.UNAUTHORIZED, "wrong name or password")
    page.attempts.succeeded(*keys)
    response.set_cookie(
        COOKIE, token, max_age=COOKIE_S, httponly=True, samesite="strict", secure=request.url.scheme == "https"
    )
    account = page.accounts.of_session(token)
    return {"login": False, "name": login.name, "role": account.role if account else None}


@router.delete("/session")
def log_out(request: Request, response: Response) -> dict[str, bool]:
    """End the session."""
    token = request.cookies.get(COOKIE)
    if token:
        of(request).accounts.log_out(token)
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return {"login": True}


@router.get("/accounts")
def accounts(request: Request, _: Admin) -> list[dict[str, str]]:
    """Return all accounts."""
    return [{"name": each.name, "role": each.role} for each in of(request).accounts.all()]


@router.post("/accounts", status_code=HTTPStatus.CREATED)
def add_account(new: NewAccount, request: Request, admin: Admin) -> dict[str, str]:
    """Make an account."""
    of(request).accounts.add(new.name, new.role, new.password, admin.name)
    return {"name": new.name, "role": new.role}


@router.delete("/accounts/{name:path}")
def remove_account(name: Name, request: Request, admin: Admin) -> dict[str, str]:
    """Remove an account and end its sessions."""
    if name == admin.name:
        raise Problem(HTTPStatus.CONFLICT, "you cannot remove your own account")
    of(request).accounts.remove(name, admin.name)
    return {"name": name}


@router.get("/audit")
def audit(request: Request, _: Admin, count: Annotated[Whole, Field(le=1000)] = 200) -> list[dict[str, Any]]:
    """Return the newest entries of the audit."""
    return newest(of(request).store, count)
