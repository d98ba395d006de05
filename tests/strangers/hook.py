"""Verifies webhooks as any Python service would: with standardwebhooks.

Reads one JSON object a line, {"secret", "headers", "body"}, and answers one a line: {"event"} or {"refused"}.
"""

import json
import sys

from standardwebhooks.webhooks import Webhook

for line in sys.stdin:
    asked = json.loads(line)
    try:
        answer = {"event": Webhook(asked["secret"]).verify(asked["body"], asked["headers"])}
    except Exception as error:
        answer = {"refused": type(error).__name__}
    print(json.dumps(answer), flush=True)
