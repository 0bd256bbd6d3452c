/** A repository on a hub: lists its files, and fetches the current metadata of one of them. */

import { InferenceError } from "../core/errors.ts";
import { type HubClient, HubStatusError } from "./hub_client.ts";
import { type FileHash, type HubFile, isSafePath } from "./names.ts";

/** A file with its current metadata. */
export interface RemoteFile extends HubFile {
  repo: string;
  /** The address of its bytes. */
  url: string;
  /** Changes when the bytes change. */
  etag: string;
  hash: FileHash;
}

/** The file has changed on the hub, so its metadata must be fetched again. */
export class FileChangedError extends Error {
  constructor(readonly path: string) {
    super(`${path} has changed`);
  }
}

/** The size limit of a listing page; a page of a thousand files has about 0.1 MB. */
const MAX_PAGE_BYTES = 64 * 1024 * 1024;

/** Limits of a listing. A page has a thousand files, and real models have far fewer. */
const MAX_FILES = 100_000;
const MAX_PAGES = 200;

/** Imports the hub's library on first use, so that only `pull` loads it. */
const loadLibrary = () => import("@huggingface/hub");

/** Returns the address of the public hub. */
export async function defaultEndpoint(): Promise<string> {
  return (await loadLibrary()).HUB_URL;
}

export class Repository {
  readonly name: string;
  readonly #client: HubClient;
  #files: HubFile[] | undefined;

  constructor(client: HubClient, name: string) {
    this.#client = client;
    this.name = name;
  }

  /**
   * Lists all files with safe paths. Fetches the listing once.
   *
   * @throws InferenceError `hub_error`, `cancelled`.
   */
  async files(): Promise<readonly HubFile[]> {
    if (this.#files) return this.#files;
    const { listFiles } = await loadLibrary();
    const files: HubFile[] = [];
    await this.#withHubErrors(async () => {
      const entries = listFiles({ repo: this.name, recursive: true, ...this.#libraryOptions() });
      for await (const { type, path, size, oid, lfs } of entries) {
        if (type !== "file" || !isSafePath(path)) continue;
        const bytes = lfs?.size ?? size;
        if (!(Number.isSafeInteger(bytes) && bytes >= 0)) {
          throw new Error(`its listing has the invalid size ${bytes} for ${path}`);
        }
        if (files.length === MAX_FILES) {
          throw new Error(`its listing has more than ${MAX_FILES} files`);
        }
        files.push({ path, size: bytes, hash: hashOf(lfs?.oid ?? oid) });
      }
    });
    return this.#files = files;
  }

  /**
   * Fetches the current metadata of a listed file. The expected hash always comes from the hub, never
   * from the server that sends the bytes.
   *
   * @throws FileChangedError if the file differs from its listing; InferenceError `hub_error`,
   * `cancelled`.
   */
  async describe(file: HubFile): Promise<RemoteFile> {
    const { fileDownloadInfo } = await loadLibrary();
    const path = file.path.split("/").map(encodeURIComponent).join("/");
    const url = `${this.#client.endpoint}/${this.name}/resolve/main/${path}`;
    const info = await this.#withHubErrors(
      () => fileDownloadInfo({ repo: this.name, path, ...this.#libraryOptions() }),
      file.path,
    );
    if (info === null) throw this.#missing(file.path);
    const etag = normalizeEtag(info.etag);
    const hash = file.hash ?? hashOf(etag);
    const current = hashOf(etag);
    const differs = current?.algorithm === hash?.algorithm && current?.hex !== hash?.hex;
    if (differs || info.size !== file.size) throw new FileChangedError(file.path);
    if (hash === null) {
      throw new InferenceError(
        "hub_error",
        `Cannot pull ${file.path}: the hub provides no hash to verify its bytes`,
      );
    }
    return { ...file, repo: this.name, size: info.size, etag, url, hash };
  }

  /** The library gets no token: the client adds it, and only for the hub's origin. */
  #libraryOptions() {
    const client = this.#client;
    let pages = 0;
    return {
      hubUrl: client.endpoint,
      fetch: (input: RequestInfo | URL, init?: RequestInit) => {
        const { pathname, search } = new URL(`${input}`);
        const listing = pathname.includes(`/api/models/${this.name}/`);
        if (listing && ++pages > MAX_PAGES) {
          throw new Error(`its listing has more than ${MAX_PAGES} pages`);
        }
        // The link to the next page may point to the hub itself instead of this mirror.
        const next = `${client.endpoint}${pathname.slice(pathname.indexOf("/api/"))}${search}`;
        return client.withRetries(async () => {
          const response = await client.get(listing ? next : `${input}`, init?.headers);
          return await withBody(client, response, listing);
        });
      },
    };
  }

  async #withHubErrors<T>(work: () => Promise<T>, file?: string): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof InferenceError || error instanceof FileChangedError) throw error;
      if (error instanceof HubStatusError) throw this.toInferenceError(error, file);
      throw new InferenceError(
        "hub_error",
        `Cannot use the hub ${this.#client.endpoint}: ${(error as Error).message}; ` +
          "check HF_ENDPOINT",
        { cause: error },
      );
    }
  }

  /** Converts the hub's error status to an error that tells the user what to do. */
  toInferenceError({ status, code, message }: HubStatusError, file?: string): InferenceError {
    const { endpoint, hasToken } = this.#client;
    const what = file === undefined ? this.name : `${file} of ${this.name}`;
    const because = (reason: string) =>
      new InferenceError("hub_error", `Cannot pull ${what}: ${reason}`, { param: this.name });
    if (code === "GatedRepo" || status === 403) {
      return because(
        `it is gated: accept its licence at ${endpoint}/${this.name}` +
          (hasToken
            ? " with the account of the token in HF_TOKEN"
            : " and set HF_TOKEN to your access token"),
      );
    }
    if (status === 401) {
      // The hub also returns 401 for a repository that does not exist, so that private names stay
      // secret.
      return because(
        hasToken
          ? "the hub rejects the token in HF_TOKEN, or the repository does not exist"
          : "the repository does not exist, or it is private and needs a token in HF_TOKEN",
      );
    }
    if (status === 404 && code === "EntryNotFound" && file !== undefined) {
      return this.#missing(file);
    }
    if (status === 404) return because(`the repository does not exist at ${endpoint}`);
    return because(`${message} (status ${status})`);
  }

  #missing(file: string): InferenceError {
    return new InferenceError(
      "hub_error",
      `Cannot pull ${file}: there is no such file in ${this.name}`,
      { param: file },
    );
  }
}

/**
 * Reads a listing's body completely, so that a lost connection is still retried. Drops the body of
 * any other response, because only its headers are needed and the body may be a whole file.
 */
async function withBody(
  client: HubClient,
  response: Response,
  readBody: boolean,
): Promise<Response> {
  const { status, headers, url } = response;
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  if (!readBody) await response.body?.cancel();
  else {
    let size = 0;
    for await (const bytes of client.body(response)) {
      size += bytes.length;
      if (size > MAX_PAGE_BYTES) {
        throw new Error(`a page of its listing has more than ${MAX_PAGE_BYTES} bytes`);
      }
      chunks.push(bytes as Uint8Array<ArrayBuffer>);
    }
  }
  const whole = new Response(readBody ? new Blob(chunks) : null, { status, headers });
  return Object.defineProperty(whole, "url", { value: url });
}

/** Parses a listing's object id or an entity tag as a hash. Its length decides the algorithm. */
function hashOf(id: string | undefined): FileHash | null {
  const hex = id?.toLowerCase() ?? "";
  if (/^[0-9a-f]{64}$/.test(hex)) return { algorithm: "sha256", hex };
  if (/^[0-9a-f]{40}$/.test(hex)) return { algorithm: "git-sha1", hex };
  return null;
}

/** Removes the quotation marks and the weakness prefix of an entity tag. */
export function normalizeEtag(etag: string): string {
  return etag.trim().replace(/^W\//, "").replace(/^"(.*)"$/, "$1");
}
