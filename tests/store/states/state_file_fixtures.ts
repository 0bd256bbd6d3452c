/** Helpers that split and rebuild state files. */

/** Yields bytes in chunks, as a network stream does. */
export async function* chunked(bytes: Uint8Array, size = 65_536): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
  await Promise.resolve();
}

export function concat(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Returns the parsed header of a file and its parts. */
export function partsOf(bytes: Uint8Array) {
  const end = 48 + new DataView(bytes.buffer, bytes.byteOffset).getUint32(12, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(48, end)));
  const turn = bytes.subarray(end, end + header.turn.bytes);
  const rest = bytes.subarray(end + header.turn.bytes);
  const historyBytes = header.history?.bytes ?? 0;
  return {
    header,
    turn,
    history: rest.subarray(0, historyBytes),
    state: rest.subarray(historyBytes),
  };
}

/** Returns the file with a changed header and a valid checksum. `change` edits the header or returns text. */
export async function reseal(
  bytes: Uint8Array,
  // deno-lint-ignore no-explicit-any
  change: (header: any) => unknown,
): Promise<Uint8Array<ArrayBuffer>> {
  const { header, turn, history, state } = partsOf(bytes);
  const text = change(header);
  const json = typeof text === "string" ? text : JSON.stringify(header);
  return await assemble(json, [turn, history, state]);
}

/** Returns the file with another turn, history or state and valid checksums. */
export async function replace(
  bytes: Uint8Array,
  parts: { turn?: Uint8Array; history?: Uint8Array; state?: Uint8Array },
): Promise<Uint8Array<ArrayBuffer>> {
  const { header, ...old } = partsOf(bytes);
  const { turn, history, state } = { ...old, ...parts };
  header.turn = { bytes: turn.length, sha256: await sha256(turn) };
  if (history.length > 0) header.history = { bytes: history.length, sha256: await sha256(history) };
  if (header.state !== null) header.state = { bytes: state.length, sha256: await sha256(state) };
  return await assemble(JSON.stringify(header), [turn, history, state]);
}

async function assemble(header: string, parts: Uint8Array[]): Promise<Uint8Array<ArrayBuffer>> {
  const json = new TextEncoder().encode(header);
  const prefix = new Uint8Array(16);
  prefix.set(new TextEncoder().encode("RWKVSTAT"));
  prefix[8] = 1;
  new DataView(prefix.buffer).setUint32(12, json.length, true);
  return concat([prefix, Uint8Array.fromHex(await sha256(json)), json, ...parts]);
}

async function sha256(bytes: Uint8Array): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", bytes as Uint8Array<ArrayBuffer>);
  return new Uint8Array(digest).toHex();
}
