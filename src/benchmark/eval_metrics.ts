/**
 * Evaluation metrics: the likelihood of a text, and the divergence between the predictions of two
 * models.
 */

/** Returns the log probabilities of logits in float64. */
export function logSoftmax(logits: Float32Array): Float64Array {
  let top = -Infinity;
  for (const logit of logits) top = Math.max(top, logit);
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - top);
  const log = Math.log(sum) + top;
  return Float64Array.from(logits, (logit) => logit - log);
}

/** Returns the Kullback-Leibler divergence of `q` from `p` in nats. Both are log probabilities. */
export function klDivergence(p: Float64Array, q: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < p.length; i++) sum += Math.exp(p[i]) * (p[i] - q[i]);
  return Math.max(0, sum);
}

export interface EvalReport {
  /** Number of scored tokens: all but the first. */
  tokens: number;
  /** Mean negative log likelihood per token, in nats. */
  nll: number;
  perplexity: number;
  /**
   * Compared with the reference: mean and maximum divergence, and how often the most likely token
   * is the same.
   */
  kl_mean?: number;
  kl_max?: number;
  top1?: number;
}

/** Accumulates metrics over the tokens of a text. */
export class Evaluation {
  #tokens = 0;
  #nll = 0;
  #klSum = 0;
  #klMax = 0;
  #agreed = 0;
  #compared = 0;

  /** Adds one position: its logits, the next token, and the logits of the reference model. */
  add(logits: Float32Array, next: number, reference: Float32Array | null): void {
    const q = logSoftmax(logits);
    this.#tokens++;
    this.#nll -= q[next];
    if (!reference) return;
    const p = logSoftmax(reference);
    const kl = klDivergence(p, q);
    this.#compared++;
    this.#klSum += kl;
    this.#klMax = Math.max(this.#klMax, kl);
    if (argmax(p) === argmax(q)) this.#agreed++;
  }

  report(): EvalReport {
    const nll = this.#nll / this.#tokens;
    const report: EvalReport = { tokens: this.#tokens, nll, perplexity: Math.exp(nll) };
    if (this.#compared === 0) return report;
    return {
      ...report,
      kl_mean: this.#klSum / this.#compared,
      kl_max: this.#klMax,
      top1: this.#agreed / this.#compared,
    };
  }
}

function argmax(values: Float64Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
}
