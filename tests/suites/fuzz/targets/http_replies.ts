/** HTTP responses as bytes, so that they can be damaged. */

/** Encodes a response as text: status, headers, an empty line, the body. */
export function reply(status: number, headers: Record<string, string>, body: string): Uint8Array {
  const head = Object.entries(headers).map(([name, value]) => `${name}: ${value}\n`).join("");
  return new TextEncoder().encode(`${status}\n${head}\n${body}`);
}

/** Decodes a response as far as HTTP allows. */
export function responseOf(bytes: Uint8Array<ArrayBuffer>): Response {
  const end = indexOfBlank(bytes);
  const [first = "", ...lines] = new TextDecoder("latin1").decode(bytes.subarray(0, end)).split(
    "\n",
  );
  const status = Number(first);
  const headers = new Headers();
  for (const line of lines) {
    const at = line.indexOf(":");
    try {
      headers.append(line.slice(0, at), line.slice(at + 1));
    } catch {
      // Not a header that a server could send.
    }
  }
  const valid = Number.isInteger(status) && status >= 200 && status <= 599;
  const empty = [204, 205, 304].includes(status);
  return new Response(empty ? null : bytes.slice(end + 2), {
    status: valid ? status : 200,
    headers,
  });
}

function indexOfBlank(bytes: Uint8Array): number {
  for (let at = 0; at + 1 < bytes.length; at++) {
    if (bytes[at] === 0x0a && bytes[at + 1] === 0x0a) return at;
  }
  return bytes.length;
}
