/// <reference lib="deno.worker" />
/**
 * A Worker that holds connections on which next to nothing comes: a third of them send nothing, a
 * third a head that does not end, a third a body that does not, all but the first a byte now and then.
 * Those that are closed are opened again.
 */

/** What `slow_clients.ts` sends: where to, and how many; none closes them. */
export interface OpenConnections {
  port: number;
  connections: number;
}

/** Milliseconds between a connection's bytes. */
const DRIP_MS = 2000;
/** Connections that are opened at once. */
const BATCH = 100;

const HEAD = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n";
const KINDS = [
  { first: "", drip: "" },
  { first: HEAD, drip: "X-Slow: 1\r\n" },
  { first: `${HEAD}Content-Length: 4096\r\n\r\n{`, drip: " " },
];

const encoder = new TextEncoder();
let generation = 0;
const held = new Set<Deno.Conn>();

self.onmessage = async ({ data }: MessageEvent<OpenConnections>) => {
  const own = ++generation;
  for (const connection of held) close(connection);
  for (let first = 0; first < data.connections; first += BATCH) {
    const count = Math.min(BATCH, data.connections - first);
    const opened = Array.from({ length: count }, (_, i) => hold(data.port, first + i, own));
    await Promise.all(opened);
  }
  self.postMessage(held.size);
};

async function hold(port: number, i: number, own: number): Promise<void> {
  const { first, drip } = KINDS[i % KINDS.length];
  const connection = await Deno.connect({ hostname: "127.0.0.1", port });
  held.add(connection);
  const timer = setInterval(() => send(connection, drip), DRIP_MS);
  await send(connection, first);
  void untilClosed(connection).then(() => {
    clearInterval(timer);
    close(connection);
    if (own === generation) void hold(port, i, own);
  });
}

async function send(connection: Deno.Conn, text: string): Promise<void> {
  if (text !== "") await connection.write(encoder.encode(text)).catch(() => {});
}

async function untilClosed(connection: Deno.Conn): Promise<void> {
  const buffer = new Uint8Array(1024);
  try {
    while (await connection.read(buffer) !== null);
  } catch {
    // Closed, by either side.
  }
}

function close(connection: Deno.Conn): void {
  if (!held.delete(connection)) return;
  try {
    connection.close();
  } catch {
    // By the other side, before.
  }
}
