"""Trains the demo model on endless generated dialogues, on a CPU.

    python train.py --tokens 120e6                       start, or carry on from run/checkpoint.pt
    python train.py --init model.safetensors --tokens 1e6  carry on from a published model with a fresh optimizer

The learning rate is constant after a warm-up and falls over the last `--decay` of the tokens.
"""
import argparse
import math
import multiprocessing
import os
import random
import signal
import time

import numpy as np
import torch
import torch.nn.functional as F

import make_dialogues as md
from rwkv5 import CHUNK, RWKV5, load, write_safetensors
from tokenizer import Tokenizer

HERE = os.path.dirname(os.path.abspath(__file__))
RUN = os.path.join(HERE, "run")


def example(rng, tok, level, args):
    """Tokens of one dialogue, and the weight of predicting each."""
    real = args.real if level > 0.1 else 0.5
    system, turns = md.dialogue(rng, level, real)
    tokens, weights = tok.encode_marked(md.as_text(system, [])) if system else ([], [])
    weights = [0.0] * len(tokens)
    for user, reply in turns:
        part = tok.encode(f"User: {user}\n\nAssistant:".replace(md.OPEN, "").replace(md.SHUT, ""))
        tokens += part
        weights += [0.3 if rng.random() < 0.1 else 0.0 for _ in part]
        part, is_value = tok.encode_marked(f" {reply}\n\n")
        tokens += part
        weights += [args.value_weight if flag else 1.0 for flag in is_value]
    return tokens, weights


def batches(level, size, seed, args):
    """Endless batches of dialogues of about the same length, one a row, padded to whole chunks."""
    rng, tok = random.Random(seed), Tokenizer()
    while True:
        pool = [example(rng, tok, level.value, args) for _ in range(600)]
        pool = sorted((e for e in pool if 2 < len(e[0]) <= 640), key=lambda e: len(e[0]))
        ready, row = [], []
        for e in pool:
            if row and (len(row) + 1) * padded(len(e[0]) - 1) > size.value:
                ready.append(row)
                row = []
            row.append(e)
        rng.shuffle(ready)
        for rows in ready:
            T = padded(max(len(t) for t, _ in rows) - 1)
            x = np.zeros((len(rows), T), np.int64)
            y = np.zeros((len(rows), T), np.int64)
            w = np.zeros((len(rows), T), np.float32)
            for i, (t, weight) in enumerate(rows):
                n = len(t) - 1
                x[i, :n], y[i, :n], w[i, :n] = t[:-1], t[1:], weight[1:]
            yield x, y, w, sum(len(t) for t, _ in rows)


def padded(n):
    return -(-n // CHUNK) * CHUNK


def produce(queue, level, size, seed, args):
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for batch in batches(level, size, seed, args):
        queue.put(batch)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--tokens", type=float, default=120e6, help="tokens to have seen at the end")
    p.add_argument("--decay", type=float, default=0.3, help="share of the tokens over which the rate falls")
    p.add_argument("--minutes", type=float, help="instead: stop after so long, the rate falling from --peak in a straight line")
    p.add_argument("--peak", type=float, default=2.5e-3)
    p.add_argument("--floor", type=float, default=5e-5)
    p.add_argument("--warm", type=float, default=0.8e6, help="tokens of warm-up")
    p.add_argument("--easy", type=float, default=2e6, help="tokens of the easiest dialogues")
    p.add_argument("--hard", type=float, default=16e6, help="tokens after which dialogues are at their hardest")
    p.add_argument("--channels", type=int, default=192)
    p.add_argument("--layers", type=int, default=4)
    p.add_argument("--real", type=float, default=0.35, help="share of written-down values")
    p.add_argument("--value-weight", type=float, default=4.0)
    p.add_argument("--batch", type=int, default=8192)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--init", help="a model.safetensors to start from")
    p.add_argument("--run", default=RUN)
    args = p.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    os.makedirs(args.run, exist_ok=True)
    path = os.path.join(args.run, "checkpoint.pt")

    vocab = Tokenizer().size
    width = int(args.channels * 3.5) // 32 * 32
    model = load(args.init).train() if args.init else RWKV5(vocab, args.layers, args.channels, 64, width)
    decays = [q for n, q in model.named_parameters() if n.endswith("time_decay")]
    matrices = [q for n, q in model.named_parameters() if q.dim() == 2 and not n.endswith(("time_decay", "time_faaaa"))]
    known = {id(q) for q in decays + matrices}
    vectors = [q for q in model.parameters() if id(q) not in known]
    opt = torch.optim.AdamW([dict(params=matrices, weight_decay=0.01, times=1.0), dict(params=vectors, weight_decay=0.0, times=1.0),
                             dict(params=decays, weight_decay=0.0, times=2.0)], lr=args.peak, betas=(0.9, 0.99), eps=1e-8, fused=True)
    seen, step, spent = 0, 0, 0.0
    if os.path.exists(path) and not args.init:
        saved = torch.load(path)
        model.load_state_dict(saved["model"])
        opt.load_state_dict(saved["opt"])
        seen, step, spent = saved["seen"], saved["step"], saved["spent"]

    def save():
        torch.save(dict(model=model.state_dict(), opt=opt.state_dict(), seen=seen, step=step, spent=spent), path + ".part")
        os.replace(path + ".part", path)
        write_safetensors(os.path.join(args.run, "model.safetensors"), model)

    level, size = multiprocessing.Value("d", 0.0), multiprocessing.Value("i", args.batch // 2)
    queue = multiprocessing.Queue(24)
    worker = multiprocessing.Process(target=produce, args=(queue, level, size, args.seed * 1000003 + step, args), daemon=True)
    level.value = 1.0 if args.init else min(1.0, max(0.0, (seen - args.easy) / (args.hard - args.easy)))
    worker.start()
    saved_at = shown_at = began = time.time()
    shown_tokens, sums = seen, np.zeros(5)
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))  # a polite kill saves first
    while (time.time() - began < args.minutes * 60 if args.minutes else seen < args.tokens) and not stop:
        level.value = 1.0 if args.init else min(1.0, max(0.0, (seen - args.easy) / (args.hard - args.easy)))
        size.value = args.batch if seen > args.easy or args.init else args.batch // 2
        left = min(1.0, (args.tokens - seen) / (args.decay * args.tokens))
        fall = 0.5 * (1 - math.cos(math.pi * left))
        if args.minutes:
            fall = max(0.0, 1 - (time.time() - began) / (args.minutes * 60))
        lr = (args.floor + (args.peak - args.floor) * fall) * min(1.0, (seen + 20e3) / args.warm)
        for group in opt.param_groups:
            group["lr"] = lr * group["times"]
        x, y, w, tokens = queue.get()
        x, y, w = torch.from_numpy(x), torch.from_numpy(y), torch.from_numpy(w).view(-1)
        at = w.nonzero().squeeze(1)
        y, w = y.view(-1)[at], w[at]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = model.head(model.features(x).reshape(-1, model.C)[at])
        each = F.cross_entropy(logits.float(), y, reduction="none")
        loss = (each * w).sum() / w.sum()
        opt.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        if torch.isfinite(norm):
            opt.step()
            model.clamp_()
        seen, step = seen + tokens, step + 1
        with torch.no_grad():
            right, copied, reply = logits.argmax(-1) == y, w > 1, w == 1
            sums += [loss.item(), right[copied].sum().item(), copied.sum().item(), right[reply].sum().item(), reply.sum().item()]
        now = time.time()
        if step % 50 == 0:
            print(f"{time.strftime('%H:%M:%S')} step {step} tokens {seen / 1e6:.2f}M loss {sums[0] / 50:.3f} "
                  f"values {sums[1] / max(1, sums[2]):.4f} other {sums[3] / max(1, sums[4]):.4f} level {level.value:.2f} lr {lr:.1e} "
                  f"norm {norm:.2f} {(seen - shown_tokens) / (now - shown_at):.0f} tok/s", flush=True)
            shown_at, shown_tokens, sums = now, seen, np.zeros(5)
        if now - saved_at > 120:
            spent += now - saved_at
            saved_at = now
            save()
    spent += time.time() - saved_at
    save()
    print(f"done: {seen} tokens, {step} steps, {spent / 60:.1f} minutes in all")
    worker.terminate()


if __name__ == "__main__":
    main()
