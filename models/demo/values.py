"""The things a user may tell: written-down names, pets, colours and towns, and endless invented ones.

Every value falls by a hash on one of two sides: about one in ten is held out and occurs in no training dialogue.
"""
import hashlib

from words import WORDS

NAMES = """Aaron Abdul Abigail Ada Adam Adele Adrian Agnes Ahmed Aidan Aisha Akira Alan Albert Alejandro Alex Alexander Alexandra
Alfie Alfred Ali Alice Alicia Alina Alison Amal Amanda Amara Amber Amelia Amina Amir Amit Amy Ana Anastasia Anders Andre Andrea
Andreas Andrew Andy Angela Angus Anika Anil Anita Anja Anna Annabel Anne Annie Anthony Antonio Anya Archie Ariana Arjun Arthur
Asha Ashley Astrid Audrey Aurora Ava Axel Ayesha Barbara Barry Beatrice Becky Bella Ben Benedict Benjamin Bernard Beth Bethany
Betty Bianca Bill Billy Bjorn Bob Boris Brad Brandon Brenda Brian Bridget Bruce Bruno Caitlin Callum Calvin Cameron Carl Carla
Carlos Carmen Carol Caroline Carter Casey Caspar Cassie Catherine Cecilia Cedric Celia Charles Charlie Charlotte Chen Chiara Chloe
Chris Christian Christina Christopher Cindy Claire Clara Clarissa Claudia Clive Colin Connor Conrad Cora Craig Curtis Cyrus Daisy
Damian Dan Dana Daniel Daniela Danny Daphne Darren Dave David Dawn Dean Deborah Declan Deepak Delia Denise Dennis Derek Desmond
Diana Diego Dimitri Dina Dmitri Dominic Donald Donna Dora Doris Dorothy Douglas Duncan Dylan Ed Eddie Edgar Edith Edmund Edward
Edwin Eileen Elaine Eleanor Elena Eli Elias Elif Elijah Elisa Eliza Elizabeth Ella Ellen Elliot Elsa Elsie Emil Emilia Emily Emma
Enzo Eric Erica Erik Erin Ernest Esme Esther Ethan Eugene Eva Evan Eve Evelyn Ezra Faisal Farah Fatima Felicity Felix Fergus
Fernando Fiona Flora Florence Frances Francesca Francis Frank Franz Fred Freddie Frederick Freya Gabriel Gabriela Gareth Garry
Gary Gavin Gemma Geoff George Georgia Gerald Gideon Gina Giles Giovanni Gita Gloria Gordon Grace Graham Grant Greg Greta Guido
Gustav Guy Gwen Hamza Hana Hank Hannah Hans Hari Harold Harriet Harrison Harry Harvey Hasan Hassan Hazel Heather Hector Heidi
Helen Helena Helga Henrik Henry Herbert Hilda Hiro Holly Howard Hugh Hugo Ian Ibrahim Ida Igor Imogen Imran Ines Ingrid Ira Irene
Iris Irina Isaac Isabel Isabella Isla Ivan Ivy Jack Jackie Jackson Jacob Jacqueline Jade Jake James Jamie Jan Jane Janet Jason
Jasmine Jasper Javier Jay Jayden Jean Jeff Jemima Jen Jennifer Jenny Jeremy Jerome Jerry Jess Jessica Jill Jim Jimmy Jo Joan
Joanna Joe Joel Johan Johanna John Johnny Jon Jonah Jonas Jonathan Jordan Jorge Jose Josef Joseph Josephine Josh Joshua Joy Joyce
Juan Juanita Jude Judith Judy Jules Julia Julian Julie Juliet Jun June Justin Kai Kamal Karen Karim Karl Karla Kasper Kate
Katherine Kathleen Katie Katrina Katya Kay Keira Keith Kelly Ken Kenji Kenneth Kenny Kerry Kevin Khalid Kiara Kieran Kim Kimberly
Kirsten Kofi Kostas Krishna Kumar Kurt Kwame Kyle Kylie Lana Lara Larry Lars Laura Lauren Laurence Layla Lea Leah Leila Lena Leo
Leon Leona Leonard Leonardo Leroy Leslie Lewis Liam Lidia Lila Lily Lina Linda Ling Lisa Liz Lola Lorenzo Lorna Louis Louisa
Louise Luca Lucas Lucia Lucy Luis Luka Luke Lulu Luna Lydia Lynn Mabel Mads Maggie Magnus Mahmoud Malcolm Mandy Manuel Mara Marc
Marcel Marco Marcus Margaret Margot Maria Mariam Marie Marina Mario Marion Marisol Mark Marlene Marlon Martha Martin Martina
Marvin Mary Mason Mateo Matilda Matt Matthew Maud Maureen Maurice Max Maxine Maya Megan Mei Mel Melanie Melissa Mia Michael
Michelle Miguel Mikael Mike Mila Miles Millie Milo Mina Minh Mira Miranda Miriam Mohamed Mohammed Moira Molly Mona Monica Morgan
Morris Moses Muhammad Myra Nadia Nadine Nancy Naomi Natalia Natalie Natasha Nathan Neil Nell Nelson Niall Nicholas Nick Nicola
Nicole Nigel Nikolai Nils Nina Noah Noel Nora Norman Oleg Olga Oliver Olivia Ollie Omar Oscar Otto Owen Pablo Paige Pamela Paolo
Pascal Pat Patricia Patrick Paul Paula Pauline Pavel Pearl Pedro Peggy Penelope Penny Percy Perry Pete Peter Petra Phil Philip
Phoebe Pierre Pippa Polly Pradeep Priya Quentin Quinn Rachel Rafael Rahul Raj Rajesh Ralph Ramona Randy Raphael Rashid Raul Ravi
Ray Raymond Rebecca Reggie Reuben Rex Rhys Ricardo Richard Rick Rita Rob Robert Roberta Roberto Robin Rodney Roger Rohan Roland
Roman Romeo Ron Ronan Ronnie Rory Rosa Rosalind Rosie Ross Roxanne Roy Ruby Rudolf Rufus Rupert Russell Ruth Ryan Sabrina Sadia
Sally Sam Samantha Samir Samuel Sandra Sanjay Santiago Sara Sarah Sasha Saskia Scott Sean Sebastian Selena Selma Serena Sergei
Seth Shane Shannon Sharon Sheila Shelly Shirin Shirley Sid Sidney Sienna Sigrid Silas Silvia Simon Simone Siobhan Sofia Sonia
Sophia Sophie Soren Stacy Stan Stefan Stella Stephanie Stephen Steve Stuart Sue Sunil Susan Susie Suzanne Sven Sybil Sylvia Tabitha
Takeshi Tamara Tamsin Tania Tara Tariq Tatiana Ted Teresa Terry Tess Thea Thelma Theo Theodore Theresa Thomas Tia Tiffany Tilda
Tilly Tim Timothy Tina Tobias Toby Todd Tom Tommy Toni Tony Tracy Trevor Tristan Trudy Tyler Uma Ursula Valentina Valerie Vanessa
Vera Veronica Vicky Victor Victoria Vijay Vikram Vincent Viola Violet Virginia Vivian Vlad Walter Wanda Warren Wayne Wei Wendy
Wilfred Will William Willow Winston Xander Xavier Yara Yasmin Yolanda Yuki Yuri Yusuf Yvette Yvonne Zach Zachary Zahra Zainab Zara
Zelda Zoe Zoltan Zuzanna""".split()

PETS = """Ace Alfie Angel Apollo Archie Arlo Bailey Bandit Barney Baxter Beau Bella Benji Benny Bertie Biscuit Blackie Blaze Blossom
Blue Bobby Bonnie Boomer Boris Brandy Bruno Bubbles Buddy Buster Buttons Callie Casper Charlie Checkers Chester Chewy Chico Cinders
Cleo Clover Coco Comet Cookie Cooper Cosmo Crackers Cuddles Daisy Dexter Diesel Dixie Dobby Domino Dora Duchess Duke Dusty Echo
Einstein Elmo Ember Felix Fern Fidget Fido Finn Flash Flopsy Fluffy Fozzie Freckles Frisky Frodo Fudge Garfield George Ghost Ginger
Gizmo Goldie Goose Gracie Gromit Guinness Gus Hamlet Harley Hazel Henry Hobbes Honey Hopper Hugo Hunter Izzy Jasper Jaws Jelly
Jerry Jinx Juno Kiki Kipper Kitty Lacey Lady Laika Leo Lexi Lilo Lola Loki Louie Lucky Lulu Luna Mabel Macy Maggie Maisie Marley
Marmalade Maximus Merlin Mickey Midnight Millie Milo Mimi Minnie Misty Mittens Mocha Molly Monty Moose Morris Muffin Murphy Nacho
Nala Napoleon Nemo Nibbles Nugget Oakley Odie Ollie Olive Oreo Oscar Otis Paddy Panda Patch Peaches Peanut Pebbles Penny Pepper
Percy Pickle Piglet Pip Pippin Pluto Polly Pongo Poppy Pretzel Prince Princess Pudding Puff Pumpkin Rascal Raven Remy Rex Ringo
Rocky Rolo Romeo Roscoe Rosie Roxy Ruby Rufus Rusty Sadie Salem Sammy Samson Sandy Sasha Scamp Scooby Scout Shadow Shelby Sherlock
Simba Smokey Smudge Snickers Snoopy Snowball Snowy Socks Sooty Sparky Speckles Spike Spot Sprout Squeak Squirt Star Stella Storm
Sugar Sunny Sushi Sweep Taco Tango Teddy Thor Thumper Tiger Tigger Tilly Tinker Titan Toby Toffee Toto Trixie Truffle Tucker Tweety
Twiglet Twinkle Waffles Wags Wallace Whiskers Willow Winnie Winston Wolfie Woody Yoda Yogi Zeus Ziggy Zorro""".split()

TOWNS = """Aachen Aarhus Aberdeen Accra Adelaide Agra Alicante Amsterdam Antwerp Arnhem Athens Atlanta Auckland Austin Avignon Baghdad
Bali Baltimore Bangalore Bangkok Barcelona Barnsley Basel Bath Bedford Beijing Beirut Belfast Belgrade Bergen Berlin Bern Bilbao
Birmingham Blackburn Blackpool Bogota Bologna Bolton Bonn Bordeaux Boston Bradford Brasov Bremen Brighton Brisbane Bristol Bruges
Brussels Bucharest Budapest Buffalo Burnley Bursa Cairo Calais Calgary Cambridge Canberra Canterbury Caracas Cardiff Carlisle
Casablanca Chelmsford Cheltenham Chennai Chester Chicago Cleveland Colchester Cologne Copenhagen Cordoba Cork Coventry Crewe
Dakar Dallas Damascus Darlington Darwin Delft Delhi Denver Derby Detroit Dhaka Doha Doncaster Dortmund Dover Dresden Dubai Dublin
Dubrovnik Dumfries Dundee Durban Durham Edinburgh Eindhoven Essen Exeter Falkirk Florence Frankfurt Galway Gdansk Geneva Genoa Ghent
Gibraltar Glasgow Gloucester Gothenburg Granada Graz Grenoble Grimsby Groningen Guildford Haarlem Halifax Hamburg Hanoi Hanover
Harare Hastings Havana Helsinki Hereford Hobart Honolulu Houston Hull Hyderabad Innsbruck Inverness Ipswich Istanbul Jaipur Jakarta
Johannesburg Kabul Karachi Kathmandu Kendal Kigali Kingston Kolkata Krakow Kyiv Kyoto Lagos Lahore Lancaster Leeds Leicester Leiden
Leipzig Lille Lima Limerick Lincoln Linz Lisbon Liverpool Ljubljana Lodz London Lublin Lucerne Luton Lyon Madison Madrid Malaga
Malmo Manchester Manila Mannheim Marrakesh Marseille Melbourne Memphis Miami Milan Minsk Mombasa Montreal Moscow Mumbai Munich
Nairobi Nantes Naples Nashville Newark Newcastle Nice Norwich Nottingham Nuremberg Oaxaca Odessa Oldham Orlando Osaka Oslo Ottawa
Oxford Padua Palermo Paris Perth Philadelphia Phoenix Pisa Plymouth Porto Portland Portsmouth Poznan Prague Preston Pune Quebec
Ravenna Reading Rennes Reykjavik Riga Rochdale Rome Rotterdam Rouen Salford Salisbury Salzburg Santiago Sapporo Sarajevo Seattle
Seoul Seville Shanghai Sheffield Shrewsbury Siena Singapore Skopje Sofia Southampton Stafford Stavanger Stirling Stockholm Stockport
Stoke Strasbourg Stuttgart Sunderland Swansea Swindon Sydney Taipei Tallinn Tampa Tampere Taunton Telford Tirana Tokyo Toledo
Toronto Toulouse Trieste Trondheim Truro Tucson Tunis Turin Turku Uppsala Utrecht Valencia Vancouver Venice Verona Vienna Vilnius
Wakefield Warsaw Warwick Wellington Whitby Wigan Winchester Wolverhampton Worcester Wrexham Yeovil York Zagreb Zurich""".split()

LONG_TOWNS = """New York;Los Angeles;San Francisco;San Diego;Hong Kong;Cape Town;Rio de Janeiro;Buenos Aires;New Delhi;Las Vegas;
Kuala Lumpur;Tel Aviv;Mexico City;Salt Lake City;Milton Keynes;Bad Homburg;Le Havre;La Paz;San Jose;Saint Louis;Santa Fe;Den Haag;
Kings Lynn;Bury St Edmunds;Port Louis;Addis Ababa;Abu Dhabi;El Paso;Fort Worth;Baden Baden""".replace("\n", "").split(";")
FIRST_HALVES = "New San Le La El Port Saint St Santa Bad Los Las Den Cape Fort Mount Old Great North South".split()
SURNAMES = """Smith Jones Brown Taylor Wilson Evans Thomas Roberts Walker Wright Green Hall Wood Clarke Hughes Lewis Hill Moore Cooper
Ward King Turner Carter Baker Garcia Martinez Lopez Muller Schmidt Schneider Fischer Weber Rossi Bianchi Kowalski Novak Ivanov
Petrov Kim Park Nguyen Tanaka Sato Khan Patel Singh Silva Santos Costa Jensen Hansen Larsen Murphy Kelly""".split()
FOODS = """pizza pasta rice bread cheese soup salad curry sushi noodles potatoes chips chocolate cake pancakes waffles apples bananas
strawberries cherries grapes oranges tomatoes carrots beans eggs bacon sausages burgers tacos burritos lasagne risotto dumplings ramen
porridge cereal yoghurt honey jam toast sandwiches popcorn nuts mushrooms broccoli spinach fish chicken steak lobster prawns pie
biscuits muffins doughnuts cookies fudge custard trifle omelette falafel hummus kebab paella goulash stew""".split()
JOBS = """teacher doctor nurse student farmer cook painter driver writer baker singer engineer programmer lawyer dentist gardener
plumber carpenter builder pilot sailor soldier waiter barber butcher tailor librarian scientist chemist biologist musician dancer
actor artist photographer journalist mechanic electrician cleaner cashier manager secretary accountant architect firefighter
postman fisherman vet translator designer""".split()
BASIC_COLOURS = """red blue green yellow orange purple pink brown black white grey gold silver""".split()
COLOURS = BASIC_COLOURS + """amber aqua aquamarine azure beige bronze burgundy cerise charcoal cherry chestnut chocolate claret
cobalt copper coral cream crimson cyan ebony emerald fuchsia gray hazel indigo ivory jade khaki lavender lemon lilac lime magenta
mahogany maroon mauve mint mustard navy ochre olive peach pearl pewter pistachio plum raspberry rose ruby russet rust saffron sage
salmon sapphire scarlet sepia sienna tan tangerine taupe teal terracotta topaz turquoise umber vanilla vermilion violet
walnut""".split()
SHADES = "dark light pale bright deep".split()

ONSETS = ("b c d f g h j k l m n p r s t v w y z br bl ch cl cr dr fl fr gl gr kl kr pl pr qu sh sk sl sm sn sp st sw th tr tw "
          "wh").split()
VOWELS = "a e i o u".split() * 4 + "y ae ai ay ea ee ei ia ie io oa oo ou".split()
CODAS = "n r l s m t d k x th sh ck nd nt rd rk rn st ll ss nn tt rt lt ng b g p f v z".split()
ENDS = "a o i e y ie us is an en in on ar er or el il as".split()
OTHER_KINDS = ("person", "food", "age", "job", "word", "pets")
KINDS = ("name", "pet", "town", "colour", "number")


def held_out(value):
    """Whether a value is kept away from training: one in ten, by a hash of its lower-case spelling."""
    return hashlib.sha1(b"demo:" + value.lower().encode()).digest()[0] < 26


def syllables(rng):
    """A pronounceable word of one to three syllables."""
    n = rng.choice((1, 2, 2, 2, 3))
    word = ""
    for i in range(n):
        word += rng.choice(ONSETS) if i or rng.random() < 0.85 else ""
        last = i == n - 1
        word += rng.choice(ENDS) if last and n > 1 and rng.random() < 0.5 else rng.choice(VOWELS)
        if rng.random() < (0.6 if last else 0.3):
            word += rng.choice(CODAS)
    return word


def crossed(rng, pool):
    """The front of one written-down value with the end of another."""
    a, b = rng.choice(pool), rng.choice(pool)
    return a[:rng.randint(1, max(1, len(a) - 1))] + b[rng.randint(1, max(1, len(b) - 2)):]


def letters(rng):
    """Consonants and vowels more or less alternating."""
    word, vowel = "", rng.random() < 0.25
    for _ in range(rng.randint(3, 7)):
        word += rng.choice("aeiouy" if vowel else "bcdfghjklmnpqrstvwxyz")
        vowel = not vowel if rng.random() < 0.85 else vowel
    return word


def invented(rng, pool):
    while True:
        kind = rng.random()
        word = crossed(rng, pool) if kind < 0.45 else syllables(rng) if kind < 0.8 else letters(rng)
        if rng.random() < 0.1:
            word += syllables(rng)
        if 3 <= len(word) <= 14:
            return word.lower()


def candidate(kind, rng, real):
    """A value of a kind, written-down with probability `real`, else invented."""
    if kind == "number":
        return str(rng.randrange(10 ** rng.choice((1, 2, 2, 3, 3, 4))))
    if kind == "age":
        return str(rng.randint(5, 99))
    if kind == "pets":
        return candidate("pet", rng, real) + " and " + candidate("pet", rng, real)
    if kind == "word":
        if rng.random() < 0.3:
            return rng.choice(WORDS) + (rng.choice(WORDS) if rng.random() < 0.3 else "")
        return rng.choice(FOODS + JOBS + COLOURS) if rng.random() < 0.5 else invented(rng, NAMES + FOODS)
    if kind == "job":
        return rng.choice(JOBS)
    if kind == "food" and rng.random() < 0.8:
        return rng.choice(FOODS)
    if kind == "person":
        kind = "name"
    elif kind == "name" and rng.random() < 0.01:
        return f"{rng.choice(('Mr', 'Mrs', 'Miss', 'Dr', 'Professor'))} {rng.choice(SURNAMES)}"
    elif kind == "name" and rng.random() < 0.05:
        first = rng.choice(NAMES) if rng.random() < real else invented(rng, NAMES).capitalize()
        return f"{first} {rng.choice(SURNAMES) if rng.random() < real else invented(rng, SURNAMES).capitalize()}"
    elif kind == "town" and rng.random() < 0.07:
        if rng.random() < real:
            return rng.choice(LONG_TOWNS)
        return f"{rng.choice(FIRST_HALVES)} {invented(rng, TOWNS).capitalize()}"
    elif kind == "pet" and rng.random() < 0.02:
        return f"{rng.choice(('Mr', 'Mrs', 'Miss', 'Captain', 'Lord', 'Lady'))} {rng.choice(PETS)}"
    pool = {"name": NAMES, "food": FOODS, "pet": PETS, "town": TOWNS, "colour": COLOURS}[kind]
    if kind == "pet" and rng.random() < 0.2:
        pool = NAMES
    if rng.random() < real:
        if kind == "colour":
            word = rng.choice(BASIC_COLOURS if rng.random() < 0.4 else COLOURS)
            return f"{rng.choice(SHADES)} {word}" if rng.random() < 0.08 else word
        return rng.choice(pool)
    word = invented(rng, pool if kind != "colour" else COLOURS + NAMES)
    return word if kind in ("colour", "food", "word") else word.capitalize()


def value(kind, rng, fixed, unseen=False, real=0.35):
    """A value from the wanted side of the split. Words in `fixed` (the templates' own) always count as seen."""
    while True:
        word = candidate(kind, rng, real)
        parts = word.lower().split()
        if not word.isdigit() and len(parts) == 1 and word.lower() in fixed:
            if unseen or word.lower() not in LISTED:
                continue  # an invented word that happens to be an ordinary one helps nobody
            return word
        if word.isdigit() and int(word) < 21:
            hidden = False  # these occur in sums
        else:
            hidden = any(held_out(p) and p not in fixed for p in parts if p not in SMALL_WORDS) or (held_out(word) and word.lower() not in fixed)
        if hidden == unseen:
            return word


SMALL_WORDS = "los las bad port santa fort cape mount old great north south and de la le den san new el saint st".split()
LISTED = {w.lower() for w in NAMES + PETS + TOWNS + COLOURS + FOODS + JOBS}
