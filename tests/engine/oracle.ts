/**
 * RWKV-5 written directly from its equations, in float64, token by token, without project code. The
 * engines are compared with it on checkpoints that have no published logits.
 */

import type { PthTensor } from "../formats/pth_fixture.ts";

export interface OracleResult {
  /** One row per token. */
  logits: number[][];
  /** For each layer att_prev, wkv [H][N][N], ffn_prev. */
  state: number[];
}

export function oracle(
  tensors: ReadonlyMap<string, PthTensor>,
  tokens: readonly number[],
  groupNormEps = 64e-5,
): OracleResult {
  const get = (name: string) => [...tensors.get(name)!.data];
  const [vocabulary, C] = tensors.get("emb.weight")!.shape;
  const layers = [...tensors.keys()].filter((name) => name.endsWith("ln1.weight")).length;
  const H = tensors.get("blocks.0.att.time_decay")!.shape[0];
  const N = C / H;
  const times = (name: string, x: number[]): number[] => {
    const { shape: [rows, columns], data } = tensors.get(`${name}.weight`)!;
    return Array.from({ length: rows }, (_, row) => {
      let sum = 0;
      for (let c = 0; c < columns; c++) sum += data[row * columns + c] * x[c];
      return sum;
    });
  };
  const normalize = (x: number[], name: string, eps: number, groups = 1): number[] => {
    const [weight, bias] = [get(`${name}.weight`), get(`${name}.bias`)];
    const size = x.length / groups;
    return x.map((_, c) => {
      const group = x.slice(Math.floor(c / size) * size, (Math.floor(c / size) + 1) * size);
      const mean = group.reduce((a, b) => a + b) / size;
      const variance = group.reduce((a, b) => a + (b - mean) ** 2, 0) / size;
      return (x[c] - mean) / Math.sqrt(variance + eps) * weight[c] + bias[c];
    });
  };
  const perChannel = (name: string, f: (v: number) => number): number[] => {
    const values = get(name);
    return Array.from(
      { length: C },
      (_, c) => f(values[values.length === C ? c : Math.floor(c / N)]),
    );
  };
  const sigmoid = (v: number) => 1 / (1 + Math.exp(-v));

  const attPrev = Array.from({ length: layers }, () => new Array<number>(C).fill(0));
  const ffnPrev = Array.from({ length: layers }, () => new Array<number>(C).fill(0));
  const S = Array.from({ length: layers }, () => new Array<number>(C * N).fill(0));
  const logits = tokens.map((token) => {
    let x = get("emb.weight").slice(token * C, (token + 1) * C);
    x = normalize(x, "blocks.0.ln0", 1e-5);
    for (let layer = 0; layer < layers; layer++) {
      const att = `blocks.${layer}.att.`;
      const xx = normalize(x, `blocks.${layer}.ln1`, 1e-5);
      const mixed = (m: string, now: number[], before: number[], part: string) => {
        const mix = get(`blocks.${layer}.${part}.time_mix_${m}`);
        return now.map((v, c) => v * mix[c] + before[c] * (1 - mix[c]));
      };
      const r = times(`${att}receptance`, mixed("r", xx, attPrev[layer], "att"));
      const k = times(`${att}key`, mixed("k", xx, attPrev[layer], "att"));
      const v = times(`${att}value`, mixed("v", xx, attPrev[layer], "att"));
      const gated = tensors.has(`${att}gate.weight`);
      const g = gated
        ? times(`${att}gate`, mixed("g", xx, attPrev[layer], "att")).map((a) => a * sigmoid(a))
        : null;
      const w = perChannel(`${att}time_decay`, (d) => Math.exp(-Math.exp(d)));
      const u = tensors.has(`${att}time_first`)
        ? perChannel(`${att}time_first`, Math.exp)
        : perChannel(`${att}time_faaaa`, (a) => a);
      let y = new Array<number>(C).fill(0);
      for (let h = 0; h < H; h++) {
        for (let i = h * N; i < (h + 1) * N; i++) {
          for (let j = 0; j < N; j++) {
            const kv = k[i] * v[h * N + j];
            y[h * N + j] += r[i] * (u[i] * kv + S[layer][i * N + j]);
            S[layer][i * N + j] = w[i] * S[layer][i * N + j] + kv;
          }
        }
      }
      y = normalize(y, `${att}ln_x`, groupNormEps, H);
      if (g) y = y.map((a, c) => a * g[c]);
      x = times(`${att}output`, y).map((a, c) => x[c] + a);
      attPrev[layer] = xx;

      const zz = normalize(x, `blocks.${layer}.ln2`, 1e-5);
      const ffn = `blocks.${layer}.ffn.`;
      const hidden = times(`${ffn}key`, mixed("k", zz, ffnPrev[layer], "ffn"))
        .map((a) => Math.max(a, 0) ** 2);
      const gate = times(`${ffn}receptance`, mixed("r", zz, ffnPrev[layer], "ffn")).map(sigmoid);
      x = times(`${ffn}value`, hidden).map((a, c) => x[c] + gate[c] * a);
      ffnPrev[layer] = zz;
    }
    return times("head", normalize(x, "ln_out", 1e-5)).slice(0, vocabulary);
  });
  const state = attPrev.flatMap((prev, layer) => [...prev, ...S[layer], ...ffnPrev[layer]]);
  return { logits, state };
}
