"""The World tokenizer: greedy longest match over UTF-8 bytes."""
import ast
import os
import re

import make_dialogues as md

HERE = os.path.dirname(os.path.abspath(__file__))


class Tokenizer:
    def __init__(self, path=os.path.join(HERE, "vocab.txt")):
        self.bytes = {}
        for line in open(path, encoding="utf-8"):
            first, last = line.index(" "), line.rindex(" ")
            token = ast.literal_eval(line[first + 1:last])
            token = token.encode() if isinstance(token, str) else token
            assert len(token) == int(line[last + 1:])
            self.bytes[int(line[:first])] = token
        self.ids = {token: i for i, token in self.bytes.items()}
        self.longest = max(map(len, self.ids))
        self.size = max(self.bytes) + 1
        self.end = self.ids[b"\n\n"]
        self.cache = {}

    def match(self, data):
        """Greedy longest match of some bytes."""
        out, i = [], 0
        while i < len(data):
            n = min(self.longest, len(data) - i)
            while data[i:i + n] not in self.ids:
                n -= 1
            out.append(self.ids[data[i:i + n]])
            i += n
        return out

    def encode(self, text):
        """Tokens of a text. No token has a space or a newline but at its start, so words can be matched apart."""
        out = []
        for word in re.findall(r"\n+| ?[^ \n]+| ", text):
            tokens = self.cache.get(word)
            if tokens is None:
                if len(self.cache) > 200000:
                    self.cache.clear()
                tokens = self.cache[word] = self.match(word.encode())
            out += tokens
        return out

    def encode_marked(self, text):
        """Tokens and, for each, whether it is part of a marked value."""
        tokens, flags, inside = [], [], False
        for word in re.findall(r"\n+| ?[^ \n]+| ", text):
            if md.OPEN not in word and md.SHUT not in word and not inside:
                part = self.encode(word)
                tokens += part
                flags += [False] * len(part)
                continue
            a = word.find(md.OPEN) + 1 if md.OPEN in word else 0
            b = word.find(md.SHUT) if md.SHUT in word else len(word)
            inside = md.SHUT not in word
            clean = word.replace(md.OPEN, "").replace(md.SHUT, "")
            end = b - (1 if a else 0)
            at = 0
            for t in self.encode(clean):
                tokens.append(t)
                flags.append(at < end)
                at += len(self.bytes[t])
        return tokens, flags

    def decode(self, tokens):
        return b"".join(self.bytes.get(t, b"") for t in tokens).decode("utf-8", "replace")
