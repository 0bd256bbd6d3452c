/** Explains failures of Deno's KV Connect client, which have messages but no codes. */

export interface Explanation {
  /** The problem and its remedy. */
  text: string;
  /** Whether it persists until a setting is changed. */
  permanent: boolean;
}

const MEANINGS: readonly { failure: RegExp; text: string; permanent: boolean }[] = [
  {
    failure: /Missing DENO_KV_ACCESS_TOKEN/,
    text: "DENO_KV_ACCESS_TOKEN is not set; set it to the access token of the server",
    permanent: true,
  },
  {
    failure: /status[ =]40[13]\b|access token/i,
    text:
      "the server rejects the access token; set DENO_KV_ACCESS_TOKEN to the token of the server",
    permanent: true,
  },
  {
    failure: /KV Connect (endpoint|metadata version)|status[ =][1-4]\d\d\b|parse metadata/,
    text: "the server does not speak KV Connect; use the URL of a denokv server",
    permanent: true,
  },
  {
    failure: /invalid (database )?url/i,
    text: "the URL is invalid; use a URL such as http://127.0.0.1:4512",
    permanent: true,
  },
  {
    failure: /failed to connect|timed out|sending request|status[ =]5\d\d\b/,
    text: "no response; check that a denokv server is running there",
    permanent: false,
  },
];

/** @param failure The rejection of `Deno.openKv(url)` or of an operation. */
export function explainConnectError(failure: unknown): Explanation {
  const message = failure instanceof Error ? failure.message : String(failure);
  const reason = message.replace(/^Could not open Deno KV database: /, "");
  const meaning = MEANINGS.find((meaning) => meaning.failure.test(reason));
  if (meaning === undefined) return { text: reason, permanent: false };
  return { text: `${meaning.text} (${reason})`, permanent: meaning.permanent };
}
