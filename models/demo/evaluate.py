"""Does the model remember? Greedy decoding of conversations in which something is told and later asked for.

    python evaluate.py                          score model.safetensors on held_out.json
    python evaluate.py --seed 7                 the same on freshly made conversations
    python evaluate.py --make held_out.json     write a set (the published one has seed 2024)
    python evaluate.py --sums --stories         all additions of digits; twelve stories
    python evaluate.py --chat                   type to it

Matrices are F16 as published, the arithmetic is float32.
"""
import argparse
import json
import os
import random
import re
from collections import defaultdict

import torch

import make_dialogues as md
import values
from rwkv5 import load
from tokenizer import Tokenizer

HERE = os.path.dirname(os.path.abspath(__file__))
# Ways of putting it which occur in no training dialogue; about one conversation in five uses one of each.
NEW_TELL = {
    "name": ["Let's start with introductions: I'm V", "The people at work know me as V", "V, that's me", "On my passport it says V", "I answer to V"],
    "pet": ["At home a K named V is waiting for me", "There is a K in my house and he is called V", "I share my flat with V, a K", "We adopted a K and named it V"],
    "colour": ["If I had to choose a O it would be V", "Nothing beats V, it is my favourite O", "V has always been the O I like"],
    "town": ["These days I live in V", "I've been living in V for two years", "My family comes from V", "My house stands in V"],
    "number": ["A number that matters to me is V", "The number I want you to remember is V", "Make a note of the number V"],
}
NEW_ASK = {
    "name": ["Could you remind me what my name was?", "I wonder if you still know my name.", "Sorry, what's my name again?"],
    "pet": ["By the way, what's the name of my K?", "Could you remind me what my K was called?", "Let's see: my K, what's its name?"],
    "colour": ["By the way, what's my favourite O again?", "Which O did I tell you was my favourite?", "I wonder if you still know my favourite O."],
    "town": ["By the way, where was it that I live?", "I wonder if you still know where I live.", "Remember which town I live in?"],
    "number": ["By the way, what was that number of mine?", "I wonder if you still know my number.", "Which number was it that I told you?"],
}


def conversation(rng, unseen, what):
    """The user's side of one conversation, and the value that the last reply must contain."""
    d = md.Dialogue(rng, md.FIXED, unseen=unseen, real=0.5)
    if rng.random() < 0.3:
        d.say(md.typed(rng, rng.choice(("Hello", "Hi", "Good morning", "Hey there"))), "")
    d.strange = 0.0
    d.real = 0.5 if unseen else 1.0  # a known value is a written-down one, so that it surely occurs in training
    others = [slot for slot in values.KINDS if slot != what]
    if rng.random() < 0.3:
        d.tell(others.pop(rng.randrange(len(others))))
    if rng.random() < 0.2:
        d.learn(what)
        d.say(md.typed(rng, d.put(what, rng.choice(NEW_TELL[what]))), "")
    elif rng.random() < 0.15:
        d.tell_several([what, others.pop(rng.randrange(len(others)))])
    else:
        d.tell(what)
    d.real = 0.5
    for _ in range(rng.choice((3, 3, 4, 5, 6))):
        if others and rng.random() < 0.35:
            d.tell(others.pop(rng.randrange(len(others))))
        else:
            d.filler(asks=False)
    template = rng.choice(NEW_ASK[what] if rng.random() < 0.2 else md.ASK[what])
    d.say(md.typed(rng, d.put(what, template)), "")
    turns = [user.replace(md.OPEN, "").replace(md.SHUT, "") for user, _ in d.turns]
    assert any(d.told[what].lower() in turn.lower() for turn in turns[:-1])
    return dict(kind="unseen" if unseen else "known", what=what, value=d.told[what], turns=turns)


def make(seed, each=100):
    """`each` conversations with values of either side of the split, evenly over what is told."""
    rng = random.Random(f"evaluation {seed}")
    return [conversation(rng, unseen, values.KINDS[i % 5]) for unseen in (False, True) for i in range(each)]


@torch.no_grad()
def converse(model, tok, talks, limit=140):
    """Greedy replies to lists of user messages, all conversations at once, each from a zero state.

    A talk may begin with a ("system", text) pair in front of its messages.
    """
    rows = len(talks)
    state = model.zero_state(rows)
    waiting = [[] for _ in talks]
    replies = [[] for _ in talks]
    current = [None] * rows
    turn = [0] * rows

    def next_turn(i, closing=""):
        if turn[i] == len(talks[i]):
            return False
        message = talks[i][turn[i]]
        head = ""
        if isinstance(message, tuple):
            head = f"System: {message[1]}\n\n"
            turn[i] += 1
            message = talks[i][turn[i]]
        waiting[i] = tok.encode(f"{closing}{head}User: {message}\n\nAssistant:")
        turn[i] += 1
        return True

    active = [next_turn(i) for i in range(rows)]
    logits = None
    while any(active):
        feed = []
        for i in range(rows):
            if not active[i]:
                feed.append(0)
                continue
            if not waiting[i]:
                if current[i] is None:
                    current[i] = []
                best = int(choice[i])
                if best in (tok.end, 0) or len(current[i]) >= limit:
                    replies[i].append(tok.decode(current[i]).strip())
                    current[i] = None
                    active[i] = next_turn(i, "\n\n")
                else:
                    current[i].append(best)
                    waiting[i] = [best]
            feed.append(waiting[i].pop(0) if active[i] else 0)
        logits, state = model.step(torch.tensor(feed), state)
        choice = logits.argmax(-1)
    return replies


def right(talk, reply):
    flags = re.IGNORECASE if talk["what"] == "colour" else 0
    return re.search(rf"(?<!\w){re.escape(talk['value'])}(?!\w)", reply, flags) is not None


def score(model, tok, talks, show=0):
    """Prints the share of right answers; returns it by kind."""
    table = defaultdict(list)
    for talk, replies in zip(talks, converse(model, tok, [t["turns"] for t in talks])):
        ok = right(talk, replies[-1])
        table[talk["kind"], talk["what"]].append(ok)
        table[talk["kind"], "all"].append(ok)
        if not ok and show > 0:
            show -= 1
            print(f"--- {talk['kind']} {talk['what']} {talk['value']}")
            for user, reply in zip(talk["turns"], replies):
                print(f"    {user}  ->  {reply}")
    for kind in ("known", "unseen"):
        print(kind, "  ".join(f"{what} {100 * sum(t) / len(t):.1f}% of {len(t)}"
                              for (k, what), t in sorted(table.items()) if k == kind))
    return {k: sum(t) / len(t) for k, t in table.items()}


def sums(model, tok):
    """All additions of two digits, in three phrasings."""
    for form in ("What is {} + {}?", "what's {}+{}", "{} plus {}"):
        pairs = [(a, b) for a in range(10) for b in range(10)]
        replies = converse(model, tok, [[form.format(a, b)] for a, b in pairs])
        wrong = [(a, b, r[0]) for (a, b), r in zip(pairs, replies) if not r[0].rstrip(".").endswith(f" {a + b}")]
        print(f"{form}: {100 - len(wrong)} of 100 right", wrong[:5])


def stories(model, tok):
    asks = ["Tell me a story", "tell me a story.", "Can you tell me a story about a robot?", "A story about a cat please",
            "Tell me a story about the moon.", "write a short story about a dragon", "Tell me another story!",
            "tell me a story about a penguin", "I want a story about a train.", "Do you know a story about a queen?",
            "Make up a story about a fox", "Tell me a bedtime story"]
    for ask, (reply,) in zip(asks, converse(model, tok, [[a] for a in asks])):
        print(f"> {ask}\n{reply}  [{len(tok.encode(reply))} tokens]\n")


@torch.no_grad()
def chat(model, tok):
    """A conversation by keyboard."""
    state, text = model.zero_state(1), ""
    while True:
        try:
            text += f"User: {input('> ').strip()}\n\nAssistant:"
        except EOFError:
            return
        for t in tok.encode(text):
            logits, state = model.step(torch.tensor([t]), state)
        reply = []
        while len(reply) < 200 and (best := int(logits.argmax())) not in (tok.end, 0):
            reply.append(best)
            logits, state = model.step(torch.tensor([best]), state)
        print(tok.decode(reply).strip())
        text = "\n\n"


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--model", default=os.path.join(HERE, "model.safetensors"))
    p.add_argument("--set", default=os.path.join(HERE, "held_out.json"))
    p.add_argument("--seed", type=int, help="score fresh conversations of this seed instead")
    p.add_argument("--make", help="write a set to this file")
    p.add_argument("--show", type=int, default=0, help="how many failures to print")
    for flag in ("--sums", "--stories", "--chat"):
        p.add_argument(flag, action="store_true")
    args = p.parse_args()
    if args.make:
        with open(args.make, "w") as f:
            talks = ",\n".join(json.dumps(t) for t in make(2024 if args.seed is None else args.seed))
            f.write('{"conversations": [\n' + talks + "\n]}\n")
        return
    model, tok = load(args.model), Tokenizer()
    if args.chat:
        return chat(model, tok)
    if args.sums or args.stories:
        if args.sums:
            sums(model, tok)
        if args.stories:
            stories(model, tok)
        return
    talks = make(args.seed) if args.seed is not None else json.load(open(args.set))["conversations"]
    score(model, tok, talks, args.show)


if __name__ == "__main__":
    main()
