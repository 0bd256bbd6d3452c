// gather_last_token: writes the last sampled token of each continuing slot to the step's rows
//   slots : u32[slots, SLOT_WORDS]  see slot_layout.ts
//   rows  : u32[tokens, 4]          id, slot, first of its run, last of its run
//   runs  : u32[runs, 4]            slot, first row, count, 0
// Constants: those of slot_layout.ts. Grid (gathered, 1, 1), one thread each, for the first runs,
// which have one token each. A finished turn gets count 0, so that no kernel changes its state.
@group(0) @binding(0) var<storage, read> slots: array<u32>;
@group(0) @binding(1) var<storage, read_write> rows: array<vec4u>;
@group(0) @binding(2) var<storage, read_write> runs: array<vec4u>;

@compute @workgroup_size(1)
fn main(@builtin(workgroup_id) group: vec3u) {
  let run = runs[group.x];
  let turn = run.x * SLOT_WORDS;
  rows[run.y].x = slots[turn + SLOT_TOKEN];
  runs[group.x].z = slots[turn + SLOT_ACTIVE];
}
