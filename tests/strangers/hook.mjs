// Verifies webhooks as any Node service would: with standardwebhooks.
// Reads one JSON object a line, {"secret", "headers", "body"}, and answers one a line: {"event"} or {"refused"}.

import { createInterface } from "node:readline";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [libraries] = process.argv.slice(2);
const require = createRequire(pathToFileURL(`${libraries}/node/`));
const { Webhook } = require("standardwebhooks");

for await (const line of createInterface({ input: process.stdin })) {
  const { secret, headers, body } = JSON.parse(line);
  let answer;
  try {
    answer = { event: new Webhook(secret).verify(body, headers) };
  } catch (error) {
    answer = { refused: String(error) };
  }
  console.log(JSON.stringify(answer));
}
