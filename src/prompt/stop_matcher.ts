/**
 * Finds stop strings in the bytes of a reply, across token boundaries. Determines which text can be
 * displayed: no possible beginning of a stop string and no part of a character.
 */

import type { StopStrings } from "../core/sampling.ts";

export interface StopMatcherOptions {
  /** Bytes that were displayed before. A stop string may have begun in them. */
  displayedBytes?: Uint8Array | undefined;
  /** Earlier bytes that were not displayed. */
  undisplayedBytes?: Uint8Array | undefined;
  /**
   * Number of stops, from the first one on, that also apply when an unfinished reply is continued.
   */
  alwaysStop?: number | undefined;
}

export class StopMatcher {
  readonly #stops: readonly Uint8Array[];
  readonly #longest: number;
  readonly #always: number;
  /** The last displayed bytes, then the undisplayed ones. */
  #bytes: Uint8Array;
  #displayedEnd: number;
  #stopped = false;
  /** Bytes from the stop string on. */
  #discarded = new Uint8Array();
  #displayedByteCount = 0;

  constructor(
    stops: readonly string[],
    { displayedBytes, undisplayedBytes, alwaysStop = 1 }: StopMatcherOptions = {},
  ) {
    this.#stops = stops.map((stop) => new TextEncoder().encode(stop));
    this.#always = alwaysStop;
    this.#longest = Math.max(1, ...this.#stops.map((stop) => stop.length));
    const tail = (displayedBytes ?? new Uint8Array()).slice(-this.#longest);
    this.#bytes = concat(tail, undisplayedBytes ?? new Uint8Array());
    this.#displayedEnd = tail.length;
  }

  /** Whether a stop string was found. Nothing more is displayed then. */
  get stopped(): boolean {
    return this.#stopped;
  }

  /** Bytes that are never displayed: the stop string and the rest of the last token. */
  get discardedBytes(): Uint8Array {
    return this.#discarded;
  }

  /** Number of bytes displayed by this matcher. */
  get displayedByteCount(): number {
    return this.#displayedByteCount;
  }

  /** Bytes that were not displayed. */
  get undisplayedBytes(): Uint8Array {
    return this.#bytes.slice(this.#displayedEnd);
  }

  /** The stop strings with the current search position, to continue the search elsewhere. */
  get stopStrings(): StopStrings {
    const before = this.#bytes;
    return {
      strings: this.#stops,
      precedingBytes: before,
      unsearchedBytes: before.length - this.#displayedEnd,
    };
  }

  /** Adds the bytes of a token. Returns the text that can be displayed. */
  push(bytes: Uint8Array): string {
    if (this.#stopped) return "";
    this.#bytes = concat(this.#bytes, bytes);
    const end = this.#firstStop();
    if (end !== null) {
      const text = this.#display(Math.max(end, this.#displayedEnd));
      this.#stopped = true;
      this.#discarded = this.#bytes.slice(this.#displayedEnd);
      this.#bytes = this.#bytes.slice(0, this.#displayedEnd);
      return text;
    }
    return this.#display(this.#safeEnd(this.#stops));
  }

  /**
   * Returns the text to display when a reply ends unfinished: everything except a part of a
   * character and a possible beginning of a stop that always applies. Those bytes stay in
   * `undisplayedBytes` for a continuation.
   */
  flushDisplayable(): string {
    return this.#stopped ? "" : this.#display(this.#safeEnd(this.#stops.slice(0, this.#always)));
  }

  /** Returns all remaining text of a reply that ended without a stop string. */
  flush(): string {
    return this.#stopped ? "" : this.#display(this.#bytes.length);
  }

  #display(end: number): string {
    const text = new TextDecoder("utf-8", { ignoreBOM: true })
      .decode(this.#bytes.subarray(this.#displayedEnd, end));
    this.#displayedByteCount += end - this.#displayedEnd;
    const start = Math.max(0, end - this.#longest);
    this.#bytes = this.#bytes.slice(start);
    this.#displayedEnd = end - start;
    return text;
  }

  /** Returns the start of the earliest stop string. */
  #firstStop(): number | null {
    let first: number | null = null;
    for (const stop of this.#stops) {
      for (let at = 0; at + stop.length <= this.#bytes.length; at++) {
        if (first !== null && at >= first) break;
        // A stop string that ends in displayed bytes would have been found before.
        if (at + stop.length > this.#displayedEnd && startsAt(this.#bytes, stop, at)) first = at;
      }
    }
    return first;
  }

  /**
   * Returns the index up to which bytes can be displayed: before a possible beginning of a stop
   * string or a part of a character.
   */
  #safeEnd(stops: readonly Uint8Array[]): number {
    const bytes = this.#bytes;
    const mayBegin = (at: number) =>
      stops.some((stop) =>
        bytes.length - at < stop.length && startsAt(stop, bytes.subarray(at), 0)
      );
    let end = incompleteAt(bytes);
    for (let at = Math.max(0, bytes.length - this.#longest + 1); at < end; at++) {
      if (mayBegin(at)) end = at;
    }
    return Math.max(end, this.#displayedEnd);
  }
}

function startsAt(bytes: Uint8Array, part: Uint8Array, at: number): boolean {
  return at + part.length <= bytes.length && part.every((byte, i) => bytes[at + i] === byte);
}

/** Returns the index of an incomplete UTF-8 sequence at the end of `bytes`, or their length. */
export function incompleteAt(bytes: Uint8Array): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back];
    if (byte >= 0x80 && byte < 0xc0) continue;
    const expected = byte >= 0xf0 && byte < 0xf5 ? 4 : byte >= 0xe0 && byte < 0xf0 ? 3 : 2;
    return byte >= 0xc2 && byte < 0xf5 && back < expected ? bytes.length - back : bytes.length;
  }
  return bytes.length;
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}
