// sample: samples a token from logits, counts it, and checks whether it ends the turn
//   logits      : f32[outputs, QUADS * 4]     updated in place by bias and penalties
//   adjustments : f32[slots, 2, QUADS * 4]    bias (BANNED or less: never sampled), counts
//   slots       : u32[slots, SLOT_WORDS]      see slot_layout.ts
//   stops       : u32[slots, STOPS_STRIDE]    bit masks of the stop strings
//   vocabulary  : u32[ids + 1, ...]           start of each id's bytes, then the bytes
//   rows        : u32[tokens, 4]              id, slot, first of its run, last of its run
//   output_rows : u32[outputs]                indices into rows
//   sampled     : u32[slots, SAMPLED_STRIDE]  number of ids, finish code, ids
// Constants: QUADS, IDS, LANES, THREADS = 16 * LANES, BANNED, SAMPLED_STRIDE, and those of
// slot_layout.ts. Grid (outputs, 1, 1). Same semantics as src/sampler/sampler.ts, in float32.
@group(0) @binding(0) var<storage, read_write> logits: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> adjustments: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> slots: array<u32>;
@group(0) @binding(3) var<storage, read> stops: array<u32>;
@group(0) @binding(4) var<storage, read> vocabulary: array<u32>;
@group(0) @binding(5) var<storage, read> rows: array<vec4u>;
@group(0) @binding(6) var<storage, read> output_rows: array<u32>;
@group(0) @binding(7) var<storage, read_write> sampled: array<u32>;

struct Turn {
  at: u32, // first word of the slot
  output: u32, // first quad of its logits
  bias: u32, // first quad of its bias
  counts: u32, // first quad of its counts
  running: u32,
  counting: u32,
  temperature: f32,
  top_p: f32,
  top_k: u32,
  presence: f32,
  frequency: f32,
  decay: f32,
}

var<workgroup> shared_turn: Turn;
var<workgroup> shared_fault: atomic<u32>;
var<workgroup> shared_finish: u32;

const COMPONENTS = vec4u(0u, 1u, 2u, 3u);

fn read_f32(i: u32) -> f32 {
  return bitcast<f32>(slots[i]);
}

fn read_turn(output: u32) -> Turn {
  let slot = rows[output_rows[output]].y;
  let at = slot * SLOT_WORDS;
  return Turn(
    at,
    output * QUADS,
    slot * 2u * QUADS,
    slot * 2u * QUADS + QUADS,
    slots[at + SLOT_ACTIVE],
    slots[at + SLOT_COUNTS_TOKENS],
    read_f32(at + SLOT_TEMPERATURE),
    read_f32(at + SLOT_TOP_P),
    slots[at + SLOT_TOP_K],
    read_f32(at + SLOT_PRESENCE_PENALTY),
    read_f32(at + SLOT_FREQUENCY_PENALTY),
    read_f32(at + SLOT_PENALTY_DECAY),
  );
}

// Applies bias and penalties. Returns the maximum score and its id; on ties, the lowest id.
fn apply_adjustments(turn: Turn, thread: u32) -> Best {
  var best = Best(BANNED, NO_TOKEN);
  var fault = false;
  for (var q = thread; q < QUADS; q += THREADS) {
    var v = logits[turn.output + q];
    let bits = bitcast<vec4u>(v);
    let not_finite = (bits & vec4u(0x7fffffffu)) >= vec4u(0x7f800000u);
    fault = fault || any(not_finite & (bits != vec4u(0xff800000u)));
    v += adjustments[turn.bias + q];
    if turn.counting == 1u {
      let count = adjustments[turn.counts + q];
      v -= select(vec4f(0.0), vec4f(turn.presence) + count * turn.frequency, count > vec4f(0.0));
    }
    logits[turn.output + q] = v;
    for (var i = 0u; i < 4u; i++) {
      if v[i] > best.score {
        best = Best(v[i], q * 4u + i);
      }
    }
  }
  if fault {
    atomicOr(&shared_fault, 1u);
  }
  return best_of_all(best, thread);
}

// Returns the token that the random number selects among the kept tokens, in order of id.
fn draw_token(turn: Turn, kept: Kept, thread: u32) -> u32 {
  let position = vec2u(slots[turn.at + SLOT_POSITION], slots[turn.at + SLOT_POSITION + 1u]);
  let seed = vec2u(slots[turn.at + SLOT_SEED], slots[turn.at + SLOT_SEED + 1u]);
  return find_by_weight(turn, kept, thread, false, random_at(position, seed));
}

// Counts a token: all counts decay, then the token's count increases by one.
fn count_token(turn: Turn, token: u32, thread: u32) {
  if turn.decay != 1.0 {
    for (var q = thread; q < QUADS; q += THREADS) {
      let decayed = adjustments[turn.counts + q] * turn.decay;
      adjustments[turn.counts + q] = select(decayed, vec4f(0.0), decayed < vec4f(0x1p-126));
    }
    storageBarrier();
  }
  if thread == 0u {
    let q = turn.counts + token / 4u;
    adjustments[q] += select(vec4f(0.0), vec4f(1.0), COMPONENTS == vec4u(token % 4u));
  }
}

// Returns whether a token's bytes complete a stop string: shift-and, see src/core/stop_search.ts.
fn completes_stop(turn: Turn, token: u32) -> bool {
  let slot = turn.at / SLOT_WORDS;
  let words = slots[turn.at + SLOT_STOP_WORDS];
  let masks = slot * STOPS_STRIDE;
  let starts = masks + 256u * words;
  let ends = starts + words;
  var found = slots[turn.at + SLOT_STOP_FOUND] == 1u;
  if words == 0u {
    return found;
  }
  for (var b = vocabulary[token]; b < vocabulary[token + 1u]; b++) {
    let byte = (vocabulary[IDS + 1u + b / 4u] >> (b % 4u * 8u)) & 0xffu;
    var carry = 0u;
    for (var w = 0u; w < words; w++) {
      let previous = slots[turn.at + SLOT_STOP_BITS + w];
      let next = ((previous << 1u) | carry | stops[starts + w]) & stops[masks + byte * words + w];
      slots[turn.at + SLOT_STOP_BITS + w] = next;
      carry = previous >> 31u;
      found = found || (next & stops[ends + w]) != 0u;
    }
  }
  return found;
}

// Stores a token for the next step and for readback. Called by one thread.
fn store_token(turn: Turn, token: u32) {
  let remaining = slots[turn.at + SLOT_REMAINING] - 1u;
  let stopped = completes_stop(turn, token) || token == slots[turn.at + SLOT_END_TOKEN];
  let finish = select(select(FINISH_NONE, FINISH_LENGTH, remaining == 0u), FINISH_STOP, stopped);
  let position = slots[turn.at + SLOT_POSITION] + 1u;
  slots[turn.at + SLOT_POSITION] = position;
  slots[turn.at + SLOT_POSITION + 1u] += u32(position == 0u);
  slots[turn.at + SLOT_TOKEN] = token;
  slots[turn.at + SLOT_REMAINING] = remaining;
  let to = turn.at / SLOT_WORDS * SAMPLED_STRIDE;
  let count = sampled[to];
  sampled[to + SAMPLED_HEADER + count] = token;
  sampled[to] = count + 1u;
  finish_turn(turn, finish);
}

// Stores the finish code, and deactivates the slot if the turn has ended.
fn finish_turn(turn: Turn, finish: u32) {
  slots[turn.at + SLOT_ACTIVE] = u32(finish == FINISH_NONE);
  sampled[turn.at / SLOT_WORDS * SAMPLED_STRIDE + 1u] = finish;
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  if thread == 0u {
    shared_turn = read_turn(group.x);
  }
  let turn = workgroupUniformLoad(&shared_turn);
  if turn.running == 0u {
    return;
  }
  let best = apply_adjustments(turn, thread);
  storageBarrier();
  if thread == 0u {
    let fault = select(FINISH_NONE, FINISH_NOT_FINITE, atomicLoad(&shared_fault) == 1u);
    shared_finish = select(fault, FINISH_ALL_BANNED, fault == FINISH_NONE && best.id == NO_TOKEN);
  }
  if workgroupUniformLoad(&shared_finish) != FINISH_NONE {
    if thread == 0u {
      finish_turn(turn, shared_finish);
    }
    return;
  }
  var token = best.id;
  if turn.temperature > 0.0 {
    token = draw_token(turn, filter_tokens(turn, best.score, thread), thread);
  }
  if turn.counting == 1u {
    count_token(turn, token, thread);
  }
  if thread == 0u {
    store_token(turn, token);
  }
}
