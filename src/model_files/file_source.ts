/** Files as byte sources with random access. */

import { type FileHandle, open } from "node:fs/promises";
import { InferenceError } from "../core/errors.ts";
import type { ByteSource } from "../formats/byte_source.ts";
import { checkRange } from "../formats/byte_source.ts";

class FileSource implements ByteSource {
  readonly name: string;
  readonly size: number;
  readonly #file: FileHandle;

  constructor(name: string, { size, file }: { size: number; file: FileHandle }) {
    this.name = name;
    this.size = size;
    this.#file = file;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    checkRange(this, offset, length);
    const bytes = new Uint8Array(length);
    let at = 0;
    while (at < length) {
      const { bytesRead } = await this.#file.read(bytes, at, length - at, offset + at);
      if (bytesRead === 0) {
        throw new InferenceError(
          "file_error",
          `Cannot read ${this.name}: the file shrank to ${offset + at} bytes during the read`,
          { param: this.name },
        );
      }
      at += bytesRead;
    }
    return bytes;
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

/**
 * Opens a file for reading.
 *
 * @throws InferenceError `file_error` with the path if it is not a readable file.
 */
export async function openFile(path: string): Promise<ByteSource> {
  try {
    const file = await open(path, "r");
    const info = await file.stat();
    if (!info.isFile()) {
      await file.close();
      throw new Error("it is not a regular file");
    }
    return new FileSource(path, { size: info.size, file });
  } catch (cause) {
    throw new InferenceError("file_error", `Cannot open ${path}: ${(cause as Error).message}`, {
      cause,
      param: path,
    });
  }
}
