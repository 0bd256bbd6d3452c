"""RWKV-5.2 in plain PyTorch: a parallel (chunked) form for training and a one-token form for decoding."""
import json
import math
import os
import struct

import torch
import torch.nn as nn
import torch.nn.functional as F

CHUNK = 32
MAX_DECAY = 0.8  # time_decay is held below this, so that w ** -CHUNK stays well inside float32
GROUP_NORM_EPS = 64e-5


def wkv_chunked(rkv, decay, u):
    """The WKV5 recurrence from a zero state for rkv [3, B, T, H, N], T a multiple of CHUNK."""
    _, B, T, H, N = rkv.shape
    L, n, dtype = CHUNK, T // CHUNK, rkv.dtype
    r, k, v = rkv.unflatten(2, (n, L)).permute(0, 1, 4, 2, 3, 5).contiguous()  # [B, H, n, L, N] each
    rate = torch.exp(decay.float()).view(1, H, 1, 1, N)  # w = exp(-rate)
    t = torch.arange(L, dtype=torch.float32, device=rkv.device).view(1, 1, 1, L, 1)
    rd = r * torch.exp(-rate * t).to(dtype)
    kd = k * torch.exp(rate * (t + 1)).to(dtype)
    own = torch.matmul(r * k, u.view(1, H, 1, N, 1).to(dtype))  # what a position sees of itself
    earlier = torch.ones(L, L, dtype=dtype, device=rkv.device).tril(-1)
    here = torch.eye(L, dtype=dtype, device=rkv.device)
    y = torch.matmul(torch.matmul(rd, kd.transpose(-1, -2)) * earlier + own * here, v)
    if n > 1:
        whole = torch.exp(-rate * L).view(1, H, N, 1)
        step = torch.matmul(kd[:, :, :-1].transpose(-1, -2), v[:, :, :-1])  # [B, H, n-1, N, N]
        states = [step[:, :, 0] * whole]
        for i in range(1, n - 1):
            states.append((states[-1] + step[:, :, i]) * whole)
        late = torch.matmul(rd[:, :, 1:], torch.stack(states, 2).to(dtype))
        y = torch.cat([y[:, :, :1], y[:, :, 1:] + late], 2)
    return y.permute(0, 2, 3, 1, 4).reshape(B, T, H, N)


def wkv_plain(r, k, v, decay, u, state):
    """The same recurrence token by token; returns the outputs and the state after the last token."""
    w = torch.exp(-torch.exp(decay.float())).unsqueeze(-1)
    out = []
    for t in range(r.shape[1]):
        kv = k[:, t].unsqueeze(-1) * v[:, t].unsqueeze(-2)
        out.append((r[:, t].unsqueeze(-1) * (u.unsqueeze(-1) * kv + state)).sum(-2))
        state = w * state + kv
    return torch.stack(out, 1), state


def shifted(x):
    """Each position's predecessor, zeros before the first."""
    return F.pad(x, (0, 0, 1, -1))


def lowered(x):
    """x in the type autocast would give it in a matmul: the shift and the mix then move half the bytes."""
    return x.to(torch.bfloat16) if torch.is_autocast_enabled("cpu") else x


def linear(n_in, n_out, gain):
    """A bias-free linear layer with orthogonal weights, as RWKV starts them."""
    layer = nn.Linear(n_in, n_out, bias=False)
    if gain == 0:
        nn.init.zeros_(layer.weight)
    else:
        nn.init.orthogonal_(layer.weight, gain=gain * max(1.0, math.sqrt(n_out / n_in)))
    return layer


class TimeMix(nn.Module):
    def __init__(self, i, layers, C, N):
        super().__init__()
        H = C // N
        self.H, self.N = H, N
        depth, rest = i / max(1, layers - 1), 1 - i / layers
        ramp = (torch.arange(C) / C).view(1, 1, C)
        self.time_mix_k = nn.Parameter(ramp ** rest)
        self.time_mix_v = nn.Parameter(ramp ** rest + 0.3 * depth)
        self.time_mix_r = nn.Parameter(ramp ** (0.5 * rest))
        self.time_mix_g = nn.Parameter(ramp ** (0.5 * rest))
        n = torch.arange(C)
        # Slower than the usual -6 .. -1: conversations are to be remembered over hundreds of tokens.
        self.time_decay = nn.Parameter((-8 + 7 * (n / (C - 1)) ** (0.9 + 1.3 * depth)).view(H, N))
        zigzag = ((n + 1) % 3 - 1) * 0.1
        self.time_faaaa = nn.Parameter((depth * (1 - n / (C - 1)) + zigzag).view(H, N))
        self.receptance = linear(C, C, 1)
        self.key = linear(C, C, 0.3)
        self.value = linear(C, C, 1)
        self.gate = linear(C, C, 0.5)
        self.output = linear(C, C, 0)
        self.ln_x = nn.GroupNorm(H, C, eps=GROUP_NORM_EPS)

    def mixed(self, x, prev):
        """r, k, v and g at once: W(x*m + prev*(1-m)) as one product over [x, prev]."""
        parts = ((self.receptance, self.time_mix_r), (self.key, self.time_mix_k),
                 (self.value, self.time_mix_v), (self.gate, self.time_mix_g))
        now = torch.cat([p.weight * m.view(1, -1) for p, m in parts])
        before = torch.cat([p.weight * (1 - m.view(1, -1)) for p, m in parts])
        return F.linear(torch.cat([x, prev], -1), torch.cat([now, before], 1))

    def finish(self, y, g):
        shape = y.shape[:2]
        y = self.ln_x(y.reshape(shape[0] * shape[1], -1)).view(*shape, -1)
        return self.output(y * F.silu(g))

    def heads(self, *tensors):
        return [t.reshape(*t.shape[:2], self.H, self.N) for t in tensors]

    def forward(self, x):
        B, T, C = x.shape
        x = lowered(x)
        rkv, g = self.mixed(x, shifted(x)).split([3 * C, C], -1)
        rkv = rkv.view(B, T, 3, self.H, self.N).permute(2, 0, 1, 3, 4)
        return self.finish(wkv_chunked(rkv, self.time_decay, self.time_faaaa), g)

    def step(self, x, prev, state):
        r, k, v, g = self.mixed(x, prev).chunk(4, -1)
        y, state = wkv_plain(*self.heads(r, k, v), self.time_decay, self.time_faaaa, state)
        return self.finish(y, g), state


class ChannelMix(nn.Module):
    def __init__(self, i, layers, C, width):
        super().__init__()
        rest = 1 - i / layers
        ramp = (torch.arange(C) / C).view(1, 1, C)
        self.time_mix_k = nn.Parameter(ramp ** rest)
        self.time_mix_r = nn.Parameter(ramp ** rest)
        self.key = linear(C, width, 1)
        self.receptance = linear(C, C, 0.5)
        self.value = linear(width, C, 0)

    def forward(self, x, prev=None):
        if prev is None:
            x = lowered(x)
            prev = shifted(x)
        mk, mr = self.time_mix_k.view(1, -1), self.time_mix_r.view(1, -1)
        now = torch.cat([self.key.weight * mk, self.receptance.weight * mr])
        before = torch.cat([self.key.weight * (1 - mk), self.receptance.weight * (1 - mr)])
        kr = F.linear(torch.cat([x, prev], -1), torch.cat([now, before], 1))
        k, r = kr.split([self.key.weight.shape[0], self.receptance.weight.shape[0]], -1)
        k = torch.relu(k)
        return torch.sigmoid(r) * self.value(k * k)


class Block(nn.Module):
    def __init__(self, i, layers, C, N, width):
        super().__init__()
        if i == 0:
            self.ln0 = nn.LayerNorm(C)
        self.ln1 = nn.LayerNorm(C)
        self.ln2 = nn.LayerNorm(C)
        self.att = TimeMix(i, layers, C, N)
        self.ffn = ChannelMix(i, layers, C, width)


class RWKV5(nn.Module):
    """The whole model. `features` is the parallel form; `step` feeds tokens into a stored state."""

    def __init__(self, vocab, layers=4, C=128, N=64, width=448):
        super().__init__()
        self.C, self.N, self.layers = C, N, layers
        self.emb = nn.Embedding(vocab, C)
        nn.init.uniform_(self.emb.weight, -0.02, 0.02)
        self.blocks = nn.ModuleList(Block(i, layers, C, N, width) for i in range(layers))
        self.ln_out = nn.LayerNorm(C)
        self.head = linear(C, vocab, 0.5)

    def features(self, tokens):
        """[B, T] tokens (T a multiple of CHUNK), from a zero state, to [B, T, C] before the head."""
        x = self.blocks[0].ln0(self.emb(tokens))
        for b in self.blocks:
            x = x + b.att(b.ln1(x))
            x = x + b.ffn(b.ln2(x))
        return self.ln_out(x)

    def forward(self, tokens):
        return self.head(self.features(tokens))

    def zero_state(self, rows):
        one = lambda: [torch.zeros(rows, 1, self.C), torch.zeros(rows, self.C // self.N, self.N, self.N),
                       torch.zeros(rows, 1, self.C)]
        return [one() for _ in range(self.layers)]

    def step(self, tokens, state):
        """[B] tokens and a state to [B, V] logits and the new state."""
        x = self.blocks[0].ln0(self.emb(tokens)).unsqueeze(1)
        new = []
        for b, (att_prev, wkv, ffn_prev) in zip(self.blocks, state):
            xx = b.ln1(x)
            y, wkv = b.att.step(xx, att_prev, wkv)
            x = x + y
            zz = b.ln2(x)
            x = x + b.ffn(zz, ffn_prev)
            new.append([xx, wkv, zz])
        return self.head(self.ln_out(x)).squeeze(1), new

    def clamp_(self):
        """Keep the decays where the chunked form is exact."""
        with torch.no_grad():
            for b in self.blocks:
                b.att.time_decay.clamp_(max=MAX_DECAY)


def sizes_of(weights):
    """The constructor's arguments, read off a checkpoint's tensors."""
    vocab, C = weights["emb.weight"].shape
    layers = 1 + max(int(name.split(".")[1]) for name in weights if name.startswith("blocks."))
    return dict(vocab=vocab, layers=layers, C=C, N=weights["blocks.0.att.time_decay"].shape[1],
                width=weights["blocks.0.ffn.key.weight"].shape[0])


TYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I32": torch.int32, "I64": torch.int64,
         "F64": torch.float64}


def read_safetensors(path):
    with open(path, "rb") as f:
        data = f.read()
    size = struct.unpack("<Q", data[:8])[0]
    out = {}
    for name, t in json.loads(data[8:8 + size]).items():
        if name != "__metadata__":
            a, b = t["data_offsets"]
            raw = bytearray(data[8 + size + a:8 + size + b])
            out[name] = torch.frombuffer(raw, dtype=TYPES[t["dtype"]]).reshape(t["shape"])
    return out


def write_safetensors(path, model):
    """Matrices as F16, vectors as F32; written beside the target and then renamed over it."""
    header, blobs, at = {"__metadata__": {"format": "pt"}}, [], 0
    for name, p in model.state_dict().items():
        half = p.dim() == 2 and name.endswith(".weight")
        raw = p.detach().to(torch.float16 if half else torch.float32).contiguous().numpy().tobytes()
        header[name] = dict(dtype="F16" if half else "F32", shape=list(p.shape), data_offsets=[at, at + len(raw)])
        blobs.append(raw)
        at += len(raw)
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    with open(path + ".part", "wb") as f:
        f.write(struct.pack("<Q", len(head)) + head + b"".join(blobs))
    os.replace(path + ".part", path)


def load(path):
    """A model for decoding from a safetensors file: F16-rounded weights computed in float32."""
    weights = {k: v.float() for k, v in read_safetensors(path).items()}
    model = RWKV5(**sizes_of(weights))
    model.load_state_dict(weights)
    return model.eval()
