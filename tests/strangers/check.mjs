// Checks access tokens as any Node service would: with jose, by the key set that the server serves.
// Reads one JSON object a line, {"token", "audience"}, and answers one a line: {"claims"} or {"refused"}.

import { createInterface } from "node:readline";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [issuer, keySet, libraries] = process.argv.slice(2);
const require = createRequire(pathToFileURL(`${libraries}/node/`));
const { createRemoteJWKSet, jwtVerify } = await import(pathToFileURL(require.resolve("jose")));

// A test does not wait half a minute between two looks at the keys.
const keys = createRemoteJWKSet(new URL(keySet), { cooldownDuration: 0 });

for await (const line of createInterface({ input: process.stdin })) {
  const { token, audience } = JSON.parse(line);
  let answer;
  try {
    const options = { issuer, audience, algorithms: ["EdDSA"], requiredClaims: ["exp", "iat", "sub", "jti"] };
    answer = { claims: (await jwtVerify(token, keys, options)).payload };
  } catch (error) {
    answer = { refused: error.code ?? String(error) };
  }
  console.log(JSON.stringify(answer));
}
