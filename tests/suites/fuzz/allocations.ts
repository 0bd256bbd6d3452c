/**
 * Counts the bytes of all array buffers and typed arrays that code tries to allocate. Unlike
 * process memory, this count is reproducible.
 */

const KINDS = [
  "ArrayBuffer",
  ...["Uint8Array", "Int8Array", "Uint8ClampedArray", "Uint16Array", "Int16Array", "Uint32Array"],
  ...["Int32Array", "Float16Array", "Float32Array", "Float64Array", "BigInt64Array"],
  "BigUint64Array",
] as const;

let bytes = 0;

/** Returns the bytes requested since the last call. */
export function takeAllocatedBytes(): number {
  const since = bytes;
  bytes = 0;
  return since;
}

/** Counts all allocations of this thread from now on. */
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

/** Returns the number of elements that are allocated; a view allocates none. */
function lengthOf(from: unknown): number {
  if (typeof from === "number") return from > 0 ? from : 0;
  if (from instanceof ArrayBuffer || typeof from !== "object" || from === null) return 0;
  return "length" in from && typeof from.length === "number" ? from.length : 0;
}
