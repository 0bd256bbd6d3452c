/** What the failures of Deno's KV Connect client mean. They have texts and no codes. */

export interface Explanation {
  /** What is wrong, and the remedy. */
  text: string;
  /** Whether it stays so until somebody changes a setting. */
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
    text: "it refuses the access token; set DENO_KV_ACCESS_TOKEN to the one it was started with",
    permanent: true,
  },
  {
    failure: /KV Connect (endpoint|metadata version)|status[ =][1-4]\d\d\b|parse metadata/,
    text: "what answers there is no KV Connect server; give the URL of a denokv server",
    permanent: true,
  },
  {
    failure: /invalid (database )?url/i,
    text: "it is no URL; give one such as http://127.0.0.1:4512",
    permanent: true,
  },
  {
    failure: /failed to connect|timed out|sending request|status[ =]5\d\d\b/,
    text: "no answer; see that a denokv server runs there",
    permanent: false,
  },
];

/** @param failure what `Deno.openKv(url)` or an operation rejected with */
export function explainConnectError(failure: unknown): Explanation {
  const message = failure instanceof Error ? failure.message : String(failure);
  const reason = message.replace(/^Could not open Deno KV database: /, "");
  const meaning = MEANINGS.find((meaning) => meaning.failure.test(reason));
  if (meaning === undefined) return { text: reason, permanent: false };
  return { text: `${meaning.text} (${reason})`, permanent: meaning.permanent };
}
