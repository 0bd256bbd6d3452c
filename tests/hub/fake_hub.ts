/**
 * A fake hub on the loopback interface. It implements what downloads use: paginated listings, ranges,
 * entity tags and error codes. Large files redirect to a second origin with `x-linked-*` headers.
 * Tests inject faults into the next requests for a file.
 */

import { createHash } from "node:crypto";

/** A file's bytes, read by offset. */
export interface Content {
  size: number;
  slice(start: number, end: number): Uint8Array<ArrayBuffer>;
}

export interface FakeFile {
  content: Content;
  /** Whether requests redirect to the CDN origin. The name decides by default. */
  large?: boolean;
  /** A wrong hash to report. */
  hash?: string;
  /** Ignores range requests. */
  noRanges?: boolean;
}

/** A fault of one request for a file's bytes. */
export interface Fault {
  /** Closes the connection after this many bytes. */
  disconnectAfter?: number;
  /** Sends nothing more after this many bytes, but keeps the connection open. */
  stallAfter?: number;
  /** Pauses after this many bytes until `resumeWhen`. */
  pauseAfter?: number;
  resumeWhen?: Promise<void>;
  status?: number;
  headers?: HeadersInit;
}

export interface RecordedRequest {
  origin: "hub" | "cdn";
  path: string;
  range: string | null;
  authorization: string | null;
}

type Repo = Record<string, FakeFile | Uint8Array<ArrayBuffer>>;

const CHUNK = 64 * 1024;

export class FakeHub {
  readonly repos = new Map<string, Map<string, FakeFile>>();
  /** All requests received so far. */
  readonly requests: RecordedRequest[] = [];
  /** Bytes sent by path, without metadata requests. */
  readonly bytesServed = new Map<string, number>();
  /** Pending faults by path, of the hub's origin and of file bytes. Each applies once. */
  readonly hubFaults = new Map<string, Fault[]>();
  readonly faults = new Map<string, Fault[]>();
  /** The token that repositories under `gated/` and `private/` require. */
  token = "hf_secret";
  /** Files per listing page. */
  pageSize = 3;
  readonly #hub: Deno.HttpServer<Deno.NetAddr>;
  readonly #cdn: Deno.HttpServer<Deno.NetAddr>;
  readonly #waiting: { path: string; bytes: number; resolve: () => void }[] = [];
  readonly #hashes = new Map<Content, { sha256: string; git: string }>();

  constructor(repos: Record<string, Repo>) {
    for (const [name, files] of Object.entries(repos)) this.add(name, files);
    const serve = (handler: (request: Request) => Response) =>
      Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {}, onError }, handler);
    this.#hub = serve((request) => this.#handleHub(request));
    this.#cdn = serve((request) => this.#handleCdn(request));
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.#hub.addr.port}`;
  }

  add(name: string, files: Repo): void {
    const repo = this.repos.get(name) ?? new Map<string, FakeFile>();
    for (const [path, file] of Object.entries(files)) {
      repo.set(path, file instanceof Uint8Array ? { content: contentOf(file) } : file);
    }
    this.repos.set(name, repo);
  }

  /** Resolves when this many bytes of a file have been sent. */
  waitForBytes(path: string, bytes: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push({ path, bytes, resolve });
    this.#notifyWaiting();
    return promise;
  }

  /** Pauses the next response with a file's bytes after this many; the result resumes it. */
  pauseNext(
    path: string,
    bytes: number,
    { disconnect = false }: { disconnect?: boolean } = {},
  ): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#stalled.push({ resolve });
    const fault: Fault = { pauseAfter: bytes, resumeWhen: promise };
    this.faults.set(path, [disconnect ? { ...fault, disconnectAfter: bytes } : fault]);
    return resolve;
  }

  /** Returns the CDN's requests for a file. */
  fetches(path: string): RecordedRequest[] {
    return this.requests.filter((request) =>
      request.origin === "cdn" && request.path.endsWith(path)
    );
  }

  async close(): Promise<void> {
    // Stalled streams would block the shutdown.
    for (const { resolve } of this.#stalled) resolve();
    await Promise.all([this.#hub.shutdown(), this.#cdn.shutdown()]);
  }

  readonly #stalled: { resolve: () => void }[] = [];

  #handleHub(request: Request): Response {
    const url = new URL(request.url);
    const { headers } = request;
    const path = decodeURIComponent(url.pathname);
    const authorization = headers.get("authorization");
    this.requests.push({ origin: "hub", path, range: headers.get("range"), authorization });
    const fault = this.hubFaults.get(path)?.shift();
    if (fault) {
      return new Response("fault", { status: fault.status!, headers: fault.headers ?? {} });
    }
    const [, repo, rest] = path.match(/^(?:\/api\/models)?\/([^/]+\/[^/]+)\/(.*)$/) ?? [];
    const files = this.repos.get(repo);
    if (authorization !== null && authorization !== `Bearer ${this.token}`) {
      return refusal(401, null, "Invalid credentials in Authorization header");
    }
    // Like the real hub: an inaccessible repository returns 404, or 401 without a token.
    if (!files || (repo.startsWith("private/") && !authorization)) {
      return refusal(authorization ? 404 : 401, "RepoNotFound", "Repository not found");
    }
    if (path.startsWith("/api/")) return this.#listing(url, files);
    if (repo.startsWith("gated/") && !authorization) {
      return refusal(401, "GatedRepo", "Access to this model is restricted");
    }
    if (repo.startsWith("gated/no-access")) {
      return refusal(403, "GatedRepo", "Access to this model is restricted");
    }
    const name = rest.replace(/^resolve\/main\//, "");
    const file = files.get(name);
    if (!file) return refusal(404, "EntryNotFound", "Entry not found");
    return this.#resolve(request, { repo, name, file });
  }

  #listing(url: URL, files: Map<string, FakeFile>): Response {
    const start = Number(url.searchParams.get("cursor") ?? 0);
    const all = [...files].map(([path, file]) => {
      const { size } = file.content;
      const { sha256, git } = this.#hash(file);
      const lfs = { oid: sha256, size, pointerSize: 134 };
      return { type: "file", path, size, oid: git, ...isLarge(path, file) ? { lfs } : {} };
    });
    const page = all.slice(start, start + this.pageSize);
    const more = start + page.length < all.length;
    url.searchParams.set("cursor", `${start + page.length}`);
    return Response.json(page, { headers: more ? { link: `<${url}>; rel="next"` } : {} });
  }

  #resolve(
    request: Request,
    { repo, name, file }: { repo: string; name: string; file: FakeFile },
  ): Response {
    const { sha256, git } = this.#hash(file);
    const { size } = file.content;
    if (!isLarge(name, file)) {
      return this.#send(request, name, file, { etag: `"${git}"`, counted: !isProbe(request) });
    }
    const linked = { "x-linked-etag": `"${sha256}"`, "x-linked-size": `${size}` };
    if (request.headers.get("accept")?.includes("application/vnd.xet-fileinfo+json")) {
      return Response.json({}, {
        headers: {
          ...linked,
          "content-type": "application/vnd.xet-fileinfo+json",
          "x-xet-hash": sha256,
          link: `<${this.endpoint}/xet/a>; rel="xet-auth", ` +
            `<${this.endpoint}/xet/b>; rel="xet-reconstruction-info"`,
        },
      });
    }
    const location = `http://127.0.0.1:${this.#cdn.addr.port}/${repo}/${encodeURIComponent(name)}`;
    return new Response(null, { status: 302, headers: { ...linked, location } });
  }

  #handleCdn(request: Request): Response {
    const { headers } = request;
    const path = decodeURIComponent(new URL(request.url).pathname);
    this.requests.push({
      origin: "cdn",
      path,
      range: headers.get("range"),
      authorization: headers.get("authorization"),
    });
    const [, repo, name] = path.match(/^\/([^/]+\/[^/]+)\/(.*)$/)!;
    const file = this.repos.get(repo)!.get(name)!;
    return this.#send(request, name, file, { etag: '"of-the-cdn"', counted: true });
  }

  #send(
    request: Request,
    name: string,
    file: FakeFile,
    { etag, counted }: { etag: string; counted: boolean },
  ): Response {
    const fault = counted ? this.faults.get(name)?.shift() : undefined;
    if (fault?.status) {
      return new Response("fault", { status: fault.status, headers: fault.headers ?? {} });
    }
    const { content } = file;
    const range = file.noRanges
      ? null
      : request.headers.get("range")?.match(/^bytes=(\d+)-(\d*)$/) ?? null;
    const start = Number(range?.[1] ?? 0);
    const end = range?.[2] ? Math.min(content.size, Number(range[2]) + 1) : content.size;
    if (start >= content.size && content.size > 0) return new Response(null, { status: 416 });
    const headers = new Headers({ etag, "content-length": `${end - start}` });
    if (!file.noRanges) headers.set("accept-ranges", "bytes");
    if (range) headers.set("content-range", `bytes ${start}-${end - 1}/${content.size}`);
    const body = this.#stream(name, content, { start, end, fault, counted });
    return new Response(body, { status: range ? 206 : 200, headers });
  }

  #stream(
    name: string,
    content: Content,
    { start, end, fault, counted }: {
      start: number;
      end: number;
      fault: Fault | undefined;
      counted: boolean;
    },
  ): ReadableStream<Uint8Array> {
    let offset = start;
    let pauseAt = start + (fault?.pauseAfter ?? Infinity);
    const limit = start + (fault?.disconnectAfter ?? fault?.stallAfter ?? Infinity);
    return new ReadableStream({
      pull: async (controller) => {
        if (offset >= pauseAt) {
          pauseAt = Infinity;
          await fault!.resumeWhen;
        }
        if (offset >= limit) {
          if (fault!.disconnectAfter !== undefined) return controller.error(new Error("cut"));
          const stalled = Promise.withResolvers<void>();
          this.#stalled.push(stalled);
          await stalled.promise;
          return controller.error(new Error("closed"));
        }
        if (offset >= end) return controller.close();
        const next = Math.min(offset + CHUNK, end, limit, pauseAt);
        controller.enqueue(content.slice(offset, next));
        if (counted) this.bytesServed.set(name, (this.bytesServed.get(name) ?? 0) + next - offset);
        offset = next;
        this.#notifyWaiting();
      },
    }, { highWaterMark: 0 });
  }

  #notifyWaiting(): void {
    for (const { path, bytes, resolve } of this.#waiting) {
      if ((this.bytesServed.get(path) ?? 0) >= bytes) resolve();
    }
  }

  #hash(file: FakeFile): { sha256: string; git: string } {
    let hashes = this.#hashes.get(file.content);
    if (!hashes) {
      const { size } = file.content;
      const sha256 = createHash("sha256");
      const git = createHash("sha1").update(`blob ${size}\0`);
      for (let at = 0; at < size; at += 1 << 20) {
        const bytes = file.content.slice(at, Math.min(size, at + (1 << 20)));
        sha256.update(bytes);
        git.update(bytes);
      }
      hashes = { sha256: sha256.digest("hex"), git: git.digest("hex") };
      this.#hashes.set(file.content, hashes);
    }
    return file.hash ? { sha256: file.hash, git: file.hash } : hashes;
  }
}

/** Returns whether a request only fetches a file's metadata. */
function isProbe(request: Request): boolean {
  return request.headers.get("range") === "bytes=0-0";
}

function isLarge(path: string, { large }: FakeFile): boolean {
  return large ?? /\.(pth|bin|safetensors)$/.test(path);
}

/** Suppresses the log of an injected disconnection. */
function onError(): Response {
  return new Response(null, { status: 500 });
}

function refusal(status: number, code: string | null, message: string): Response {
  return Response.json({ error: message }, {
    status,
    headers: { ...code ? { "x-error-code": code } : {}, "x-error-message": message },
  });
}

export function contentOf(bytes: Uint8Array<ArrayBuffer>): Content {
  return { size: bytes.length, slice: (start, end) => bytes.slice(start, end) };
}

/** Generates bytes cheaply; each block differs. */
export function syntheticContent(size: number, seed = 1): Content {
  const block = new Uint8Array(CHUNK);
  let x = seed;
  for (let i = 0; i < CHUNK; i++) block[i] = (x = Math.imul(x, 48271) % 0x7fffffff) >> 8;
  return {
    size,
    slice: (start, end) => {
      const bytes = new Uint8Array(end - start);
      for (let at = start; at < end;) {
        const number = Math.floor(at / CHUNK), inside = at % CHUNK;
        const count = Math.min(CHUNK - inside, end - at);
        bytes.set(block.subarray(inside, inside + count), at - start);
        // The first bytes of a block contain its number.
        for (let i = inside; i < Math.min(4, inside + count); i++) {
          bytes[at - start + i - inside] = number >> 8 * i;
        }
        at += count;
      }
      return bytes;
    },
  };
}
