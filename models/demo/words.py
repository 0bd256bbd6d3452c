"""Ordinary words, mostly absent from the vocabulary, which are mixed into messages so that an unusual word is not taken for a value."""
WORDS = """able about above accept across actually admire adventure afford afraid again against agree ahead allow almost alone along
already although amazing among amuse ancient angry announce annoy answer anybody anyone anything anyway apart appear approach area
argue around arrange arrive aside asleep attack attend attract avoid awake award aware balance bang barely base basic beach bear beats
because become before begin behave behind believe belong below bend beneath beside bet better between beyond bite blame bless blind
block blow board boil borrow boss bother bounce bound bow brave break breathe breeze bright bring broad brush bubble build bump burn
burst busy button buzz calm cancel care careful carry catch cause celebrate certain chance change charge charming chase chat cheap
cheat cheerful chew choose claim clap classic clean clear clever climb close clumsy collect combine comfort common compare complain
complete confess confuse connect consider contain continue control cope correct cost cough count courage cover crack crash crawl crazy
create creep cross crowd cruel cry cure curious curl damage dance danger dare dark date deal dear decide decorate deep defend delay
delight deliver demand depend describe deserve desire destroy develop differ dig dinner direct disagree discover discuss dislike
distance divide double doubt drag dream dress drift drink drive drop drown dry during dusty duty each eager early earn ease edge effort
either embarrass employ empty encourage end endless enemy enjoy enormous enough enter entire envy equal escape especially even ever
every everybody everywhere evil exact examine excellent except excite excuse exercise exist expect expensive explain explode explore
extra face fact fade fail faint fair faith fall false famous fancy fantastic far fashion fast fat fate fear feed feel fetch few field
fierce fight figure fill film final fine finish fit fix flat flavour float flood flow fold follow fond fool forbid force foreign
forgive form fortune forward frank freeze fresh fright frown fuel full fun furious future gain gather gentle giggle glad glance
glorious glow goal gossip grab grand grateful great greet grin groan ground group grow grumble guard guess guide guilty habit hammer
handle handsome handy hang happen harbour hardly harm hate haunt heal healthy heap heart heat heavy help hesitate hide hint hire hit
hold hollow holy honest hope horrible hug huge human humble hunt hurry hurt ideal idea ignore imagine impress improve include increase
indeed inform innocent insist inspire instead intend invite itch jail jealous jog join joke journey judge juggle jump just keen keep
kick kiss kneel knit knock know label lack land large laugh launch lead lean leap learn least leave lend less lesson level lick
lie lift likely limit link listen lively load lock loose lose loud lovely lower loyal luck magical main manage march marry mass match
matter mean measure meet melt memory mend mention mercy merry mess might mild mind mix modern moment morning mostly mourn move much
mud multiply murmur muscle mystery narrow nasty natural nearly neat need neglect neither nervous never nobody nod noisy none
normal notice nowhere obey object observe obtain obvious occur odd offend offer often only open orbit order ordinary other ought
outside over owe own pack pain pair panic park part pass passion past patient pause pay peace peel peep perfect perform perhaps permit
phrase pick pile pin pity plain plan plant play please pleasure plenty point poke polish polite pop possess possible post pour power
practise praise pray precious prefer prepare present press pretend pretty prevent price pride print prize probably problem produce
promise proper protect proud prove provide public pull pump punch punish pure push puzzled quality quarrel quick quiet quit quite race
rain raise rare rather reach react ready real realise reason receive recent recognise record recover reduce refuse regret regular reject
relax release rely remain remark remove rent repeat replace reply report request rescue respect rest result return reveal reward rhyme
rid ride rise risk roar rock roll romantic rotten rough round rub rude ruin rule rush rusty sad safe sail satisfy save scare scatter
scold scrape scratch scream scrub search season seat secret secure seem seldom select selfish sense sensible separate serious serve
settle several shade shake shame shape share sharp shelter shift shiver shock shoot short shout show shrug shut sigh sign silent silly
simple simply since sincere sink sit skill skip slam slap slide slight slip slippery slow smash smell smooth snap sneeze sniff snore
soak social soft solid solve somebody somehow something sometimes somewhere soon sore sort soul sound sour space spare spark special
speed spell spend spill spin spirit splash spoil spot spread spring squash squeeze stain stamp stand stare start startle stay steady
steal steam steer stick stiff still stir stitch stop store strange strap strength stretch strict strike strip stroke struggle stubborn
stuff stumble stupid succeed sudden suffer suggest suit supply support suppose sure surprise surround suspect swallow swap swear sweat
swing switch tame tangle tap task taste teach tear tease tell tempt tend tender terrible test thick thin thirsty thorough though threat
thrill through throw thump tickle tidy tie tight tired title together tomorrow tonight total touch tough towards trace trade train
transport trap travel treat tremble trick trip trouble true trust try tumble turn twist type ugly unable uncle under unit unite unless
unlock until unusual upon upset urge use useful usual vain value vanish various vast very victory view visit voice vote wail wait wake
walk wander want warm warn wash waste watch wave weak wealth wear weigh weird welcome wet whatever whether while whine whip whirl
whisper whistle whole wicked wide wild willing wink wipe wise wish without wobble wonder wonderful worry worse worst worth wound wrap
wreck wrestle wriggle wrong yawn yell yet young zip zoom""".split()
