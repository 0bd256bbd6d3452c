/**
 * Finds the end of a reply in its bytes, wherever tokens part them, and says which text may be
 * shown already: nothing that might turn out to begin a stop, and no part of a character.
 */

import type { StopStrings } from "../core/sampling.ts";

export interface StopMatcherOptions {
  /** Bytes that were shown before: a stop may have begun in them. */
  displayedBytes?: Uint8Array | undefined;
  /** Bytes that came before and were not shown. */
  undisplayedBytes?: Uint8Array | undefined;
  /** How many of the stops, from the first one on, end what is written on a cut reply too. */
  alwaysStop?: number | undefined;
}

export class StopMatcher {
  readonly #stops: readonly Uint8Array[];
  readonly #longest: number;
  readonly #always: number;
  /** The last bytes shown, then those held back. */
  #bytes: Uint8Array;
  #shown: number;
  #stopped = false;
  /** What came from the stop on. */
  #rest = new Uint8Array();
  #seen = 0;

  constructor(
    stops: readonly string[],
    { displayedBytes: shown, undisplayedBytes: undisplayedBytes, alwaysStop: always = 1 }:
      StopMatcherOptions = {},
  ) {
    this.#stops = stops.map((stop) => new TextEncoder().encode(stop));
    this.#always = always;
    this.#longest = Math.max(1, ...this.#stops.map((stop) => stop.length));
    const tail = (shown ?? new Uint8Array()).slice(-this.#longest);
    this.#bytes = concat(tail, undisplayedBytes ?? new Uint8Array());
    this.#shown = tail.length;
  }

  /** Whether a stop has been found. Nothing more is shown then. */
  get stopped(): boolean {
    return this.#stopped;
  }

  /** Bytes that came and are never shown: the stop that was found, and what the last token has after it. */
  get discardedBytes(): Uint8Array {
    return this.#rest;
  }

  /** Bytes that have been shown since the matcher was made. */
  get displayedByteCount(): number {
    return this.#seen;
  }

  /** Bytes that came and were not shown. */
  get held(): Uint8Array {
    return this.#bytes.slice(this.#shown);
  }

  /** The same search, to be carried on elsewhere. */
  get stopStrings(): StopStrings {
    const before = this.#bytes;
    return {
      strings: this.#stops,
      precedingBytes: before,
      unsearchedBytes: before.length - this.#shown,
    };
  }

  /** Takes the bytes of a token; returns the text that may be shown with them. */
  push(bytes: Uint8Array): string {
    if (this.#stopped) return "";
    this.#bytes = concat(this.#bytes, bytes);
    const end = this.#firstStop();
    if (end !== null) {
      const text = this.#show(Math.max(end, this.#shown));
      this.#stopped = true;
      this.#rest = this.#bytes.slice(this.#shown);
      this.#bytes = this.#bytes.slice(0, this.#shown);
      return text;
    }
    return this.#show(this.#safeEnd(this.#stops));
  }

  /**
   * The text to show when a reply is cut short: all but a part of a character, and what might
   * begin a stop that always holds. These stay in `held`, for whoever writes on.
   */
  flushDisplayable(): string {
    return this.#stopped ? "" : this.#show(this.#safeEnd(this.#stops.slice(0, this.#always)));
  }

  /** All the text that is left, for a reply that is over without a stop. */
  flush(): string {
    return this.#stopped ? "" : this.#show(this.#bytes.length);
  }

  #show(end: number): string {
    const text = new TextDecoder("utf-8", { ignoreBOM: true })
      .decode(this.#bytes.subarray(this.#shown, end));
    this.#seen += end - this.#shown;
    const keep = Math.max(0, end - this.#longest);
    this.#bytes = this.#bytes.slice(keep);
    this.#shown = end - keep;
    return text;
  }

  /** Where the earliest stop begins. */
  #firstStop(): number | null {
    let first: number | null = null;
    for (const stop of this.#stops) {
      for (let at = 0; at + stop.length <= this.#bytes.length; at++) {
        if (first !== null && at >= first) break;
        // What ends in the part shown before would have been found then.
        if (at + stop.length > this.#shown && startsAt(this.#bytes, stop, at)) first = at;
      }
    }
    return first;
  }

  /** Up to where bytes can be shown: before what may begin a stop or is half a character. */
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
    return Math.max(end, this.#shown);
  }
}

function startsAt(bytes: Uint8Array, part: Uint8Array, at: number): boolean {
  return at + part.length <= bytes.length && part.every((byte, i) => bytes[at + i] === byte);
}

/** Index of a UTF-8 sequence that is cut off by the end of `bytes`, or their length. */
export function incompleteAt(bytes: Uint8Array): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back];
    if (byte >= 0x80 && byte < 0xc0) continue;
    const wanted = byte >= 0xf0 && byte < 0xf5 ? 4 : byte >= 0xe0 && byte < 0xf0 ? 3 : 2;
    return byte >= 0xc2 && byte < 0xf5 && back < wanted ? bytes.length - back : bytes.length;
  }
  return bytes.length;
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}
