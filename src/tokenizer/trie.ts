/**
 * The longest token at a position, found by a trie in three flat arrays. Nodes are numbered breadth
 * first with siblings in byte order, so the children of a node are one sorted range of numbers.
 */

/** Immutable once built; about nine bytes a node. */
export class Trie {
  /** First child of each node; the next node's first child ends the range. */
  readonly #firstChild: Uint32Array;
  /** The byte that leads into each node. */
  readonly #byte: Uint8Array;
  /** The id that ends at each node, or -1. */
  readonly #id: Int32Array;
  /** Child of the root by byte; 0, the root itself, for none. */
  readonly #roots = new Uint32Array(256);

  /** @param tokens Ids and their bytes; at least one byte each, no two alike. */
  constructor(tokens: Iterable<readonly [id: number, bytes: Uint8Array]>) {
    const sorted = [...tokens].sort(([, a], [, b]) => compareBytes(a, b));
    const capacity = 1 + sorted.reduce((sum, [, bytes]) => sum + bytes.length, 0);
    const firstChild = new Uint32Array(capacity + 1);
    const byte = new Uint8Array(capacity);
    const id = new Int32Array(capacity).fill(-1);
    // The sorted tokens that pass through each node are one range of them.
    const rangeStart = new Uint32Array(capacity);
    const rangeEnd = new Uint32Array(capacity);
    const depth = new Uint16Array(capacity);
    rangeEnd[0] = sorted.length;
    let nodes = 1;
    for (let node = 0; node < nodes; node++) {
      firstChild[node] = nodes;
      let i = rangeStart[node];
      const at = depth[node];
      // Its own token, the shortest, comes first.
      if (i < rangeEnd[node] && sorted[i][1].length === at) id[node] = sorted[i++][0];
      while (i < rangeEnd[node]) {
        const next = sorted[i][1][at];
        const child = nodes++;
        byte[child] = next;
        depth[child] = at + 1;
        rangeStart[child] = i;
        while (i < rangeEnd[node] && sorted[i][1][at] === next) i++;
        rangeEnd[child] = i;
      }
    }
    firstChild[nodes] = nodes;
    this.#firstChild = firstChild.slice(0, nodes + 1);
    this.#byte = byte.slice(0, nodes);
    this.#id = id.slice(0, nodes);
    for (let child = 1; child < this.#firstChild[1]; child++) this.#roots[byte[child]] = child;
  }

  /** Id of the longest token that `bytes` has at `start`, or -1. */
  longestMatch(bytes: Uint8Array, start: number): number {
    const firstChild = this.#firstChild;
    const byte = this.#byte;
    let node = start < bytes.length ? this.#roots[bytes[start]] : 0;
    let found = -1;
    let at = start + 1;
    while (node !== 0) {
      if (this.#id[node] >= 0) found = this.#id[node];
      if (at === bytes.length) break;
      const wanted = bytes[at++];
      let low = firstChild[node];
      const end = firstChild[node + 1];
      let high = end;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (byte[middle] < wanted) low = middle + 1;
        else high = middle;
      }
      node = low < end && byte[low] === wanted ? low : 0;
    }
    return found;
  }
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    if (a[i] !== b[i]) return a[i] - b[i];
  }
  return a.length - b.length;
}
