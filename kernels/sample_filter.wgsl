// Included in sample: finds the tokens that top-p and top-k keep, and the token at a given
// cumulative weight, without sorting. The 16 * LANES threads work as 16 groups.
const GROUPS = 16u;
const DIGITS = 256u;

struct Best {
  score: f32,
  id: u32,
}

// The kept tokens: those with a key below `key`, and those with this key and an id up to `last`. A
// token's key is the bit pattern of its distance from the maximum, which sorts like the distance.
struct Kept {
  top: f32,
  key: u32,
  last: u32,
}

// State of a radix search.
struct Search {
  key: u32, // the digits of the key found so far; the remaining ones are 0
  before: u32, // mass of the tokens with smaller keys
  at: u32, // mass of the tokens with this key
  reached: u32, // 0 if the total mass is less than the target
}

var<workgroup> thread_best: array<Best, THREADS>;
var<workgroup> group_best: array<Best, GROUPS>;
var<workgroup> thread_sums: array<f32, THREADS>;
var<workgroup> group_sums: array<f32, GROUPS>;
var<workgroup> histogram: array<atomic<u32>, DIGITS>;
var<workgroup> group_masses: array<u32, GROUPS>;
var<workgroup> shared_search: Search;

fn better(a: Best, b: Best) -> Best {
  if b.score > a.score || (b.score == a.score && b.id < a.id) {
    return b;
  }
  return a;
}

// Returns the best of all threads' values, in every thread.
fn best_of_all(mine: Best, thread: u32) -> Best {
  thread_best[thread] = mine;
  workgroupBarrier();
  if thread < GROUPS {
    var best = thread_best[thread * LANES];
    for (var i = 1u; i < LANES; i++) {
      best = better(best, thread_best[thread * LANES + i]);
    }
    group_best[thread] = best;
  }
  workgroupBarrier();
  var best = group_best[0];
  for (var i = 1u; i < GROUPS; i++) {
    best = better(best, group_best[i]);
  }
  return best;
}

// Writes the sum of each group's values to group_sums.
fn sum_groups(mine: f32, thread: u32) {
  workgroupBarrier();
  thread_sums[thread] = mine;
  workgroupBarrier();
  if thread < GROUPS {
    var sum = 0.0;
    for (var i = 0u; i < LANES; i++) {
      sum += thread_sums[thread * LANES + i];
    }
    group_sums[thread] = sum;
  }
  workgroupBarrier();
}

// Returns e^-distance, or 0 for banned tokens.
fn mass4(turn: Turn, q: u32, top: f32) -> vec4f {
  let v = logits[turn.output + q];
  return select(exp(v - top), vec4f(0.0), v <= vec4f(BANNED));
}

fn keys4(v: vec4f, top: f32) -> vec4u {
  return bitcast<vec4u>(top - v);
}

// Finds the key at which the cumulative mass of the tokens, in order of key, reaches `target_mass`.
// If `counting`, each token has mass 1; otherwise all tokens together have mass 2^31.
fn find_cutoff(
  turn: Turn,
  top: f32,
  total: f32,
  target_mass: u32,
  counting: bool,
  thread: u32,
) -> Search {
  var state = Search(0u, 0u, 0u, 1u);
  for (var shift = 24i; shift >= 0; shift -= 8) {
    for (var i = thread; i < DIGITS; i += THREADS) {
      atomicStore(&histogram[i], 0u);
    }
    workgroupBarrier();
    // WGSL takes shift amounts modulo 32, so a shift by 32 would have no effect.
    let above = select(0xffffffffu << u32(shift + 8), 0u, shift == 24);
    for (var q = thread; q < QUADS; q += THREADS) {
      let v = logits[turn.output + q];
      let keys = keys4(v, top);
      let matching = ((keys & vec4u(above)) == vec4u(state.key)) & (v > vec4f(BANNED));
      if any(matching) {
        var mass = vec4u(1u);
        if !counting {
          mass = vec4u(exp(v - top) / total * 0x1p31 + 0.5);
        }
        for (var i = 0u; i < 4u; i++) {
          if matching[i] && mass[i] > 0u {
            atomicAdd(&histogram[(keys[i] >> u32(shift)) % DIGITS], mass[i]);
          }
        }
      }
    }
    workgroupBarrier();
    if thread < GROUPS {
      var sum = 0u;
      for (var i = 0u; i < DIGITS / GROUPS; i++) {
        sum += atomicLoad(&histogram[thread * (DIGITS / GROUPS) + i]);
      }
      group_masses[thread] = sum;
    }
    workgroupBarrier();
    if thread == 0u {
      shared_search = next_digit(state, target_mass, u32(shift));
    }
    state = workgroupUniformLoad(&shared_search);
    if state.reached == 0u {
      break;
    }
  }
  return state;
}

fn next_digit(state: Search, target_mass: u32, shift: u32) -> Search {
  var before = state.before;
  for (var g = 0u; g < GROUPS; g++) {
    let sum = group_masses[g];
    if sum > 0u && before + sum >= target_mass {
      for (var i = 0u; i < DIGITS / GROUPS; i++) {
        let digit = g * (DIGITS / GROUPS) + i;
        let mass = atomicLoad(&histogram[digit]);
        if mass > 0u && before + mass >= target_mass {
          return Search(state.key | (digit << shift), before, mass, 1u);
        }
        before += mass;
      }
    }
    before += sum;
  }
  return Search(0u, 0u, 0u, 0u);
}

// Computes which tokens top-p and top-k keep. The key and the last id must not depend on `top`:
// barriers depend on them, and compilers cannot prove that `top` is uniform.
fn filter_tokens(turn: Turn, top: f32, thread: u32) -> Kept {
  var key = 0xffffffffu;
  var last = NO_TOKEN;
  if turn.top_p < 1.0 {
    var sum = 0.0;
    for (var q = thread; q < QUADS; q += THREADS) {
      sum += dot(mass4(turn, q, top), vec4f(1.0));
    }
    sum_groups(sum, thread);
    var total = 0.0;
    for (var g = 0u; g < GROUPS; g++) {
      total += group_sums[g];
    }
    let found = find_cutoff(turn, top, total, u32(turn.top_p * 0x1p31), false, thread);
    if found.reached == 1u {
      key = found.key;
    }
  }
  if turn.top_k > 0u {
    let found = find_cutoff(turn, top, 1.0, turn.top_k, true, thread);
    if found.reached == 1u && found.key <= key {
      key = found.key;
      // Among tokens with this key, keep the lowest ids up to top_k.
      let needed = turn.top_k - found.before;
      if needed < found.at {
        last = find_by_weight(turn, Kept(top, key, NO_TOKEN), thread, true, f32(needed) - 0.5);
      }
    }
  }
  return Kept(top, key, last);
}

// Returns tokens' weights: if `counting`, 1 for those with the last key; otherwise the unnormalized
// probabilities of the kept tokens.
fn weights4(turn: Turn, kept: Kept, q: u32, counting: bool) -> vec4f {
  let v = logits[turn.output + q];
  let keys = keys4(v, kept.top);
  let allowed = v > vec4f(BANNED);
  let last = keys == vec4u(kept.key);
  if counting {
    return select(vec4f(0.0), vec4f(1.0), last & allowed);
  }
  let ids = vec4u(q * 4u) + COMPONENTS;
  let kept_mask = allowed & ((keys < vec4u(kept.key)) | (last & (ids <= vec4u(kept.last))));
  return select(vec4f(0.0), exp((v - kept.top) / turn.temperature), kept_mask);
}

// Returns the token at which the cumulative weight, in order of id, reaches the target: `place` if
// `counting`, otherwise `place` times the total weight. Returns the last token with a weight if
// rounding moves the target beyond the total.
fn find_by_weight(turn: Turn, kept: Kept, thread: u32, counting: bool, place: f32) -> u32 {
  let group = thread / LANES;
  var first = 0u;
  var length = QUADS;
  var target_weight = place;
  for (var level = 0u; level < LEVELS; level++) {
    let part = (length + GROUPS - 1u) / GROUPS;
    let end = min(first + min((group + 1u) * part, length), QUADS);
    var sum = 0.0;
    for (var q = first + group * part + thread % LANES; q < end; q += LANES) {
      sum += dot(weights4(turn, kept, q, counting), vec4f(1.0));
    }
    sum_groups(sum, thread);
    if level == 0u && !counting {
      var total = 0.0;
      for (var g = 0u; g < GROUPS; g++) {
        total += group_sums[g];
      }
      target_weight *= total;
    }
    var before = 0.0;
    var selected = 0u;
    var remainder = target_weight;
    for (var g = 0u; g < GROUPS; g++) {
      let sum = group_sums[g];
      if sum > 0.0 && before <= target_weight {
        selected = g;
        remainder = target_weight - before;
      }
      before += sum;
    }
    first += selected * part;
    length = part;
    target_weight = remainder;
  }
  let weights = weights4(turn, kept, first, counting);
  var before = 0.0;
  var selected = 0u;
  for (var i = 0u; i < 4u; i++) {
    if weights[i] > 0.0 && before <= target_weight {
      selected = i;
    }
    before += weights[i];
  }
  return first * 4u + selected;
}
