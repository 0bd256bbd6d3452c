"""Builds vocab.txt: bytes, the common words of the dialogues, and generic pieces for everything a user may tell.

Usage: python make_vocab.py > vocab.txt. The published vocabulary is fixed; a new one needs a new model.
"""
import random
import re
from collections import Counter

import make_dialogues
import values

WORDS, STARTS, ENDINGS = 1300, 330, 420


def corpus_words(rng, dialogues):
    """How often each word with its leading space occurs outside told values."""
    count = Counter()
    for i in range(dialogues):
        text = make_dialogues.as_text(*make_dialogues.dialogue(rng, 0.9))
        text = re.sub(make_dialogues.OPEN + ".*?" + make_dialogues.SHUT, "\n", text)
        count.update(re.findall(r" [A-Za-z']+", text))
    # The frequent way of starting a turn is no different from other places, and towns are spelled like any told town.
    for town in make_dialogues.CAPITALS.values():
        count.pop(" " + town, None)
    spelled = {w for w in values.LISTED if w not in values.BASIC_COLOURS + [h.lower() for h in make_dialogues.HEROES]}
    for word in [w for w in count if w[1:] in spelled or (w[1:2].isupper() and w[1:].lower() in spelled)]:
        if word[1:].lower() not in make_dialogues.NOUNS + make_dialogues.OBJECTS + make_dialogues.MONTHS and count[word] < 400:
            del count[word]
    return count


def pieces(rng, samples):
    """Starts (with a space and a capital) and endings for names, by how much text they cover."""
    start, inner = Counter(), Counter()
    for _ in range(samples):
        kind = rng.choice(("name", "name", "pet", "town", "town", "colour"))
        for word in values.value(kind, rng, make_dialogues.FIXED, real=0.5).lower().split():
            for n in (2, 3):
                if len(word) > n:
                    start[word[:n]] += n - 1
                for i in range(1, len(word) - n + 1):
                    inner[word[i:i + n]] += n - 1
    return start, inner


def build():
    rng = random.Random(5)
    tokens = ["\n\n"] + [chr(i) for i in range(128)] + [bytes([i]) for i in range(128, 256)]
    tokens += ["User:", "Assistant:", "System:", "'s", "'m", "'ve"]
    tokens += [f" {d}" for d in range(10)]
    letters = "abcdefghijklmnopqrstuvwxyz"
    start, inner = pieces(rng, 60000)
    begin = [piece for piece, _ in start.most_common(STARTS)]
    for piece in list(letters) + begin:
        tokens += [" " + piece.capitalize(), " " + piece]
    tokens += [piece for piece, _ in inner.most_common(ENDINGS)]
    words = corpus_words(rng, 25000)
    tokens += [word for word, n in words.most_common(WORDS) if n >= 12]
    return list(dict.fromkeys(tokens))


if __name__ == "__main__":
    for i, token in enumerate(build(), 1):
        print(i, repr(token), len(token.encode() if isinstance(token, str) else token))
