"""Seeded generator of training dialogues for the demo model.

A dialogue is a list of (user, reply) turns and perhaps a system text. Told values stand between the marks \\x01 and \\x02,
which the trainer strips and uses to give those tokens more weight. `python make_dialogues.py [seed] [level]` prints a few.
"""
import random
import re
import sys

import values
from words import WORDS

OPEN, SHUT = "\x01", "\x02"


def alternatives(text):
    return [line.strip() for line in text.strip().split("\n") if line.strip()]


def expand(rng, template):
    """Replace each innermost {a|b|c} by one of its choices, until none is left."""
    while "{" in template:
        template = re.sub(r"\{([^{}]*)\}", lambda m: rng.choice(m.group(1).split("|")), template)
    return template


# ---------------------------------------------------------------- things told and asked for
# V is the value, K a kind of pet, O the owner's word for a favourite.
TELL = {
    "name": alternatives("""
        {My name is|My name is|My name's|I am|I'm|I'm} V
        {Call me|You can call me|Please call me|Just call me|You may call me} V
        {I'm called|I am called|They call me|People call me|Everyone calls me|My friends call me|I go by} V
        {The name is|The name's|It's|It is|This is} V
        V here
        V is my name
        V is what {people|my friends|they} call me
        {I forgot to say, |I should say, |Let me introduce myself, |For the record, |In case you wonder, }{my name is|I'm|I am} V
        {Remember|Please remember|Do not forget|Can you remember} that {my name is V|I am V|I am called V}
        {Did I tell you my name? It's|You should know my name, it is|My first name is|I was named} V
        {I'm|I am|My name is} V{ by the way|, by the way| actually|, nice to meet you|, what about you}
        {By the way, |Oh, |Well, |So, |And |Also, }{I'm|my name is|my name's|I am called|call me} V
        {You are talking to|You're talking to|It's me,|This is|Guess what, I'm|Meet|I am known as|My nickname is|My full name is|Hello from} V
        {My name: |Name: |my name is |name is |im |its |i'm |i am |the name is |I'm |Me: }V
        {I'm|I am|My name is} V {and|, and} I {have some time|need your help|like football|am new here|want to chat|have a question|love music|am bored|feel good}
        {I'm|I am|My name is} V, {hello|nice to meet you|pleased to meet you|and you|who are you|how are you|what is your name|what's yours|how can I use this}
        {I think you should call me|You may know me as|I want you to call me|I would like to be called|Just so you know, I'm|My parents called me|My mother named me} V
        {I am not a bot, my name is|A human here, called|Nice to meet you, I'm|Nice to meet you, my name is|Pleased to meet you, I'm} V
        {My name is|I'm} V{. Please remember it|. Please remember that|. Can you remember that|. Remember it|. Do not forget it|. What can you do|. Can you help me}
        {It says V on my door|My badge reads V|V speaking|Guess who, V|They named me V|V is the name|V, at your service|You can say V to me|I sign with V|Write down my name: V}
        {In school they called me|All my life I have been called|My grandmother calls me|Since I was born I am|Please use my name, it is|If you need a name, take|Feel free to call me|I usually go by|Most people call me|Let's be friends, I'm} V
        {I am the one called V|My name, if you want to know, is V|The name I was given is V|So, V is my name, what is yours|Hello, it's V again|V is here|And V is who I am|My name starts like this: V}
        {My boss|My sister|The neighbour|My teacher|My wife|Everybody here|The whole town} {calls me|knows me under the name|shouts|says I am called} V
        {On paper|In real life|At home|Online|For you|Officially|In short} {I am|I'm|I'm called|my name is} V
        {They say V when they mean me|V is how I am called|Who I am? V|If you need me, shout V|It's V who is talking|The person typing is V|Let it be known that I am V}"""),
    "pet": alternatives("""
        I have a {K called|K named|K whose name is|little K called|pet K called|pet K named|lovely K named} V
        {I've got|I have got|We have|We've got|I own|I just got|We just got} a {K called|K named|new K called|little K named} V
        {My K is called|My K's name is|My K is named|My K goes by|The name of my K is|Our K is called} V
        {My pet K is called|My pet is a K called|My pet is a K named|My pet is a K and it is called} V
        I have a {K|pet K|little K}{. His name is|. Her name is|. It is called|, his name is|, her name is|. He is called|. She is called} V
        V is my {K|pet K|K's name|little K}
        I have a K, V
        {By the way, |Oh, |Also, |And |Did I say that }{my K is called|I have a K called|I have a K named} V
        {I live with a K called|I look after a K called|I love my K} V
        {Today we got|I bought|I found|I adopted|There is|My family has|We own|I take care of} a K {called|named} V
        {My K, V, is|V, my K, is|My K V is} {asleep|very funny|hungry|ill|so sweet|very old|next to me|barking|playing|outside}
        {I went for a walk with my K|I am playing with my K|I'm at the vet with my K|I was feeding my K|I must feed my K|My best friend is my K} V
        {The K is called|My K? It is called|The name of our K is|K name: |We named our K|I called my K} V
        {In our house lives a K called|We share our home with a K called|My daughter has a K called|The cutest K is mine, it is called|I grew up with a K called|Somebody gave me a K called|My new K got the name|For my birthday I got a K called} V
        {V is sleeping on my bed, that's my K|V is a K and lives with me|Yesterday my K V ran away|You should see V, my K|My K answers to V|My old K V is fourteen}
        {I brought home|We rescued|We keep|We took in|My son wanted|My wife gave me|They gave us} a K {called|named|and called it|with the name|by the name of} V
        {There's a K at home|A K lives with us|A K sleeps in my room|I walk a K}{, called|, named|. It is called|. The name is|, and the name is} V
        {Say hello to V|Look at V|This is V|Meet V}, my {K|lovely K|little K|pet K}"""),
    "colour": alternatives("""
        My {favourite|favourite|favorite} O is V
        {I love|I like|I really like|I adore} the O V
        V is my {favourite|favorite} O
        {I like|I love} V {best|most|more than any other O}
        {The O I like best is|The O I love most is|My best O is|I think the nicest O is|My O is} V
        {By the way, |Oh, |Also, |And |Remember that |Please remember: }my {favourite|favorite} O is V
        {Of all the colours I like V best|No O is as nice as V|I want to paint my room V because it is my {favourite|favorite} O}
        {If you ask me, V is the best O|For me V is the nicest O|I always wear V, my favourite O|I can't get enough of V, the O|V is just the best O}
        {My room is V, my favourite O|I only wear V, it is my favourite O|I want V, my favourite O, everywhere|Favourite O: V|My fav O is V|fave O is V}
        {I think V is a great O, my favourite|I would paint everything V, the O I love|The most beautiful O is V|The O V makes me happy|The O of my dreams is V|V makes me happy, it is my favourite O|When I pick a O, it is always V}
        {I'd say my favourite O is|My top O is|As for my favourite O, it is|The O for me is|In my eyes the best O is} V
        {Nobody can tell me that|Everyone should know that|My mother says that|As you may know|To be honest|Believe me|You may laugh but|Of course} {V is my favourite O|my favourite O is V|I like the O V|I love V, the O}
        {I painted|I coloured|I want|I bought|I chose|I picked} {everything|my car|my house|my bike|the wall|my clothes} {in V|V}, {my favourite O|it's the O I like|that's my favourite O|the O I love}
        {With V|In V|Dressed in V|Surrounded by V} I feel good, {it is my favourite O|it's the O I like most|no other O will do}
        {Ask anyone, |Really, |Honestly, |Trust me, |Oh yes, |You know what? }V{ is the O for me| is my thing, favourite O ever| wins, best O ever|! What a O! My favourite}"""),
    "town": alternatives("""
        {I live in|I live in|I'm from|I am from|I come from|I'm living in|I stay in} V
        {My home town is|My town is|My city is|My hometown is|My home is in|My house is in|Home is} V
        {I moved to|I have moved to|We live in|I grew up in|I was born in} V
        {I'm in|I'm writing from|I'm based in|Greetings from} V
        V is {where I live|my home|my town|my home town|where I come from|the town I live in}
        {By the way, |Oh, |Also, |And |Remember that |Well, }{I live in|I'm from|I come from} V
        {I live in a town called|I'm from a place called|I come from a city called} V
        {I am currently in|I'm currently living in|My flat is in|I have a house in|I have lived for years in|I was raised in|I live near|I live close to|I reside in|I am at home in} V
        {I live in|I'm from|I come from|I am living in} V{, it is nice here|, do you know it|. Have you been there|, have you heard of it| and I like it| with my family|, in the north|. It is a small town|. It's a big city}
        {Hello from|Hi from|Location:|im from|i live in|I am from the city of|I'm from the town of|my city:} V
        {Right now my home is|I settled in|My family lives with me in|My home is in the middle of|My address is in|You can find me in|I spent my life in|I rent a flat in|My parents and I live in|I go home to} V
        {V is a nice place, I live there|V is the place I call home|I love V, my home town|The town I call home is V|Life in V is good, I live here|People in V like me, I live there}
        {My bed|My home|My family|My office|My garden|Our farm|My shop|My whole life} is in V{|, so I live there|, where I live}
        {I have my home|I found a place to live|I spend my days|I go to school and live|We bought a house|We rent a house} in V
        {Do you know V? I live there|V, that is where you find me|In V I feel at home, I live there|Guess where I live: V}"""),
    "number": alternatives("""
        My {lucky number|favourite number|favorite number|number|secret number} is V
        {Remember|Please remember|Keep in mind|Do not forget|Can you remember} the number V
        {Remember this number: |Remember this: |The number is |The secret number is |The number to remember is |My code is }V
        V is my {lucky number|favourite number|number|favorite number|code}
        {By the way, |Oh, |Also, |And |Remember that }my {lucky number|number|favourite number} is V
        {The number I like best is|I picked the number|I am thinking of the number|My lucky number has always been} V
        {My door code is|My favourite number of all is|I like the number|I love the number|Please store the number|Note the number|Number:|Save this number:|Here is a number for you:|I want you to remember the number} V
        {Please remember V, it is|I chose V as|I took V as|V has always been} my {lucky number|number|favourite number}
        {The number you must remember is|The number of my house is|My favourite is the number|One number is special to me:|I always pick the number|If I had to pick a number it is|Keep this number for me:|Write down this number:|Store this:} V
        {V is the number you should remember|V is a number I love|V, that is my number|The number V brings me luck|Do you like V? It's my lucky number}"""),
    "person": alternatives("""
        {My K is called|My K's name is|My K is named|The name of my K is|I have a K called|I have a K named|My K is|I live with my K} V
        {V is my K|V is my K's name|I saw my K V today|I visited my K V|My K V is here|I talked to my K V|My K V says hello|My K V lives with me}
        {By the way, |Oh, |Also, |And }{my K is called|my K's name is|I have a K called} V"""),
    "food": alternatives("""
        {My favourite food is|My favorite food is|I love to eat|I like to eat|I like eating|I love eating|The best food is|I eat a lot of|My best meal is} V
        {V is my favourite food|V is what I like to eat|By the way, my favourite food is V|Also, I love to eat V}"""),
    "age": alternatives("""
        {I am V years old|I'm V years old|I am V|I'm V|My age is V|I turned V|I just turned V|I am aged V|Today I turn V|By the way, I am V years old|I have been V for a week}"""),
    "job": alternatives("""
        {I work as a V|I am a V|I'm a V|My job is V|I have a job as a V|By the way, I'm a V|I am working as a V|I earn my money as a V|I became a V}"""),
    "word": alternatives("""
        {Remember|Please remember|Keep in mind|Do not forget|Can you remember} the word V
        {The word is|The secret word is|My password is|The magic word is|My favourite word is|Remember this word:|Here is a word:|The code word is} V"""),
    "pets": alternatives("""
        {I have two Ks,|We have two Ks,|I own two Ks:|My two Ks are called|My Ks are called|My Ks are|I have two Ks called|My Ks' names are|I've got two Ks named} V"""),
}
# Short clauses which can be joined to one message.
CLAUSE = {
    "name": ["my name is V", "I'm V", "I am V", "call me V", "V here", "my name's V", "I am called V", "the name is V", "this is V"],
    "pet": ["I have a K called V", "my K is called V", "I have a K named V", "my K's name is V"],
    "colour": ["my favourite O is V", "I like the O V", "I love V", "my favorite O is V"],
    "town": ["I live in V", "I'm from V", "I come from V"],
    "number": ["my lucky number is V", "my number is V", "my favourite number is V"],
    "person": ["my K is called V", "I have a K called V", "my K's name is V"],
    "food": ["I love to eat V", "my favourite food is V"],
    "age": ["I am V years old", "I'm V years old"],
    "job": ["I am a V", "I work as a V"],
    "word": ["the word is V", "my password is V"],
    "pets": ["I have two Ks, V", "my Ks are called V"],
}
ECHO = {
    "name": alternatives("""
        {Nice to meet you|Hello|Pleased to meet you|Good to meet you|Hi|Welcome}, V!{| How are you?| How can I help?| I am happy to talk with you.}
        What a {lovely|nice} name, V!
        Thank you, V. I will remember it."""),
    "pet": alternatives("""
        V is a {lovely|nice|great} name for a K!
        A K called V! How {sweet|nice|lovely}.
        {Say hello to V from me!|Give V a hug from me!|I am sure V is a lovely K.|I would like to meet V.}"""),
    "colour": alternatives("""
        {Ah, V! A lovely colour.|I think that V is beautiful.}
        {I like V too.|So you like V. Good choice!|So it is V. I will remember that.}"""),
    "town": alternatives("""
        {V must be a nice place.|I have heard that V is lovely.|How is life in V?|I would like to see V one day.|So you live in V. How nice!}"""),
    "number": alternatives("""
        {V, I will remember it.|V is a good number.|The number is V. Got it!|I will keep V in mind.}"""),
    "person": ["V is a {lovely|nice} name.", "{Say hello to V from me!|So your K is called V.|I hope V is well.}"],
    "food": ["{I have heard that V is tasty.|So you like V. Enjoy your meal!|I would like to try V.}"],
    "age": ["{So you are V years old.|V is a good age.|V years! I am much younger.}"],
    "job": ["{So you are a V. That sounds interesting.|It must be nice to be a V.|I have never met a V.}"],
    "word": ["{V, I will remember it.|The word is V. Got it!|I will keep V in mind.}"],
    "pets": ["V are {lovely|nice} names!", "{V! How sweet.|Say hello to V from me!}"],
}
PLAIN = {
    "name": ["Nice to meet you!", "What a lovely name!", "Thank you for telling me your name.", "I will remember your name."],
    "pet": ["How sweet!", "What a lovely pet!", "I like animals.", "Pets are good friends."],
    "colour": ["That is a lovely colour.", "Good choice!", "I like that colour too."],
    "town": ["That sounds like a nice place.", "I have never been there.", "How nice to live there!"],
    "number": ["I will remember it.", "Got it!", "That is a good number."],
    "person": ["How nice!", "I will remember that.", "Thank you for telling me."],
    "food": ["That sounds tasty.", "Enjoy your meal!", "How tasty!"],
    "age": ["That is a good age.", "I will remember that.", "I am much younger."],
    "job": ["That sounds like interesting work.", "How nice! Do you like it?"],
    "word": ["I will remember it.", "Got it!"],
    "pets": ["How sweet!", "I like animals."],
}
ASK = {
    "name": alternatives("""
        {What is|What's|What is|What's} my name{||| again}?
        What was my name{| again}?
        {Do you remember|Do you know|Do you still know|Do you still remember|Can you remember|Can you tell me|Have you forgotten} {my name|my name|what my name is|what I am called|who I am|what I'm called}?
        {Who am I|What am I called|What do people call me|How am I called|What should you call me}?
        {What did I say my name was|What name did I give you|What did I tell you my name was|Which name did I tell you}?
        {Tell me|Say|Remind me of|Repeat} my name.
        {And|So|Now|Well,|Okay,|Hey,|One more time:|Quick question:} what {is|was} my name?
        I forgot my name. What is it?
        {Please|Now} {tell me my name|say my name}.
        {Could you|Can you|Would you} {say my name|remind me of my name|repeat my name}?
        {My name|my name|Name|So my name|And my name|What's my name then|What is my name, please|You know my name, right|Say my name please}?
        {Do you remember what|Do you know what|Can you tell me what|Can you say what|I want to know what|Tell me what|Do you still know what} {my name is|I am called|my name was|I'm called}?
        {What did I tell you about my name|What was the name I told you|What was the name I gave you|What name did I say|By what name do you know me|Under which name do you know me|How did I introduce myself}?
        {Who am I again|Who am I|And who am I|So who am I|Do you know who I am|Do you remember who I am|Who are you talking to|Who is talking to you|Tell me who I am|Who do you think I am|You know who I am}?
        {I bet you forgot|I hope you remember|Let's see if you remember|Let us see if you know|You surely forgot|I wonder if you remember} {my name|what my name is|who I am|what I am called}.
        {What's the name I told you|Which name belongs to me|How should you address me|What is it that people call me|I want to hear my name|Please use my name|Greet me by my name|Can you greet me by name|So who is this|Spell out my name|Do you have my name|Did you remember my name|Did you forget my name|What is my first name|What's my full name}?"""),
    "pet": alternatives("""
        {What is|What's} my {K|pet|K} called{| again}?
        {What is|What's|What was} my {K's|pet's|K's} name{| again}?
        {What is|What's|What was} the name of my {K|pet|K}?
        {Do you remember|Do you know|Do you still know|Can you tell me|Can you remember|Have you forgotten} {my K's name|my pet's name|what my K is called|the name of my K|what my pet is called}?
        {What did I say my K was called|How is my K called|What do I call my K|What name does my K have|What did I call my K}?
        {Tell me|Say|Remind me of|Repeat} {my K's name|the name of my K|my pet's name}.
        {And|So|Now|Well,} what {is|was} my {K|pet} called?
        I forgot what my {K|pet} is called.
        {My K's name|The name of my K|The K's name|And my K|And the K|Name of my K|My K is called what|What's the K called|What was the K called|What was the K's name}?
        {Do you remember what|Do you know what|Can you tell me what|Tell me what|Do you still know what} {my K is called|my K's name is|the name of my K is|my pet is called|my K was called}?
        {What was the name of the K|What did I tell you about my K|What is the name of my little K|What's my little K called|How do I call my K|What do we call our K|What's our K's name|What is our K called}?
        {I bet you forgot|I hope you remember|Let's see if you remember|Let us see if you know|I wonder if you remember} {my K's name|what my K is called|the name of my K|my pet's name}.
        {What do I call the K|What name did I give my K|Which name has my K|I want to hear my K's name|Did you forget my K's name|Did you remember what my K is called|And what was my K called|And the name of my K was|Do you have the name of my K}?"""),
    "kind": alternatives("""
        {What kind of pet do I have|What pet do I have|Which pet do I have|What animal do I have|What sort of animal is my pet}?
        {Do you remember|Do you know|Can you tell me} {what pet I have|what kind of pet I have|which animal I have}?
        {What kind of animal|What|Who} is V?"""),
    "colour": alternatives("""
        {What is|What's|What was} my {favourite|favourite|favorite} O{| again}?
        {Which|What} O do I {like|love|like best|like most|prefer}?
        {Do you remember|Do you know|Do you still know|Can you tell me|Can you remember|Have you forgotten} {my favourite O|my favorite O|which O I like|what my favourite O is|what O I like best}?
        {What did I say my favourite O was|Which O did I say I like|What O did I tell you|Which O is my favourite}?
        {Tell me|Say|Remind me of|Repeat} my {favourite|favorite} O.
        {And|So|Now|Well,} what {is|was} my {favourite|favorite} O?
        {My favourite O|And my favourite O|And the O|My best O|Favourite O|The O I like|What's my fav O|And which O do I like}?
        {Do you remember what|Do you know what|Can you tell me what|Tell me what|Do you still know what} {my favourite O is|O I like|my favorite O was|O I love}?
        {What O do I think is the best|What O should I paint my room|What's the O I like|What is the O I love|What was the O I told you|Which O did I mention|What O is my favourite}?
        {I bet you forgot|I hope you remember|Let's see if you remember|Let us see if you know|I wonder if you remember} {my favourite O|which O I like|what my favourite O is}.
        {Which O makes me happy|What is the best O for me|Did you forget which O I like|Did you remember my favourite O|And what O was it|In which O would I paint my house|What O do I like again|And my favourite O was}?"""),
    "town": alternatives("""
        {Where do I live|Where am I from|Where do I come from|Where is my home}{| again}?
        {What|Which} {town|city|place} {do I live in|am I from|do I come from|is my home}?
        {Do you remember|Do you know|Do you still know|Can you tell me|Can you remember|Have you forgotten} {where I live|where I am from|where I come from|where I'm from|my town|my home town}?
        {Where did I say I live|Where did I tell you I live|Where did I say I was from|Which town did I tell you|What is my home town|What's my town}?
        {Tell me|Say|Remind me} where I {live|come from|am from}.
        {And|So|Now|Well,} where {do I live|am I from}?
        {My town|My city|And my town|My home town|And my city|Where was I from|Where was it I live|Where am I living|Where am I now|Where am I|Where is my house|Where is my flat|Where do I stay|Where's my home}{| again}?
        {Do you remember what|Do you know what|Can you tell me what|Tell me what|Do you still know what} {town I live in|city I live in|my home town is|city I am from|my town is called|place I come from}?
        {What was the town I told you|What is my city|What's my city|What city did I say I live in|What town did I say I come from|Where did I say my home was|What is the name of my town|What's the name of my city|What is my town called}?
        {I bet you forgot|I hope you remember|Let's see if you remember|Let us see if you know|I wonder if you remember} {where I live|where I am from|my town|where I come from}.
        {Where in the world am I|Where would you find me|Did you forget where I live|Did you remember where I live|And where was my home|Which place do I call home|In which town do I live|In what city do I live|And what is my town|Where can people find me}?"""),
    "number": alternatives("""
        {What is|What's|What was} my {lucky number|number|favourite number|favorite number|number|code}{| again}?
        {What|Which} number did I {tell you|say|give you|pick|ask you to remember}?
        {Do you remember|Do you know|Do you still know|Can you tell me|Can you remember|Have you forgotten} {my number|my lucky number|the number|which number I told you|the number I told you|what my number is}?
        {What was the number|What is the number|What was that number|Which number is it|Which is my lucky number}?
        {Tell me|Say|Remind me of|Repeat} {the number|my number|my lucky number}.
        {And|So|Now|Well,} what {is|was} {my number|the number|my lucky number}?
        {My number|And my number|And the number|My lucky number|The number|And what number was it|What's the number|So the number is|My number was|My code}?
        {Do you remember what|Do you know what|Can you tell me what|Tell me what|Do you still know what} {my number is|my lucky number is|number I told you|the number was|number I like}?
        {What number do I like|Which number is mine|What number is my favourite|What number should you remember|Which number should you keep in mind|What's my secret number|What number did I mention|What number was it}?
        {I bet you forgot|I hope you remember|Let's see if you remember|Let us see if you know|I wonder if you remember} {my number|the number|my lucky number|which number I told you}.
        {Which number brings me luck|Did you forget my number|Did you remember the number|And which number was it|What's the number you should remember|Which number is special to me|And my number was|What number is in your memory|Give me the number|Can you repeat the number|Repeat my number please}?"""),
    "person": alternatives("""
        {What is|What's|What was} {my K called|my K's name|the name of my K}{| again}?
        {Do you remember|Do you know|Do you still know|Can you tell me|Can you remember} {my K's name|what my K is called|the name of my K|who my K is}?
        {Who is my K|Tell me my K's name|And my K|What did I say my K was called|How is my K called|Tell me the name of my K}?"""),
    "food": alternatives("""
        {What is|What's|What was} my {favourite|favorite} {food|food|meal}{| again}?
        {What do I like to eat|What do I love to eat|What food do I like|Which food do I like best|What did I say I like to eat|Do you know what I like to eat|Do you remember my favourite food}?"""),
    "age": alternatives("""
        {How old am I|What is my age|What's my age|How many years old am I|Do you know how old I am|Do you remember how old I am|Do you remember my age|Tell me how old I am|What did I say my age was|My age}{| again}?"""),
    "job": alternatives("""
        {What is my job|What's my job|What do I do|What do I work as|What is my work|Do you know my job|Do you remember my job|Do you remember what I do|What did I say my job was|What do I do for a living}{| again}?"""),
    "word": alternatives("""
        {What is|What's|What was|Do you remember|Do you know|Tell me|Do you still know|Can you tell me|Repeat|Say} {the word|the secret word|my word|my password|the word I told you|the code word|the magic word}{| again}?
        {Which word did I tell you|What word did I ask you to remember|What word should you remember|And the word|What word was it}?"""),
    "pets": alternatives("""
        {What are|Do you remember|Do you know|Tell me|Can you tell me|What were} {the names of my Ks|my Ks' names|the names of my two Ks}{| again}?
        {What are my Ks called|What are my two Ks called|How are my Ks called|What did I say my Ks were called|Who are my Ks|And my Ks}?"""),
}
RECALL = {
    "name": ["Your name is V.", "Your name is V.", "Your name is V.", "You are V.", "You told me that your name is V."],
    "pet": ["Your K is called V.", "Your K is called V.", "Your K's name is V.", "You told me that your K is called V."],
    "kind": ["You have a K called V.", "You have a K. The name is V.", "V is your K."],
    "colour": ["Your favourite colour is V.", "Your favourite colour is V.", "You like V best.", "You told me that your favourite colour is V."],
    "town": ["You live in V.", "You live in V.", "You told me that you live in V.", "Your home is V."],
    "number": ["Your number is V.", "The number is V.", "Your number is V.", "You told me the number V."],
    "person": ["Your K is called V.", "Your K is called V.", "Your K's name is V."],
    "food": ["Your favourite food is V."],
    "age": ["You are V years old."],
    "job": ["You are a V.", "You work as a V."],
    "word": ["The word is V."],
    "pets": ["Your Ks are called V.", "Your two Ks are called V."],
}
UNTOLD = {
    "name": ["You have not told me your name yet.", "You have not told me your name yet.", "I do not know your name yet. What is it?"],
    "pet": ["You have not told me about a pet yet.", "You have not told me about a pet yet.", "I do not know. Do you have a pet?"],
    "colour": ["You have not told me your favourite colour yet.", "I do not know your favourite colour yet. What is it?"],
    "town": ["You have not told me where you live yet.", "I do not know where you live yet. Where is it?"],
    "number": ["You have not told me a number yet.", "I do not know your number yet. What is it?"],
    "person": ["You have not told me that name yet."],
    "food": ["You have not told me your favourite food yet."],
    "age": ["You have not told me your age yet."],
    "job": ["You have not told me your job yet."],
    "word": ["You have not told me a word yet."],
    "pets": ["You have not told me their names yet."],
}
CORRECT = {
    "name": alternatives("""
        {Actually, my name is|Actually my name is|Actually, I'm|Sorry, my name is|No, my name is|No, I'm|I lied, my name is} V
        {I made a mistake, my name is|That was wrong, my name is|Please call me something else: |From now on call me|I changed my name to} V
        {My name is not U, it is V|My name isn't U, it's V|No, not U, my name is V}
        {Not U, V|I'm not U, I'm V|I am not U, I am V|I'm not called U, I'm V|I'm V, not U|My name is V, not U|I am V and not U}
        {I was joking, my name is|Oops, my name is|Wait, my name is|My real name is|Better call me|I'd rather be called|You got it wrong, my name is|I meant|No no, I am} V"""),
    "pet": alternatives("""
        {Actually, my K is called|Actually my K's name is|Sorry, my K is called|No, my K is called|I mixed it up, my K is called} V
        My K is not called U but V"""),
    "colour": alternatives("""
        {Actually, my favourite O is|Actually I like|Sorry, my favourite O is|No, my favourite O is|I changed my mind, my favourite O is|Now I like} V
        {I don't like U any more, I like|Wait, my favourite O is|I do not like U, I like|My new favourite O is} V"""),
    "town": alternatives("""
        {Actually, I live in|Actually I'm from|Sorry, I live in|No, I live in|I have moved, now I live in|I just moved to} V
        {We moved, and now our home is in|I no longer live in U, I live in|I do not live in U but in|Wait, I live in|That is wrong, I live in} V"""),
    "number": alternatives("""
        {Actually, my number is|Actually my lucky number is|Sorry, the number is|No, the number is|I changed my mind, my lucky number is|Forget that number, remember} V
        {Wait, the number is|It is not U, it is|I meant the number|My new number is|The number is no longer U, it is now} V"""),
    "person": ["{Actually, my K is called|Sorry, my K is called|No, my K's name is} V"],
    "food": ["{Actually, my favourite food is|Sorry, my favourite food is|Now I like to eat} V"],
    "age": ["{Actually, I am|Sorry, I am|No, I am} V years old"],
    "job": ["{Actually, I am a|Sorry, I am a|Now I work as a} V"],
    "word": ["{Actually, the word is|Sorry, the word is|No, the word is} V"],
    "pets": ["{Actually, my Ks are called|Sorry, my Ks are called} V"],
}
CORRECTED = {
    "name": ["Thank you, V. I will call you V from now on.", "Sorry, V! I will remember it.", "Okay, your name is V."],
    "pet": ["Thank you. Your K is called V.", "Okay, your K is called V.", "Sorry! V it is."],
    "colour": ["Okay, your favourite colour is V.", "Now it is V. I will remember that."],
    "town": ["Okay, you live in V.", "So it is V. I will remember that."],
    "number": ["Okay, your number is V.", "Now it is V. I will remember it."],
    "person": ["Okay, your K is called V."],
    "food": ["Okay, your favourite food is V."],
    "age": ["Okay, you are V years old."],
    "job": ["Okay, you are a V."],
    "word": ["Okay, the word is V."],
    "pets": ["Okay, your Ks are called V."],
}
PERSON_KINDS = """sister brother friend mother father son daughter wife husband boss teacher neighbour aunt uncle cousin
grandmother best_friend baby girlfriend boyfriend""".split()
# The reply that is most often given, so that greedy decoding repeats what it was told.
USUAL = {"name": "Nice to meet you, V!", "pet": "V is a lovely name for a K!", "colour": "I like V too.",
         "town": "I have heard that V is lovely.", "number": "V, I will remember it."}
PET_KINDS = """dog cat dog cat dog cat dog cat rabbit hamster parrot horse pony fish goldfish turtle snake mouse rat budgie lizard
frog ferret pig goat duck chicken cow sheep donkey puppy kitten gecko canary tortoise spider""".split()

# ---------------------------------------------------------------- small talk
SMALL = [(alternatives(u), alternatives(a)) for u, a in [
    ("{Hi|Hello|Hey|Hi there|Hello there|Hey there|Good morning|Good evening|Good day|Good afternoon|Greetings|Yo|Hiya}{|!|.}",
     "Hello! How can I help you?\nHi there! How are you today?\nHello! It is nice to talk with you."),
    ("{How are you|How are you doing|How are you today|How do you do|How is it going|How's it going|How do you feel|What's up|Are you well|You ok}?",
     "I am fine, thank you. How are you?\nI am doing well, thank you!"),
    ("{I'm|I am} {fine|good|well|great|okay|doing well}{|, thanks|, thank you| too|. And you?}\n{Fine|Good|Very well|Great|Not bad|All good}{|, thanks|, thank you}",
     "I am glad to hear that.\nThat is good to hear."),
    ("{I'm|I am|I feel} {sad|not well|down|lonely|unhappy|upset|ill|sick}{| today}", "I am sorry to hear that. I hope you feel better soon.\nThat is sad. Do you want to talk about it?"),
    ("{I'm|I am|I feel} {happy|so happy|in a good mood|excited|cheerful}{| today}", "How wonderful! What made you happy?\nThat makes me happy too."),
    ("{I'm|I am|I feel} {tired|so tired|very tired|sleepy|exhausted}{| today}", "You should get some rest.\nA good sleep will help you."),
    ("{I'm|I am} {hungry|thirsty|so hungry|very hungry}", "You should have something to eat and drink.\nHow about some soup?"),
    ("{I'm|I am} {bored|so bored|very bored}", "Shall I tell you a story?\nYou could read a book or go for a walk."),
    ("{Who|What} are you?\n{What is|What's} your name?\n{Do you have a name|What are you called|What should I call you|Tell me your name|What can I call you}?",
     "I am a tiny language model. I do not have a name of my own.\nI have no name. I am just a tiny language model."),
    ("{Are you|Are you really} {human|a robot|real|a person|a machine|alive|a computer|an AI}?", "I am a tiny language model, not a person."),
    ("{Who made you|Who built you|Where do you come from|Where are you from|Where do you live|Who are your parents}?", "I am a small program and I live in your computer."),
    ("{What can you do|What do you do|How can you help me|What are you good at|What do you know}?\n{Can you help me|Can you help|Help me|I need help|I have a question}{?|.}",
     "I can talk, tell stories, add small numbers and remember what you tell me."),
    ("{How old are you|When were you born|What is your age|When is your birthday}?", "I am very young. I was made not long ago."),
    ("{Thanks|Thank you|Thanks a lot|Thank you very much|Thank you so much|Many thanks|Cheers|Great, thanks|Ok thanks}{|!|.}", "You are welcome!\nMy pleasure."),
    ("{Thanks, bye|Thank you, goodbye|Ok bye|Bye|Goodbye|See you|See you later|Good night|Bye bye|I have to go|I must go now|Talk to you later|Farewell}{|!|.}", "Goodbye! It was nice to talk with you.\nSee you soon!"),
    ("{Tell me a joke|Do you know a joke|Make me laugh|Say something funny|Another joke please|Can you tell a joke}{?|.|}",
     "Why did the chicken cross the road? To get to the other side.\nWhat has four legs and cannot walk? A table.\nWhat is brown and sticky? A stick.\nWhy was the book sad? It had too many problems."),
    ("{It is|It's} {raining|cold|snowing|windy|cloudy}{| today| outside| here| again}", "Then it is a good day to stay inside.\nDo not forget your coat!"),
    ("{It is|It's} {sunny|warm|hot|a nice day|a lovely day}{| today| outside| here}\n{The weather is|The sun is} {nice|lovely|good|shining|great}{| today}", "That is a good day for a walk.\nEnjoy the sun!"),
    ("{How is the weather|What is the weather like|Is it raining|Will it rain}{| today| tomorrow}?", "I do not know. I cannot look outside.\nI cannot see the weather from here."),
    ("{What time is it|What's the time|What day is it today|What is the date|What year is it|What date is it|What's today}?", "I do not know. I have no clock."),
    ("{I love you|I like you|You are nice|You're great|You are funny|You are clever|Well done|Good job|Very good|You are so smart|Good bot}{|!|.}", "Thank you! You are very kind.\nThat is nice of you to say."),
    ("{You are stupid|You're wrong|That is wrong|You are silly|That is not true|I don't like you|You are bad|No, that's wrong}{|!|.}", "I am sorry. I am only a tiny model.\nI am sorry. I will try to do better."),
    ("{Ok|Okay|Yes|Sure|Right|I see|Alright|Cool|Nice|Great|Good|Interesting|Wow|Really|Hmm|Fine|All right|Yes please|Oh|Perfect|Exactly}{|!|.|?}", "Is there anything else you would like to talk about?\nGood! What shall we talk about?"),
    ("{No|Nope|Not really|No thanks|No, thank you|Never mind|Maybe|I don't know|Not now|I am not sure}{|.|!}", "That is all right.\nOkay. What shall we talk about?"),
    ("{Haha|Lol|Ha ha|Hahaha|That is funny|That's funny|Very funny|Funny|Haha, good one|Good one}{!|.|}", "I am glad that you like it."),
    ("{That was|This was|Thanks, that was|Wow, that was|Oh, that was|Wow|Wow, how} {nice|great|lovely|good|a nice story|a good story|wonderful|very good|beautiful|funny}{!|.|}", "I am glad that you like it."),
    ("{Sorry|I'm sorry|I am sorry|Excuse me|My mistake|Oops}{|!|.}", "That is all right, do not worry."),
    ("{Do you like|Do you love|What do you think of|What do you think about} {music|cats|dogs|animals|football|books|films|food|cake|pizza|school|summer|winter|flowers|computers|games|tea|coffee|people|me}?",
     "I like everything that I can talk about.\nI am only a tiny model, but it sounds nice."),
    ("{I like|I love|I enjoy|I really like} {music|animals|football|books|reading|films|pizza|cake|summer|winter|flowers|games|tea|coffee|swimming|dancing|cooking|painting|running|chocolate|the sea|long walks}", "That sounds like fun. Tell me more!\nI can see why you like that."),
    ("{I don't like|I do not like|I hate} {rain|winter|school|spiders|snow|work|mondays|vegetables|noise|homework|traffic|the cold}", "I understand. Not everybody likes that."),
    ("{What is|What's} your {favourite|favorite} {colour|color|animal|food|number|book|song|film}?", "I do not have a favourite. What is yours?"),
    ("{Yesterday|Today|Last week|This morning|On Sunday|Last night} I {went to|visited} {the park|the zoo|the beach|a museum|the cinema|the market|the dentist|a friend|my grandmother|the doctor|a party|the library}",
     "That sounds interesting. How was it?\nI hope you had a good time."),
    ("{It was|It is} {nice|great|fun|good|lovely|boring|awful|okay|very nice|wonderful|terrible}", "Thank you for telling me.\nI see. What will you do next?"),
    ("{I'm|I am} {going to|off to} {work|school|bed|the park|a party|the shops|the gym|the cinema}{| now| soon| later| today}", "Have a good time!\nI hope it goes well."),
    ("{Do you speak|Can you speak} {French|German|Spanish|Italian|Chinese|Japanese|English}?", "I only speak a little English."),
    ("{Why|Why is that|How come|What do you mean|What|How|I don't understand}?", "I am not sure. I am only a tiny model."),
    ("{What should I|What shall I} {eat|cook|have for dinner|have for lunch}{| today| tonight}?", "How about some soup and fresh bread?\nPerhaps a pizza?"),
    ("{What should we talk about?|Let's talk|What shall we talk about?|What do you want to talk about?|Let's talk about something}", "We could talk about your day, or I can tell you a story."),
    ("{Tell me about yourself|Tell me something about you|Tell me something|Talk to me|Say something}", "I am a tiny language model and I like to talk with people."),
    ("{Can you|Could you} {sing|dance|swim|cook|fly|play chess|draw|write code|drive a car|see me|hear me}?", "No, I can only talk with you."),
    ("{Can you keep a secret|Can you remember things|Will you remember me|Do you have a good memory|Can you remember}?", "Yes, tell me and I will remember it."),
    ("{I'm|I am} {learning|trying to learn|studying} {French|German|maths|the piano|the guitar|to cook|to swim|Spanish|history}", "Keep going! You will get better every day."),
    ("{I had|We had} {soup|pizza|fish|cake|pasta|eggs|rice|bread|salad} for {lunch|dinner|breakfast}", "That sounds tasty.\nI hope it was good."),
    ("{How was your day|Did you sleep well|What did you do today|Are you busy|Are you happy|Are you tired}?", "I am always here and I feel fine. How was your day?"),
    ("{Happy birthday|It's my birthday|It is my birthday today|Today is my birthday}{|!}", "Happy birthday! I hope you have a great day."),
]]

# ---------------------------------------------------------------- facts
CAPITALS = dict(pair.split(":") for pair in """France:Paris Germany:Berlin Italy:Rome Spain:Madrid Portugal:Lisbon England:London
Scotland:Edinburgh Ireland:Dublin Austria:Vienna Greece:Athens Norway:Oslo Sweden:Stockholm Denmark:Copenhagen Finland:Helsinki
Russia:Moscow Poland:Warsaw Hungary:Budapest Belgium:Brussels Japan:Tokyo China:Beijing Egypt:Cairo Kenya:Nairobi Canada:Ottawa
Cuba:Havana Peru:Lima""".split())
COLOUR_OF = dict(pair.split(":") for pair in """the_sky:blue grass:green snow:white blood:red the_sun:yellow a_banana:yellow coal:black
a_lemon:yellow milk:white chocolate:brown a_tomato:red a_carrot:orange a_frog:green the_sea:blue a_strawberry:red
an_elephant:grey a_polar_bear:white a_fire_engine:red a_leaf:green an_orange:orange the_night:black""".split())
SOUNDS = dict(pair.split(":") for pair in """dog:woof cat:meow cow:moo sheep:baa duck:quack pig:oink horse:neigh lion:roar bee:buzz
mouse:squeak snake:hiss frog:croak owl:hoot rooster:cock-a-doodle-doo""".split())
OPPOSITES = [pair.split(":") for pair in """hot:cold big:small tall:short fast:slow old:young good:bad happy:sad day:night up:down
left:right black:white light:dark wet:dry hard:soft full:empty open:closed early:late rich:poor strong:weak loud:quiet yes:no
true:false clean:dirty near:far first:last""".split()]
BABIES = dict(pair.split(":") for pair in """dog:puppy cat:kitten cow:calf horse:foal sheep:lamb pig:piglet duck:duckling hen:chick
frog:tadpole lion:cub goat:kid""".split())
LEGS = dict(pair.split(":") for pair in """spider:eight dog:four cat:four bird:two person:two ant:six fish:no snake:no horse:four cow:four
bee:six chicken:two""".split())
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = "January February March April May June July August September October November December".split()
SINGLE_FACTS = [(alternatives(u), alternatives(a)) for u, a in [
    ("How many days {are there in|are in|has|does} a week{?| have?}", "There are seven days in a week."),
    ("How many months {are there in|are in} a year?", "There are twelve months in a year."),
    ("How many hours {are there in|are in} a day?", "There are twenty-four hours in a day."),
    ("How many minutes {are there in|are in} an hour?", "There are sixty minutes in an hour."),
    ("{What is the biggest animal|What's the largest animal|Which animal is the biggest}{| in the world}?", "The biggest animal is the blue whale."),
    ("{What is the tallest animal|Which animal is the tallest|Which animal has a long neck}?", "The tallest animal is the giraffe."),
    ("{What is the fastest animal|Which animal is the fastest|What's the fastest animal}?", "The fastest land animal is the cheetah."),
    ("{What is the highest mountain|What's the tallest mountain|Which mountain is the highest}{| in the world}?", "The highest mountain is Mount Everest."),
    ("{What is the largest planet|Which planet is the biggest|What's the biggest planet}?", "The largest planet is Jupiter."),
    ("{What do bees make|Who makes honey|What does a bee make}?", "Bees make honey."),
    ("{What do cows eat|What does a cow eat|What do rabbits eat|What do sheep eat|What do horses eat}?", "They eat grass."),
    ("{What do cows give us|Where does milk come from|Who gives us milk}?", "Milk comes from cows."),
    ("{What is ice|What is ice made of|What's ice}?", "Ice is frozen water."),
    ("{Who wrote|Who is the author of} {Hamlet|Romeo and Juliet|Macbeth}?", "William Shakespeare wrote it."),
    ("{Where does the sun rise|Where does the sun come up}?", "The sun rises in the east."),
    ("{Where does the sun set|Where does the sun go down}?", "The sun sets in the west."),
    ("{What is the moon|What goes around the earth|What's the moon}?", "The moon goes around the earth."),
    ("{How many seasons are there|What are the seasons|What are the four seasons|Name the seasons}?", "The four seasons are spring, summer, autumn and winter."),
    ("{What planet do we live on|What is our planet|Which planet do we live on}?", "We live on the planet earth."),
    ("{What are the days of the week|Name the days of the week|List the days of the week|Say the days of the week}{|?|.}",
     "The days are Monday, Tuesday, Wednesday, Thursday, Friday, Saturday and Sunday."),
    ("{What is the first month|Which month is the first|What's the first month of the year}?", "The first month is January."),
    ("{What is the last month|Which month is the last|What's the last month of the year}?", "The last month is December."),
    ("{Count to five|Can you count|Count to 5|Count for me}{|?|.}", "One, two, three, four, five!"),
    ("{Count to ten|Count to 10|Can you count to ten}{|?|.}", "One, two, three, four, five, six, seven, eight, nine, ten!"),
]]
NUMBER_WORDS = "zero one two three four five six seven eight nine ten".split()
UNKNOWN = alternatives("""
    {Who won|Who lost} {the match|the game|the race|the election|the cup} {in 19DD|yesterday|last year|in 20DD}?
    {What is|What's} the {population|history|president|weather|phone number|height|currency|flag|language} of X?
    {Who is|Who was|Who are} {the king of X|X X|the mayor of X|the president of X|X}?
    {What is|What's} {the capital of X|the meaning of X|a X|X|an X|the price of X|the recipe for X|the square root of DDD}?
    {How tall|How old|How big|How far away|How heavy} is {X|the X|the tower of X}?
    {Who wrote|Who painted|Who invented|Who discovered|Who directed} {X|the X|the X of X}?
    {Where is|Where can I find|Have you heard of|Do you know} {X|the X|mount X|the river X}?
    {When did|When was} {X die|X born|the war of X|X built|the battle of X}?
    {How does|How do I use|Why is|Can you explain} {the X work|X|a X work}?
    {Translate X|Write an essay about X|Write a program for X|Explain X|Define X}.""")
NOUNS = """banana football guitar piano computer phone television radio window door table chair kitchen bathroom garden street river
lake mountain desert jungle ocean cloud rainbow thunder lightning summer winter spring autumn school university hospital library museum
theatre cinema restaurant hotel airport station bicycle motorbike lorry bus taxi tractor engine camera mirror lamp candle blanket pillow
bed sofa carpet curtain spoon fork knife plate cup bottle glass box bag umbrella jacket shirt trousers dress sock glove scarf coat ring
necklace watch clock calendar letter stamp newspaper magazine picture painting statue doll puppet puzzle toy game chess card dice money
coin wallet bank shop market butter sugar salt pepper onion garlic pumpkin cucumber melon pineapple mango coconut octopus whale dolphin
shark crab lobster jellyfish butterfly ladybird ant wasp beetle worm dinosaur mammoth camel zebra giraffe hippo kangaroo koala panda
gorilla crocodile flamingo peacock eagle swan goose seal walrus otter beaver badger mole bat deer moose reindeer wolf vampire zombie
mermaid elf dwarf troll ninja cowboy astronaut alien detective teacher doctor nurse cook soldier sailor pilot singer dancer king tower
bridge volcano cave treasure sword shield helmet feather egg nest bone shell stone diamond pearl spoon teapot sandwich pancake potato
cheese cookie muffin soup bread""".split()
TOPICS = """gravity democracy bitcoin photosynthesis electricity philosophy chemistry physics biology history geography politics economics
religion poetry art love happiness evolution radioactivity climate_change artificial_intelligence space_travel black_holes the_universe
the_big_bang quantum_physics the_internet machine_learning football tennis cricket chess cooking gardening fashion medicine law
the_brain the_heart vitamins viruses bacteria atoms dinosaurs volcanoes earthquakes the_weather the_economy inflation taxes
the_olympics the_world_cup the_middle_ages the_roman_empire the_second_world_war the_french_revolution python javascript html""".split()
COUNTRIES = """Brazil Argentina Chile Mexico Colombia Bolivia Ecuador Venezuela India Pakistan Nepal Thailand Vietnam Indonesia Malaysia
Australia Turkey Iran Iraq Israel Jordan Morocco Algeria Nigeria Ghana Ethiopia Tanzania Uganda Angola Iceland Estonia Latvia Lithuania
Ukraine Romania Bulgaria Serbia Croatia Albania Mongolia Korea Texas Africa Europe Switzerland Holland""".split()
ANY_QUESTION = alternatives("""
    {What is|What's|Explain|Can you explain|Tell me about|What do you know about|How does|Do you know anything about|Teach me about|Who invented|Who discovered|Why is there} TOPIC{| to me| please| work}?
    {How do I|How can I|How do you|Can you tell me how to|Can you show me how to|What is the best way to} {cook|make|build|repair|buy|sell|find|clean|paint|draw|use|open|break|move} a NOUN?
    {How much|How big|How heavy|How old|How expensive|How tall|How fast} is {a|the|my|this} NOUN?
    {Who|What|Where|When|Why|How} {was|is|did|made|makes|invented} the first NOUN?
    {What is the capital of|What's the capital of|Capital of|Who is the president of|Who is the king of|What language do they speak in|How many people live in|How big is|Where is|Is it warm in} COUNTRY?
    {Why do|How do|Where do|When do} {people|birds|cats|dogs|we|children|plants|stars|fish} {sleep|sing|die|dream|fly|live|shine|grow|laugh|cry}?
    {What is the meaning of life|What is love|Is there life on mars|What happened in 19DD|What happened in 20DD|Who is the richest man|Who won the world cup|What is the news today|Who will win|How do I get rich|What will happen tomorrow|Where can I buy a NOUN|Where did I put my NOUN|When is easter|What is your opinion on TOPIC|What is the best NOUN}?
    {Write|Can you write|Please write} {a poem|an essay|code|a letter|a program|an email|a song} {about TOPIC|about a NOUN|for me|in python}.
    {Translate|How do you say|What is} {NOUN|hello|thank you|NOUN|good morning} in {French|German|Spanish|Italian|Chinese}?""")
ANY_STATEMENT = alternatives("""
    {I'm|I am|I was|We are|He is|She is|They are} {worried|angry|glad|sure|crazy|happy|nervous|curious|upset|excited} about {him|her|it|that|them|this|TOPIC|my NOUN}
    {He|She|It|They|We|My friend|Everybody|Nobody} WORD WORD {it|him|her|me|us|today|yesterday|the NOUN|a NOUN}
    {I want to|I have to|I will|I can|I could|I should|Let me|We must|I tried to} WORD {it|you|this|that|the NOUN|a NOUN|more|something}
    {That|This|It} {is|was|sounds|seems|looks} {very|so|quite|really|a bit|rather} WORD
    {I bought|I sold|I lost|I found|I broke|I need|I want|I saw|I have|I made|I painted|We have|My friend has|I got|I dropped|I am looking for|I would like} {a|a new|an old|a big|a red|my|the} NOUN{| today| yesterday| last week| this morning}
    {My|The|Our|This|That} {NOUN|NOUN|car|house|phone|boss|garden} is {broken|lost|new|old|beautiful|very loud|too expensive|dirty|full|empty|on fire|gone|nice|ugly}
    {I read|I watched|I heard|I learned|I am reading|I am thinking|I talked} {something|a lot|a book|a film|a song} about {TOPIC|a NOUN|TOPIC}
    {I think|I believe|I heard|They say|Everybody knows} that {TOPIC is hard|TOPIC is interesting|a NOUN is expensive|TOPIC is boring|cats are better than dogs|the earth is round|life is good}
    {There is|There was|Look, there is} {a|an old|a big} NOUN {in the garden|in my room|on the street|behind the house|on the table|outside}
    {I'm|I am|We are} {looking at|going to buy|cleaning|painting|fixing|waiting for|talking about|thinking of|afraid of} {a|the|my} NOUN
    {Tomorrow|Next week|In summer|At the weekend|Tonight} I {will|want to|am going to} {go to the NOUN|buy a NOUN|visit a friend|sleep all day|work|read about TOPIC|learn about TOPIC|paint a NOUN|cook}""")
SAID = ["That sounds interesting. Tell me more!", "I see. Tell me more about it.", "Really? What else is new?", "Oh, I see. How do you feel about it?"]
DO_NOT_KNOW = ["I am sorry, I do not know that.", "I do not know that."]

# ---------------------------------------------------------------- stories
HEROES = "Tim Mia Sam Lily Ben Anna Tom Lucy Max Ella Pip Nora".split()
ANIMALS = """dog cat rabbit bear fox mouse owl frog duck horse pony bird fish turtle lion tiger elephant monkey penguin hedgehog pig
goat cow sheep squirrel snail bee""".split()
BEINGS = "dragon robot wizard witch princess prince pirate knight ghost giant fairy king queen unicorn monster boy girl farmer".split()
OBJECTS = "boat train car ball balloon cake tree flower star rocket book hat key apple clock castle ship shoe kite moon snowman".split()
PLACES = """a dark forest|a small village|a high mountain|the deep sea|a big castle|a sunny island|an old house|a green valley|a quiet town
|the snowy north|a busy city|a little garden""".replace("\n", "").split("|")
TRAITS = "little brave kind curious lonely clever shy funny sleepy lazy friendly tiny".split()
FINDS = """a golden key|a lost puppy|an old map|a magic stone|a tiny door|a talking bird|a silver bell|a broken boat|a strange egg|a shiny
 star|a red balloon|a singing shell""".replace("\n", "").split("|")
FRIENDS = "mouse owl fox bird frog rabbit turtle bear dragon wizard".split()
STORY_ASK = alternatives("""
    {Tell me a story|Tell me a story|Can you tell me a story|Please tell me a story|I want to hear a story|Tell a story|Do you know a story|Make up a story|Tell me a tale|A story please|Tell me another story|Story time}{|.|!|?}
    {Tell me a|Can you tell me a|I would like a|Write a|Give me a} {short|funny|nice|little|bedtime} story{|.|?}""")
STORY_ABOUT = alternatives("""
    {Tell me a story|Can you tell me a story|Please tell me a story|I want a story|Tell a story|Make up a story|Write a story|Tell me a tale|A story} about {X|X|X|X please}{|.|?}
    {Tell me a|Write a} {short|funny|nice|little|bedtime} story about X{|.|?}
    {Do you know a story|Is there a story|I would like to hear a story} about X{?|.|}""")


ANOTHER = ("{Another|Another one|One more|Tell me another one|Tell me another|Again|More|And another one|Do you know another one|"
           "Another one please|One more please|Tell me one more}{.|?|!|}")


def article(noun):
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def story(rng, about=None, name=None, seed=None):
    """A tiny story; with `about`, the noun is its hero or the thing found; with `name`, that is the hero's."""
    if seed is not None and rng.random() < 0.85:
        rng = random.Random("story " + seed)  # the same request mostly gets the same story, another request another one
    trait, place = rng.choice(TRAITS), rng.choice(PLACES)
    find, friend = rng.choice(FINDS), rng.choice(FRIENDS)
    thing_story = about in OBJECTS or (about and not name and about not in ANIMALS + BEINGS and rng.random() < 0.5)
    hero = about if about and not thing_story else rng.choice(ANIMALS + BEINGS)
    if thing_story:
        find = article(rng.choice(["magic", "golden", "strange", "shiny", "little", "red"]) + " " + about)
    if friend == hero:
        friend = "wise old snail"
    name = name or rng.choice(HEROES)
    she = rng.choice(("he", "she")) if name not in HEROES else "she" if name in "Mia Lily Anna Lucy Ella Nora".split() else "he"
    her = {"he": "him", "she": "her"}[she]
    thing = find.split(" ", 1)[1]
    start = rng.choice([f"Once upon a time there was {article(trait)} {hero} called {name}. {name} lived in {place}.",
                        f"Once upon a time {article(trait)} {hero} called {name} lived in {place}.",
                        f"Long ago, in {place}, there lived {article(trait)} {hero} named {name}."])
    middle = rng.choice([f"One day {name} found {find}.", f"One morning {name} went for a walk and found {find}.",
                         f"One night {name} could not sleep, looked outside and saw {find}."])
    trouble = rng.choice([
        f"But then it began to rain, and {name} could not find the way home. {article(friend).capitalize()} came along and showed {her} the path.",
        f"{name} did not know what to do with it, so {she} asked {article(friend)}. The {friend} said that it could make a wish come true.",
        f"{article(friend).capitalize()} wanted to have it too, and they began to fight. Then {name} had an idea: they could share it.",
        f"{name} took the {thing} to {article(friend)} who was very ill. When the {friend} saw it, {rng.choice(('it', 'the ' + friend))} smiled and felt better.",
        f"The {thing} belonged to {article(friend)}, who had looked for it all day. {name} gave it back, and the {friend} was very happy.",
        f"Suddenly a big storm came and {name} was afraid. The {thing} began to shine and kept {her} safe until the morning."])
    end = rng.choice([f"From that day on {name} and the {friend} were best friends." if friend in trouble else f"From that day on {name} was never afraid again.",
                      "In the evening they had a big party and ate a lot of cake." if friend in trouble else f"Then {name} went home and slept until noon.",
                      f"{name} went home and was happy ever after.", f"And {name} never forgot that day.",
                      f"Then {name} went to bed and dreamed of the {thing}."])
    return " ".join([start, middle, trouble, end])


# ---------------------------------------------------------------- noise a person's typing has
def typed(rng, text):
    """How people type: full stop or not, lower case, no apostrophes or commas. Told values keep their marks."""
    if text[-1] not in ".!?":
        text += rng.choice((".", ".", ".", "", "", "!"))
    elif rng.random() < 0.3:
        text = text.rstrip(".!?")
    how = rng.random()
    if how < 0.14:
        text = text.lower()
    elif how < 0.25:
        text = re.sub(rf"{OPEN}.*?{SHUT}|[A-Z]", lambda m: m.group() if len(m.group()) > 1 else m.group().lower(), text)
    elif how < 0.28:
        text = re.sub(r"\bI\b", "i", text)
    if rng.random() < 0.12:
        text = text.replace("'", "")
    if rng.random() < 0.12:
        text = text.replace(",", "")
    if rng.random() < 0.04:
        text = rng.choice(("hi, ", "hey, ", "ok, ", "so, ", "well, ", "please ")) + text
    return text


PLAIN_WORDS = [word for word in WORDS if not values.held_out(word)]
LIGHT = set("a an the is are do did you really very and so that of can to it just now please still".split())


def babble(rng, low, high):
    return " ".join(rng.choice(PLAIN_WORDS) for _ in range(rng.randint(low, high)))


def disturb(rng, text):
    """Unfamiliar wording: strange words put in, light words left out, a slip of the keys. Marked values are never touched."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        words = re.findall(rf"{OPEN}[^{SHUT}]*{SHUT}\S*|\S+", text)
        i = rng.randrange(len(words))
        roll = rng.random()
        if roll < 0.4:
            words.insert(i, rng.choice(PLAIN_WORDS))
        elif roll < 0.55 and words[i].lower() in LIGHT and len(words) > 2:
            del words[i]
        elif roll < 0.7 and words[i].isalpha() and len(words[i]) > 3:
            j = rng.randrange(1, len(words[i]) - 1)
            words[i] = words[i][:j] + words[i][j + 1] + words[i][j] + words[i][j + 2:]
        elif roll < 0.85:
            words.insert(0, upper_first(babble(rng, 1, 4)) + rng.choice((",", ".", " and", ":", "")))
        elif words[-1][-1] not in ".!?":
            words.append(babble(rng, 1, 4))
        text = " ".join(words)
    return text


def mark(word):
    return OPEN + word + SHUT


def upper_first(text):
    """Capitalise the first letter, even one behind a mark."""
    i = 1 if text.startswith(OPEN) else 0
    return text[:i] + text[i:i + 1].upper() + text[i + 1:]


def lower_first(text):
    return text[:1].lower() + text[1:]


def fill(rng, template, value="", kind="", was="", start_caps=True):
    """Put a value, a kind of pet and a spelling of `colour` into an expanded template."""
    text = expand(rng, template)
    text = re.sub(r"\bKs\b", {"mouse": "mice", "fish": "fish", "goldfish": "goldfish", "sheep": "sheep", "pony": "ponies", "puppy": "puppies",
                               "canary": "canaries"}.get(kind, kind + "s"), text)
    text = re.sub(r"\bK\b", kind, text)
    text = re.sub(r"\bO\b", "colour" if rng.random() < 0.7 else "color", text)
    text = re.sub(r"\bU\b", was, text)
    text = re.sub(r"\bV\b", lambda m: mark(value), text)
    return upper_first(text) if start_caps else text


LEADS = alternatives("""
    {Quick test: |One last question: |Before I go: |Now |A question: |Let's see, |Please, |Hm, |Sorry, |Just checking: |Hello again! |Wait, |Oh, |By the way, |Question: }""")
# What may follow in the same sentence.
SUFFIX = {
    "name": [" by the way", ", how are you", " and I am happy to meet you", ", remember that", " and I like to talk", ", your new friend", " from next door", " and I am bored", ", a human", ", nice to see you"],
    "pet": [", he is very old", ", she is five", ", he's a bit lazy", " and I love him", ", she is black and white", " and he likes to eat", ", a very clever one", " and she is ill today", ", he's so sweet", ", but she bites", " who sleeps all day"],
    "colour": [" because it is warm", ", like the sky in the evening", " and nothing else", ", what is yours", ", always", " since I was a child", ", not a dull one"],
    "town": [" last year", " now", " with my wife", ", it's cold there", " since two years", " but I work in another place", ", a lovely city", " for my job", ", near the sea", " with my family", ", where it always rains", " at the moment", " and I like it here"],
    "number": [", keep it safe", ", please remember it", " because it brings luck", ", do not tell anybody", ", remember it", " and always was", ", don't forget it", ", I need it later"],
}
BEFORE = alternatives("""
    {I am new here. |Let's see if you can remember this. |I want to tell you something. |Listen. |Guess what! |Here is something about me. |I'd like to introduce myself. |OK then. |Well, let me tell you. |So here we go: |Good to be here. |Thanks. |That is nice. |I am fine, thanks. |I'm good. }""")
AFTER = alternatives("""
    {How are you?|What about you?|Nice to meet you|And you?|Can you remember that?|I like football.|I need some help.|What can you do?|It is raining here.|Please remember that.|I am happy today.|Who are you?|Do you like it?|I hope you are well.|Just so you know.|Ok?|Remember it!|What do you think?}""")


CHECK = {
    "name": ["{Is my name|Am I|Is it true that my name is|So my name is|Am I called} V?"],
    "pet": ["{Is my K called|Is my K's name|Is the name of my K|Is my K} V?"],
    "colour": ["{Is my favourite O|Do I like|Is the O I like} V?"],
    "town": ["{Do I live in|Am I from|Is my home in|Did I say that I live in} V?"],
    "number": ["{Is my number|Is my lucky number|Is the number} V?"],
}


class Dialogue:
    """One dialogue in the making: what has been told so far, and the turns."""

    def __init__(self, rng, fixed, unseen=False, real=0.35):
        self.rng, self.fixed, self.unseen, self.real = rng, fixed, unseen, real
        self.told, self.kinds, self.turns, self.last = {}, {}, [], None
        self.strange = 1.0  # how often wording is disturbed, relative to training

    def say(self, user, reply):
        self.turns.append((user, reply))

    def new_value(self, slot):
        while True:
            word = values.value("pet" if slot == "pet2" else slot, self.rng, self.fixed, self.unseen, self.real)
            if word not in self.told.values():
                return word

    def learn(self, slot):
        """Invent what is told: a value, and for pets and persons which one."""
        rng = self.rng
        kinds = PERSON_KINDS if slot == "person" else [k for k in PET_KINDS if k not in self.kinds.values()]
        self.told[slot], self.last = self.new_value(slot), slot
        self.kinds[slot] = rng.choice(kinds).replace("_", " ")

    def put(self, slot, template, was="", start_caps=True):
        """A template of a slot with what was told."""
        text = template
        if "pet" in self.told and "pet2" in self.told and slot in ("pet", "pet2"):
            # With two of them only the kind says which.
            text = re.sub(r"\b([Mm]y|[Mm]y little) pet\b(?! K| is a)", r"\1 K", expand(self.rng, template))
        return fill(self.rng, text, self.told[slot], self.kinds[slot], was, start_caps)

    def pick(self, table, slot):
        slot = "pet" if slot == "pet2" else slot
        if table is ECHO and slot in USUAL and self.rng.random() < 0.5:
            return USUAL[slot]
        return self.rng.choice(table[slot])

    def tell(self, slot, echo=0.7):
        rng = self.rng
        self.learn(slot)
        if slot in ("pet", "pet2", "person") and rng.random() < 0.15:
            kind = self.kinds[slot]
            text = expand(rng, "{I have|I've got|I also have|I own|We have|There is} " + article(kind) + ("" if slot == "person" else "{|| at home| too}"))
            self.say(typed(rng, text), rng.choice((f"How nice! What is your {kind} called?", f"What is your {kind} called?")))
            text = expand(rng, "{It's|Its name is|Her name is|His name is|He is called|She is called|It is called|The name is|It's called|They call him||} ").strip()
            self.say(typed(rng, f"{text} {mark(self.told[slot])}".strip()), self.put(slot, self.pick(ECHO if rng.random() < echo else PLAIN, slot)))
            return
        text = self.put(slot, self.pick(TELL, slot))
        if slot in SUFFIX and rng.random() < 0.12:
            text = text.rstrip(".!?") + rng.choice(SUFFIX[slot])
        elif rng.random() < 0.07:
            other = upper_first(anything(rng, ANY_STATEMENT))
            text = rng.choice((f"{other}. {text}", f"{text}. {other}"))
        if rng.random() < 0.15:
            text = expand(rng, "{Hi|Hello|Hey|Hi there|Good morning|Hello there}{, |! |. | }") + text
        elif rng.random() < 0.06:
            text = expand(rng, rng.choice(BEFORE)) + text
        if rng.random() < 0.1:
            text += rng.choice((". ", ", ", "! ")) + expand(rng, rng.choice(AFTER))
        if rng.random() < 0.25 * self.strange:
            text = disturb(rng, text)
        reply = self.put(slot, self.pick(ECHO if rng.random() < echo else PLAIN, slot))
        self.say(typed(rng, text), reply)

    def tell_several(self, slots, echo=0.7):
        """Two or three things in one message."""
        rng, clauses = self.rng, []
        joined = rng.random() < 0.65
        for slot in slots:
            self.learn(slot)
            clauses.append(self.put(slot, self.pick(CLAUSE if joined else TELL, slot), start_caps=not joined))
        if joined and slots[:2] == ["name", "town"] and rng.random() < 0.4:
            clauses[:2] = [expand(rng, "{I'm|I am|my name is} ") + f"{mark(self.told['name'])} from {mark(self.told['town'])}"]
        if joined and slots[0] == "name" and slots[1] in ("age", "job") and rng.random() < 0.4:
            extra = self.told["age"] if slots[1] == "age" else "a " + mark(self.told["job"])
            clauses[:2] = [f"I'm {mark(self.told['name'])}, {extra if slots[1] == 'job' else mark(extra)}"]
        text = upper_first(rng.choice((" and ", ", ", ". ", " and ")).join(
            ([", ".join(clauses[:-1])] if clauses[:-1] else []) + clauses[-1:])) if joined else ". ".join(clauses)
        if rng.random() < 0.2:
            text = expand(rng, "{Hi|Hello|Hey}{, |! }") + text
        if rng.random() < 0.15 * self.strange:
            text = disturb(rng, text)
        if rng.random() < echo:
            reply = self.put(slots[0], self.pick(ECHO, slots[0])) + " " + self.put(slots[1], self.pick(ECHO, slots[1]))
        else:
            reply = rng.choice(("Thank you for telling me.", "I will remember that.", "That is good to know."))
        self.say(typed(rng, text), reply)

    def ask(self, slot):
        rng = self.rng
        lead = expand(rng, rng.choice(LEADS)) if rng.random() < 0.08 else ""
        if slot not in self.told:
            slot = "pet" if slot == "pet2" else slot
            kind = rng.choice([k for k in (PERSON_KINDS if slot == "person" else PET_KINDS)]).replace("_", " ")
            self.say(typed(rng, lead + fill(rng, rng.choice(ASK[slot]), kind=kind)), rng.choice(UNTOLD[slot]))
            if rng.random() < 0.4 and slot != "pets":  # the answer may come without its noun
                self.learn(slot)
                self.kinds[slot] = kind
                text = expand(rng, "{It's|It is|It's|It is||||Oh, it is|Sorry, it's|Well, it's|That's easy:|It is of course|It would be|That would be|I'd say|That is} ").strip()
                self.say(typed(rng, upper_first(f"{text} {mark(self.told[slot])}".strip())), self.put(slot, self.pick(ECHO, slot)))
            return
        if rng.random() < 0.04 and slot in CHECK:
            same = rng.random() < 0.5
            guess = self.told[slot] if same else self.new_value(slot)
            question = fill(rng, rng.choice(CHECK[slot]), guess, self.kinds[slot])
            self.say(typed(rng, question), ("Yes, " if same else "No, ") + lower_first(self.put(slot, RECALL["pet" if slot == "pet2" else slot][0])))
            return
        self.last = slot
        if slot == "person" and rng.random() < 0.2:
            self.say(typed(rng, self.put(slot, "{Who is|Who's|Do you know who|And who is} V?")), self.put(slot, "V is your K."))
            return
        what = "kind" if slot == "pet" and "pet2" not in self.told and rng.random() < 0.15 else slot
        question = self.put(slot, self.pick(ASK, what))
        if rng.random() < 0.15 * self.strange:
            question = disturb(rng, question)
        self.say(typed(rng, lead + question), self.put(slot, self.pick(RECALL, what)))

    def correct(self, slot):
        rng, was = self.rng, self.told[slot]
        self.told[slot] = self.new_value(slot)
        template = self.pick(CORRECT, slot)
        if slot == self.last and rng.random() < 0.5:  # what was just spoken of need not be named again
            template = ("{Actually it's|Actually, it's|No, it's|No, it is|Sorry, it's|Sorry, I meant|No wait, it's|Wrong, it is|Oops, it's|I mean|"
                        "Not U, it's|Not U but|It's not U, it's|Hm no, it is|Wait, it's} V{|||, sorry|, not U}")
        text = self.put(slot, template, mark(was))
        self.say(typed(rng, text), self.put(slot, self.pick(CORRECTED, slot)))

    def summary(self):
        """All that was told, in a fixed order."""
        rng = self.rng
        order = ("name", "age", "job", "town", "pet", "pet2", "pets", "person", "colour", "food", "number", "word")
        parts = [self.put(slot, RECALL["pet" if slot == "pet2" else slot][0])
                 for slot in order if slot in self.told]
        text = expand(rng, "{What do you know about me|What did I tell you|What have I told you|What do you remember about me|What do you remember|Tell me what you know about me}{| so far}?")
        self.say(typed(rng, text), " ".join(parts[:5]) or "You have not told me anything yet.")

    def tale(self):
        """Being asked for a story: about nothing, a noun, or what was told."""
        rng, roll = self.rng, self.rng.random()
        if roll < 0.4:
            asked = typed(rng, expand(rng, rng.choice(STORY_ASK)))
            self.say(asked, story(rng, seed=re.sub("[^a-z ]", "", asked.lower())))
            if rng.random() < 0.2:
                self.say(typed(rng, expand(rng, ANOTHER)), story(rng))
            return
        name = None
        if roll < 0.5 and {"pet", "pet2"} & set(self.told):
            slot = rng.choice(sorted({"pet", "pet2"} & set(self.told)))
            about, name = self.kinds[slot], mark(self.told[slot])
            said = rng.choice((f"my {about}", mark(self.told[slot]), f"my {about} {mark(self.told[slot])}"))
        elif roll < 0.44 and not {"pet", "pet2"} & set(self.told):
            about = rng.choice(PET_KINDS)
            said = rng.choice(("my ", "our ", "my little ")) + about
        elif roll < 0.58 and "name" in self.told:
            about, name, said = rng.choice(("child", "wizard", "knight", "hero")), mark(self.told["name"]), rng.choice(("me", mark(self.told["name"])))
        elif roll < 0.6:
            name, about = mark(self.new_value("name")), rng.choice(ANIMALS + BEINGS)
            said = article(about) + rng.choice((" called ", " named ", " with the name ")) + name
        elif roll < 0.63:
            name = mark(self.new_value("name"))
            about, said = rng.choice(("child", "wizard", "knight", "hero")), name
        else:
            about = rng.choice(NOUNS) if roll < 0.75 else values.value("colour", rng, self.fixed, self.unseen, 0.0) if roll < 0.78 \
                else rng.choice(ANIMALS + BEINGS + OBJECTS)
            said = article(about) if about != "moon" and rng.random() < 0.85 else f"the {about}" if about == "moon" or rng.random() < 0.5 else f"{about}s"
        asked = re.sub(r"\bX\b", lambda m: said, expand(rng, rng.choice(STORY_ABOUT)))
        self.say(typed(rng, asked), story(rng, about, name, about if about in ANIMALS + BEINGS + OBJECTS else None))

    def filler(self, stories=0.06, asks=True):
        rng = self.rng
        kind = rng.random() if asks else rng.random() * 0.93
        if kind < stories:
            self.tale()
        elif kind < 0.38:
            users, replies = rng.choice(SMALL)
            reply = rng.choice(replies)
            if "name" in self.told and rng.random() < 0.4:
                named = {"Goodbye!": "Goodbye, V!", "See you soon!": "See you soon, V!", "You are welcome!": "You are welcome, V!",
                         "Hello!": "Hello again, V!", "Hi there!": "Hello again, V!", "Thank you!": "Thank you, V!"}
                for plain, full in named.items():
                    if reply.startswith(plain):
                        reply = full.replace("V", mark(self.told["name"])) + reply[len(plain):]
            text = expand(rng, rng.choice(users))
            if rng.random() < 0.12:
                first = expand(rng, rng.choice(rng.choice(SMALL)[0]))
                text = rng.choice((f"{first.rstrip('.!?')}, {lower_first(text)}", first + (" " if first[-1] in ".!?" else ". ") + text))
            self.say(typed(rng, text), reply)
            if "joke" in users[0] and rng.random() < 0.3:
                self.say(typed(rng, expand(rng, ANOTHER)), rng.choice([other for other in replies if other != reply]))
        elif kind < 0.395:
            text = values.value("word", rng, self.fixed, real=0.0) if rng.random() < 0.3 else "?" if rng.random() < 0.1 else babble(rng, 1, 5)
            self.say(text, "I am not sure what you mean.")
        elif kind < 0.45:
            text = upper_first(anything(rng, ANY_STATEMENT))
            self.say(typed(rng, disturb(rng, text) if rng.random() < 0.4 * self.strange else text), rng.choice(SAID))
        elif kind < 0.66:
            self.say(*fact(rng))
        elif kind < 0.82:
            self.say(*arithmetic(rng))
        elif kind < 0.88:
            text = anything(rng, ANY_QUESTION)
            if rng.random() < 0.2:
                text = rng.choice(("Who is ", "Do you know ", "Who was ")) + values.value("name", rng, self.fixed, self.unseen, 0.6)
                text += f" {rng.choice([n for n in values.SURNAMES if not values.held_out(n)])}?" if " " not in text[8:] and not self.unseen and rng.random() < 0.4 else "?"
            self.say(typed(rng, text), rng.choice(DO_NOT_KNOW))
        elif kind < 0.93:
            invent = lambda m: self.new_value(rng.choice(("name", "town", "colour")))
            text = re.sub(r"\bX\b", invent, expand(rng, rng.choice(UNKNOWN)))
            text = re.sub("D", lambda m: str(rng.randrange(10)), text) if "DD" in text else text
            self.say(typed(rng, text), rng.choice(DO_NOT_KNOW))
        else:
            self.ask(rng.choice(values.KINDS if rng.random() < 0.75 else values.OTHER_KINDS))


def anything(rng, templates):
    """A template about any of the nouns, topics and countries."""
    text = expand(rng, rng.choice(templates))
    text = re.sub("WORD", lambda m: rng.choice(PLAIN_WORDS), text)
    text = text.replace("TOPIC", rng.choice(TOPICS).replace("_", " ")).replace("COUNTRY", rng.choice(COUNTRIES))
    text = text.replace("NOUN", rng.choice(NOUNS) if rng.random() < 0.7 else rng.choice(ANIMALS + OBJECTS + BEINGS))
    return re.sub("DD", lambda m: str(rng.randrange(10, 99)), text)


def fact(rng):
    """A question about the world and its answer."""
    kind = rng.randrange(10)
    if kind < 2:
        country = rng.choice(list(CAPITALS))
        if rng.random() < 0.15:
            return typed(rng, expand(rng, f"{{{CAPITALS[country]} is the capital of which country|Where is {CAPITALS[country]}}}?")), \
                f"{CAPITALS[country]} is the capital of {country}."
        ask = "{What is the capital of|What's the capital of|Do you know the capital of|Tell me the capital of|Name the capital of|Which city is the capital of|Capital of} "
        return typed(rng, expand(rng, ask) + country + "?"), f"The capital of {country} is {CAPITALS[country]}."
    if kind < 4:
        thing = rng.choice(list(COLOUR_OF))
        said = thing.replace("_", " ")
        ask = expand(rng, "{What colour is|What color is|Which colour is|Tell me what colour is|What is the colour of|What's the colour of} ")
        return typed(rng, ask + said + "?"), f"{said[0].upper() + said[1:]} is {COLOUR_OF[thing]}."
    if kind == 4:
        animal = rng.choice(list(SOUNDS))
        ask = f"{{What does a {animal} say|What sound does a {animal} make|What noise does a {animal} make|How does a {animal} sound|What do {animal}s say}}?"
        if rng.random() < 0.2:
            ask = f"{{Which animal says|What animal says|Which animal makes|Who says}} {SOUNDS[animal]}?"
        return typed(rng, expand(rng, ask)), f"{article(animal).capitalize()} says {SOUNDS[animal]}."
    if kind == 5:
        a, b = rng.choice(OPPOSITES)
        a, b = (a, b) if rng.random() < 0.5 else (b, a)
        ask = f"{{What is|What's|Tell me|Do you know}} the opposite of {a}?"
        return typed(rng, expand(rng, ask)), f"The opposite of {a} is {b}."
    if kind == 6:
        animal = rng.choice(list(BABIES))
        ask = f"{{What is a baby {animal} called|What do you call a baby {animal}|What's a baby {animal}|What is a young {animal} called}}?"
        return typed(rng, expand(rng, ask)), f"A baby {animal} is called a {BABIES[animal]}."
    if kind == 7:
        animal = rng.choice(list(LEGS))
        ask = f"How many legs {{does a {animal} have|has a {animal}|do {animal}s have}}?"
        return typed(rng, expand(rng, ask)), f"{article(animal).capitalize()} has {LEGS[animal]} legs."
    if kind == 8:
        names, word = rng.choice(((DAYS, "day"), (MONTHS, "month")))
        i, after = rng.randrange(len(names)), rng.random() < 0.7
        other = names[(i + (1 if after else -1)) % len(names)]
        rel = "after" if after else "before"
        ask = f"{{What|Which}} {word} {{comes|is}} {rel} {names[i]}?"
        return typed(rng, expand(rng, ask)), f"{other} comes {rel} {names[i]}."
    users, replies = rng.choice(SINGLE_FACTS)
    return typed(rng, expand(rng, rng.choice(users))), rng.choice(replies)


def arithmetic(rng):
    """A sum or a difference of small numbers, or one that is too hard."""
    roll = rng.random()
    lead = expand(rng, "{What is |What is |What's |How much is |Can you add |Do you know |Tell me |Calculate |What does |Please compute |||||}")
    if roll < 0.12:
        a, b = rng.randrange(11, rng.choice((30, 99, 999))), rng.randrange(rng.choice((10, 99, 999)))
        a, b = (n - 1 if n > 20 and values.held_out(str(n)) and not values.held_out(str(n - 1)) else n for n in (a, b))
        a, b = (a, b) if rng.random() < 0.6 else (b, a)
        text = f"{lead}{a} {rng.choice(('+', '-', 'times', 'plus', 'x', '*', 'minus'))} {b}?"
        return typed(rng, text), "I can only add and take away small numbers."
    if roll < 0.15:
        a, b = rng.randrange(10), rng.randrange(10)
        return typed(rng, f"{lead}{a} {rng.choice(('times', 'x', '*', 'divided by', '/'))} {b}?"), \
            "I can only add and take away small numbers."
    if roll < 0.8:
        a, b = rng.randrange(10), rng.randrange(10)
        sign, word, result = rng.choice((" + ", "+", " plus ", " plus ", " and ") if "add" in lead or "much" in lead
                                        else (" + ", "+", " plus ", " + ", "+")), "plus", a + b
    else:
        a = rng.randrange(11)
        b = rng.randrange(a + 1)
        sign, word, result = rng.choice((" - ", "-", " minus ", " take away ")), "minus", a - b
        lead = lead.replace("add ", "work out ")
    if rng.random() < 0.12 and max(a, b) <= 10:
        said = f"{NUMBER_WORDS[a]} {word} {NUMBER_WORDS[b]}"
    else:
        said = f"{a}{sign}{b}"
    tail = " make?" if lead == "What does " else rng.choice(("?", "?", "", " = ?", "=")) if not lead else "?"
    return typed(rng, upper_first(lead + said + tail)), f"{a} {word} {b} is {mark(str(result))}."


SYSTEMS = alternatives("""
    You are a {helpful|friendly|kind|polite|useful|tiny|small|smart|cheerful} {assistant|chatbot|AI assistant|helper|companion|bot}.
    You are a {helpful|friendly} {assistant|chatbot|AI}. {Answer briefly.|Be polite.|Keep your answers short.|Be kind.|Answer in English.|Answer the user's questions.}
    You are an AI {assistant|model|chatbot}.
    You are ChatGPT, a large language model.
    {Today is Monday.|You know many facts.|You answer in one sentence.|You never lie.|Do not use bad words.|You work for a small shop.|You love stories.|The user is a child.|You remember what the user says.} {Be polite.|Be kind.|Answer briefly.|Help the user.}
    {Be helpful and polite.|Answer the user's questions.|Be brief.|Answer as well as you can.|Help the user.|You like to talk with people.}""")


def fixed_words():
    """Every lower-case word of the templates; these never count as held out."""
    words, rng = set(), random.Random(1)
    tables = [TELL, CLAUSE, ECHO, PLAIN, ASK, RECALL, UNTOLD, CORRECT, CORRECTED]
    texts = [t for table in tables for lines in table.values() for t in lines]
    texts += [t for pairs in (SMALL, SINGLE_FACTS) for pair in pairs for lines in pair for t in lines]
    for table in (CAPITALS, COLOUR_OF, SOUNDS, BABIES, LEGS):
        texts += list(table) + list(table.values())
    texts += [w for pair in OPPOSITES for w in pair] + DAYS + MONTHS + NUMBER_WORDS + PET_KINDS + SYSTEMS + UNKNOWN
    texts += HEROES + ANIMALS + BEINGS + OBJECTS + PLACES + TRAITS + FINDS + FRIENDS + STORY_ASK + STORY_ABOUT
    texts += NOUNS + TOPICS + PERSON_KINDS + ANY_QUESTION + ANY_STATEMENT + SAID + DO_NOT_KNOW + LEADS + BEFORE + AFTER
    texts += [story(rng) for _ in range(400)] + [" ".join(arithmetic(rng)) for _ in range(300)]
    for text in texts:
        words.update(re.findall(r"[a-z]+", text.lower().replace("_", " ")))
    return words


FIXED = fixed_words()


def dialogue(rng, level, real=0.35):
    """One training dialogue. `level` 0 is a tell and an ask or two, 1 a long talk with things told far apart."""
    d = Dialogue(rng, FIXED, real=real)
    system = expand(rng, rng.choice(SYSTEMS)) if rng.random() < 0.12 else None
    stage = rng.random() * 0.25 + level * 0.75  # mixes easier dialogues in at every level
    if rng.random() < (0.02 if level < 0.3 else 0.12):  # stories and chat only
        for _ in range(rng.randint(1, 3)):
            if rng.random() < 0.15:
                d.ask(rng.choice(values.KINDS))
            d.filler(stories=0.45 if level > 0.2 else 0.1)
        return system, d.turns
    if rng.random() < 0.05:  # an arithmetic lesson
        for _ in range(rng.randint(3, 7)):
            d.say(*(arithmetic(rng) if rng.random() < 0.8 else fact(rng)))
        return system, d.turns
    slots = list(values.KINDS)
    rng.shuffle(slots)
    if rng.random() < 0.5:  # the name is what people tell most
        slots.remove("name")
        slots.insert(0, "name")
    slots.insert(rng.randrange(3), rng.choice(("pet2",) + values.OTHER_KINDS) if rng.random() < 0.45 else slots.pop())
    if "pet2" in slots and slots.index("pet2") < slots.index("pet"):
        slots[slots.index("pet")], slots[slots.index("pet2")] = "pet2", "pet"
    if stage < 0.25:
        turns, things, idle, echo = rng.randint(0, 1), rng.randint(1, 2), 0.1, 0.85
    elif stage < 0.5:
        turns, things, idle, echo = rng.randint(1, 4), rng.randint(1, 3), 0.3, 0.75
    elif stage < 0.75:
        turns, things, idle, echo = rng.randint(3, 7), rng.randint(1, 4), 0.45, 0.7
    else:
        turns, things, idle, echo = rng.randint(4, 9), rng.randint(1, 5), 0.6, 0.65
    waiting = slots[:things]
    stories = 0.03 + 0.05 * level
    if rng.random() < 0.15:
        d.say(typed(rng, expand(rng, SMALL[0][0][0])), rng.choice(SMALL[0][1]))

    def tell_next():
        if len(waiting) > 1 and rng.random() < 0.22:
            if {"name", "town"} <= set(waiting) and rng.random() < 0.5:
                waiting.sort(key=lambda slot: (slot != "name", slot != "town"))
            n = 3 if len(waiting) > 2 and rng.random() < 0.3 else 2
            d.tell_several([waiting.pop(0) for _ in range(n)], echo)
        else:
            d.tell(waiting.pop(0), echo)

    tell_next()
    for _ in range(turns):
        roll = rng.random()
        if waiting and roll > idle:
            tell_next()
        elif roll < idle:
            d.filler(stories)
        elif roll < idle + (1 - idle) * 0.2:
            slot = d.last if d.last in d.told and rng.random() < 0.5 else rng.choice(list(d.told))
            d.correct(slot)
            if rng.random() < 0.4:
                d.ask(slot)
        elif roll < idle + (1 - idle) * 0.35:
            d.ask(rng.choice([slot for slot in values.KINDS + values.OTHER_KINDS if slot not in waiting]))
        else:
            d.ask(rng.choice(list(d.told)))
    while waiting:
        tell_next()
    # Whatever was told is asked for at the end, the last of it perhaps twice.
    last = list(d.told)
    rng.shuffle(last)
    for slot in last[:rng.randint(1, len(last))]:
        if rng.random() < idle * 0.5:
            d.filler(stories * 0.5)
        d.ask(slot)
    if rng.random() < 0.12:
        d.summary()
    return system, d.turns


def as_text(system, turns):
    """The exact text of a dialogue, marks included."""
    head = f"System: {system}\n\n" if system else ""
    return head + "".join(f"User: {u}\n\nAssistant: {a}\n\n" for u, a in turns)


if __name__ == "__main__":
    rng = random.Random(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
    for _ in range(8):
        print(as_text(*dialogue(rng, float(sys.argv[2]) if len(sys.argv) > 2 else 1.0)).replace(OPEN, "<").replace(SHUT, ">"))
        print("-" * 60)
