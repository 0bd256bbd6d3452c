/// <reference lib="deno.worker" />
/**
 * A Worker that opens slow connections. A third of them send nothing, a third an unfinished head,
 * and a third an unfinished body; the last two kinds send a byte now and then. Connections that the
 * server closes are opened again.
 */

/** The message of `slow_clients.ts`: the port and the number of connections; 0 closes all. */
export interface OpenConnections {
  port: number;
  connections: number;
}

/** Milliseconds between a connection's bytes. */
const DRIP_MS = 2000;
/** Connections that are opened concurrently. */
const BATCH = 100;

const HEAD = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n";
const KINDS = [
  { first: "", drip: "" },
  { first: HEAD, drip: "X-Slow: 1\r\n" },
  { first: `${HEAD}Content-Length: 4096\r\n\r\n{`, drip: " " },
];

const encoder = new TextEncoder();
let generation = 0;
const open = new Set<Deno.Conn>();

self.onmessage = async ({ data }: MessageEvent<OpenConnections>) => {
  const ownGeneration = ++generation;
  for (const connection of open) close(connection);
  for (let first = 0; first < data.connections; first += BATCH) {
    const count = Math.min(BATCH, data.connections - first);
    const opened = Array.from(
      { length: count },
      (_, i) => keepOpen(data.port, first + i, ownGeneration),
    );
    await Promise.all(opened);
  }
  self.postMessage(open.size);
};

async function keepOpen(port: number, i: number, ownGeneration: number): Promise<void> {
  const { first, drip } = KINDS[i % KINDS.length];
  const connection = await Deno.connect({ hostname: "127.0.0.1", port });
  open.add(connection);
  const timer = setInterval(() => send(connection, drip), DRIP_MS);
  await send(connection, first);
  void untilClosed(connection).then(() => {
    clearInterval(timer);
    close(connection);
    if (ownGeneration === generation) void keepOpen(port, i, ownGeneration);
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
    // Closed by either side.
  }
}

function close(connection: Deno.Conn): void {
  if (!open.delete(connection)) return;
  try {
    connection.close();
  } catch {
    // Already closed by the other side.
  }
}
