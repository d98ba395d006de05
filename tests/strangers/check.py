"""Checks access tokens as any Python service would: with PyJWT, by the key set that the server serves.

Reads one JSON object a line, {"token", "audience"}, and answers one a line: {"claims"} or {"refused"}.
"""

import json
import sys

import jwt

issuer, key_set, _ = sys.argv[1:]
# A test does not wait half a minute between two looks at the keys.
keys = jwt.PyJWKClient(key_set, cooldown_duration=0)

for line in sys.stdin:
    asked = json.loads(line)
    try:
        key = keys.get_signing_key_from_jwt(asked["token"])
        claims = jwt.decode(
            asked["token"],
            key,
            algorithms=["EdDSA"],
            audience=asked["audience"],
            issuer=issuer,
            options={"require": ["exp", "iat", "iss", "sub", "aud", "jti"]},
        )
        answer = {"claims": claims}
    except jwt.PyJWTError as error:
        answer = {"refused": type(error).__name__}
    print(json.dumps(answer), flush=True)
