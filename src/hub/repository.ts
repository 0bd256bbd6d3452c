/** A repository on a hub: what files it has, and what one of them is at this moment. */

import { InferenceError } from "../core/errors.ts";
import { type HubClient, HubStatusError } from "./hub_http.ts";
import { type FileHash, type HubFile, isSafePath } from "./names.ts";

/** A file as it is at this moment. */
export interface RemoteFile extends HubFile {
  repo: string;
  /** Where its bytes are asked for. */
  url: string;
  /** Differs when the bytes do. */
  etag: string;
  hash: FileHash;
}

/** The file is another one than it was: what is known of it has to be asked for again. */
export class FileChangedError extends Error {
  constructor(readonly path: string) {
    super(`${path} has changed`);
  }
}

/** Bytes of a page of a listing at most; a thousand files take a tenth of a megabyte. */
const LONGEST_LISTING = 64 * 1024 * 1024;

/** Files of a repository, and pages that list them, a thousand each: more than any model's has. */
const MOST_FILES = 100_000;
const MOST_PAGES = 200;

/** The hub's library is loaded by those who pull, and by nobody else. */
const library = () => import("@huggingface/hub");

/** The address of the hub that there is unless another one is named. */
export async function defaultEndpoint(): Promise<string> {
  return (await library()).HUB_URL;
}

export class Repository {
  readonly name: string;
  readonly #http: HubClient;
  #files: HubFile[] | undefined;

  constructor(http: HubClient, name: string) {
    this.#http = http;
    this.name = name;
  }

  /**
   * All its files whose paths are nothing but paths; asked for once.
   *
   * @throws InferenceError `hub_error`, `cancelled`.
   */
  async files(): Promise<readonly HubFile[]> {
    if (this.#files) return this.#files;
    const { listFiles } = await library();
    const found: HubFile[] = [];
    await this.#ask(async () => {
      const entries = listFiles({ repo: this.name, recursive: true, ...this.#access() });
      for await (const { type, path, size, oid, lfs } of entries) {
        if (type !== "file" || !isSafePath(path)) continue;
        const bytes = lfs?.size ?? size;
        if (!(Number.isSafeInteger(bytes) && bytes >= 0)) {
          throw new Error(`it lists ${path} with a size of ${bytes}`);
        }
        if (found.length === MOST_FILES) throw new Error(`it lists more than ${MOST_FILES} files`);
        found.push({ path, size: bytes, hash: hashOf(lfs?.oid ?? oid) });
      }
    });
    return this.#files = found;
  }

  /**
   * Asks for a file that the listing has. What its bytes hash to comes from the hub, never from where
   * it has the bytes sent from.
   *
   * @throws FileChanged where it is not the one of the listing any more; InferenceError `hub_error`,
   * `cancelled`.
   */
  async describe(file: HubFile): Promise<RemoteFile> {
    const { fileDownloadInfo } = await library();
    const path = file.path.split("/").map(encodeURIComponent).join("/");
    const url = `${this.#http.endpoint}/${this.name}/resolve/main/${path}`;
    const info = await this.#ask(
      () => fileDownloadInfo({ repo: this.name, path, ...this.#access() }),
      file.path,
    );
    if (info === null) throw this.#missing(file.path);
    const etag = normalizeEtag(info.etag);
    const hash = file.hash ?? hashOf(etag);
    const other = hashOf(etag);
    const differs = other?.algorithm === hash?.algorithm && other?.hex !== hash?.hex;
    if (differs || info.size !== file.size) throw new FileChangedError(file.path);
    if (hash === null) {
      throw new InferenceError(
        "hub_error",
        `Cannot pull ${file.path}: the hub tells no hash by which to check its bytes`,
      );
    }
    return { ...file, repo: this.name, size: info.size, etag, url, hash };
  }

  /** No token: the requests are the project's own, and add it where it belongs. */
  #access() {
    const http = this.#http;
    let pages = 0;
    return {
      hubUrl: http.endpoint,
      fetch: (input: RequestInfo | URL, init?: RequestInit) => {
        const { pathname, search } = new URL(`${input}`);
        const listing = pathname.includes(`/api/models/${this.name}/`);
        if (listing && ++pages > MOST_PAGES) throw new Error("its listing has no end");
        // A mirror may pass on where the hub itself has the next page.
        const next = `${http.endpoint}${pathname.slice(pathname.indexOf("/api/"))}${search}`;
        return http.withRetries(async () => {
          const response = await http.get(listing ? next : `${input}`, init?.headers);
          return await withBody(http, response, listing);
        });
      },
    };
  }

  async #ask<T>(work: () => Promise<T>, file?: string): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof InferenceError || error instanceof FileChangedError) throw error;
      if (error instanceof HubStatusError) throw this.toInferenceError(error, file);
      throw new InferenceError(
        "hub_error",
        `Cannot understand ${this.#http.endpoint}: ${(error as Error).message}; ` +
          "is it a hub (HF_ENDPOINT)?",
        { cause: error },
      );
    }
  }

  /** A refusal as a person needs it. */
  toInferenceError({ status, code, message }: HubStatusError, file?: string): InferenceError {
    const { endpoint, hasToken } = this.#http;
    const what = file === undefined ? this.name : `${file} of ${this.name}`;
    const because = (why: string) =>
      new InferenceError("hub_error", `Cannot pull ${what}: ${why}`, { param: this.name });
    if (code === "GatedRepo" || status === 403) {
      return because(
        `it is gated: accept its licence at ${endpoint}/${this.name}` +
          (hasToken
            ? ", as the one whose token HF_TOKEN is"
            : ", and set HF_TOKEN to a token of yours"),
      );
    }
    if (status === 401) {
      // The hub answers so, too, where nothing is: it does not tell what is private.
      return because(
        hasToken
          ? "the hub does not take the token in HF_TOKEN, or there is no such repository"
          : "there is no such repository, or it is private and needs a token in HF_TOKEN",
      );
    }
    if (status === 404 && code === "EntryNotFound" && file !== undefined) {
      return this.#missing(file);
    }
    if (status === 404) return because(`there is no such repository at ${endpoint}`);
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
 * The answer with its body whole, so that a cut in it is seen while it can be asked for again; or
 * with none, where only what comes before it is of interest and it may be a file's.
 */
async function withBody(http: HubClient, response: Response, wanted: boolean): Promise<Response> {
  const { status, headers, url } = response;
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  if (!wanted) await response.body?.cancel();
  else {
    let size = 0;
    for await (const bytes of http.body(response)) {
      size += bytes.length;
      if (size > LONGEST_LISTING) throw new Error("a page of a listing has no end");
      chunks.push(bytes as Uint8Array<ArrayBuffer>);
    }
  }
  const whole = new Response(wanted ? new Blob(chunks) : null, { status, headers });
  return Object.defineProperty(whole, "url", { value: url });
}

/** What a listing's id or an entity tag is the hash of, by its length. */
function hashOf(id: string | undefined): FileHash | null {
  const hex = id?.toLowerCase() ?? "";
  if (/^[0-9a-f]{64}$/.test(hex)) return { algorithm: "sha256", hex };
  if (/^[0-9a-f]{40}$/.test(hex)) return { algorithm: "git-sha1", hex };
  return null;
}

/** An entity tag without its quotation marks and its mark of weakness. */
export function normalizeEtag(etag: string): string {
  return etag.trim().replace(/^W\//, "").replace(/^"(.*)"$/, "$1");
}
