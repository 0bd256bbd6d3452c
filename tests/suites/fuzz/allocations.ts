/**
 * Counts the bytes of typed arrays and buffers that are asked for, whether they are to be had or not:
 * unlike the memory that a process takes, that is the same each time.
 */

const KINDS = [
  "ArrayBuffer",
  ...["Uint8Array", "Int8Array", "Uint8ClampedArray", "Uint16Array", "Int16Array", "Uint32Array"],
  ...["Int32Array", "Float16Array", "Float32Array", "Float64Array", "BigInt64Array"],
  "BigUint64Array",
] as const;

let bytes = 0;

/** Bytes asked for since the last call. */
export function takeAllocated(): number {
  const since = bytes;
  bytes = 0;
  return since;
}

/** Has everything that this thread makes from now on counted. */
export function countAllocations(): void {
  for (const name of KINDS) {
    const original = globalThis[name];
    const itemBytes = "BYTES_PER_ELEMENT" in original ? original.BYTES_PER_ELEMENT : 1;
    const counting: unknown = new Proxy(original, {
      construct(target, args, newTarget) {
        bytes += itemBytes * lengthOf(args[0]);
        return Reflect.construct(target, args, newTarget === counting ? target : newTarget);
      },
    });
    Object.assign(globalThis, { [name]: counting });
  }
}

/** Elements that are made: none by a view. */
function lengthOf(from: unknown): number {
  if (typeof from === "number") return from > 0 ? from : 0;
  if (from instanceof ArrayBuffer || typeof from !== "object" || from === null) return 0;
  return "length" in from && typeof from.length === "number" ? from.length : 0;
}
