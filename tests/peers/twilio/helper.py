"""What PyPI twilio makes of a token, for test.mjs: one JSON request on stdin, one JSON answer on stdout."""
import json
import sys

import twilio
from twilio.jwt import JwtDecodeError
from twilio.jwt.access_token import AccessToken
from twilio.jwt.access_token.grants import ChatGrant


def decode(request):
    """The library's own check of signature, `exp` and `nbf`."""
    try:
        token = AccessToken.from_jwt(request["token"], request["secret"])
    except JwtDecodeError as error:
        return {"refused": str(error)}
    return {"header": token.headers, "payload": token.payload}


def write(request):
    """The token that this library would have made of the same facts."""
    options = {"nbf": None} if request.get("no_nbf") else {}
    token = AccessToken(
        request["account"], request["key"], request["secret"],
        identity=request["identity"], ttl=request["ttl"], region=request.get("region"), **options,
    )
    grant = request["chat"]
    token.add_grant(ChatGrant(
        service_sid=grant["service_sid"],
        push_credential_sid=grant.get("push_credential_sid"),
        deployment_role_sid=grant.get("deployment_role_sid"),
    ))
    return decode({"token": token.to_jwt(), "secret": request["secret"]})


request = json.load(sys.stdin)
answer = {"decode": decode, "write": write}[request["do"]](request)
json.dump({"version": twilio.__version__, **answer}, sys.stdout)
