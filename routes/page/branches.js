// The branches of a conversation: editing or retrying a past turn adds one. Each node is a state
// with its parent state, the number of turns that it shares with the parent, and its own number of
// turns. The messages are in the worker's store only.

/**
 * @typedef {{ tokens: number, perSecond: number | null, first: number | null, context: number, cached: number }} Stats
 * @typedef {{
 *   parent: string | null, base: number, turns: number, at: number, goesOn?: boolean, stats?: Stats,
 * }} BranchNode
 *   `base`: the number of turns shared with the parent. `at`: when the node was created, in
 *   milliseconds. `goesOn`: the node continues the parent's last turn.
 * @typedef {Record<string, BranchNode>} Branches By state id.
 */

export class BranchTree {
  #nodes;
  /** @type {Map<string, string[]>} */
  #owners = new Map();

  /** @param {Branches} nodes Must not change while the tree is in use. */
  constructor(nodes) {
    this.#nodes = nodes;
  }

  /**
   * Returns the owner of each turn of a state: the first state that had this turn. Two states share
   * a turn if it has the same owner in both.
   * @param {string} id
   * @returns {string[]}
   */
  ownersOf(id) {
    const cached = this.#owners.get(id);
    if (cached) return cached;
    // A damaged record may contain a cycle: this entry ends the recursion.
    this.#owners.set(id, []);
    const { parent, base, turns, goesOn } = this.#nodes[id];
    const parentOwners = parent !== null && Object.hasOwn(this.#nodes, parent)
      ? this.ownersOf(parent)
      : [];
    const shared = parentOwners.slice(0, goesOn ? turns : base);
    const owners = [...shared, ...Array(Math.max(0, turns - shared.length)).fill(id)];
    this.#owners.set(id, owners);
    return owners;
  }

  /**
   * Returns the variants of each turn of a state, oldest first, and the index of the state's own.
   * @param {string} id
   * @returns {{ owners: string[], index: number }[]}
   */
  variantsOn(id) {
    const own = this.ownersOf(id);
    /** @type {Set<string>[]} */
    const variants = own.map(() => new Set());
    for (const other of Object.keys(this.#nodes)) {
      const owners = this.ownersOf(other);
      for (let turn = 0; turn < Math.min(own.length, owners.length); turn++) {
        variants[turn].add(owners[turn]);
        if (owners[turn] !== own[turn]) break;
      }
    }
    return variants.map((set, turn) => {
      const owners = [...set].sort((a, b) => this.#nodes[a].at - this.#nodes[b].at);
      return { owners, index: owners.indexOf(own[turn]) };
    });
  }

  /**
   * Returns the newest state that has this variant of a turn.
   * @param {number} turn From 0.
   * @param {string} owner
   * @returns {string}
   */
  newestWithVariant(turn, owner) {
    let newest = owner;
    for (const [id, { at }] of Object.entries(this.#nodes)) {
      if (at > this.#nodes[newest].at && this.ownersOf(id)[turn] === owner) newest = id;
    }
    return newest;
  }

  /**
   * Returns the newest state that continues this one, or this one if there is none.
   * @param {string} id
   */
  newestAfter(id) {
    const owners = this.ownersOf(id);
    return owners.length === 0
      ? id
      : this.newestWithVariant(owners.length - 1, owners.at(-1) ?? id);
  }

  /**
   * Returns the ancestor of a state (or the state itself) that has exactly this many turns. A new
   * variant of the next turn resumes from it.
   * @param {string} id
   * @param {number} turns
   * @returns {string | null} Null if the browser knows no such state.
   */
  stateAfter(id, turns) {
    const own = this.ownersOf(id);
    const visited = new Set();
    for (let node = /** @type {string | null} */ (id); node !== null && !visited.has(node);) {
      if (!Object.hasOwn(this.#nodes, node)) return null;
      visited.add(node);
      const { turns: count, parent } = this.#nodes[node];
      const isAncestor = this.ownersOf(node).every((owner, i) => owner === own[i]);
      if (count === turns && isAncestor) return node;
      node = parent;
    }
    return null;
  }
}
