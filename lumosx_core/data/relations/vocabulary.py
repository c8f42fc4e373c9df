"""The words that the rule reader knows: nouns by what they are to a person, verbs by what they say of a thing, adjectives.

Nouns stand in the singular, verbs in the base form; `lexicon.py` makes the other forms. A word that is not here is judged by
its ending and its place in the sentence.
"""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


MALE = _words(
    """man boy guy gentleman father dad husband son brother grandfather grandpa grandson uncle nephew groom king prince lad
    monk priest waiter actor businessman policeman fireman fisherman salesman craftsman cowboy bridegroom boyfriend
    father-in-law stepfather duke emperor wizard male fellow bloke dude schoolboy postman cameraman sportsman mailman
    bellboy bellhop doorman horseman swordsman frontman groomsman abbot"""
)
FEMALE = _words(
    """woman girl lady mother mom mum wife daughter sister grandmother grandma granddaughter aunt niece bride queen
    princess lass nun waitress actress businesswoman policewoman ballerina girlfriend stewardess hostess cheerleader
    bridesmaid stepmother duchess empress witch female maid schoolgirl cowgirl mermaid geisha goddess seamstress
    firewoman sportswoman saleswoman grandmom gran nanny frontwoman"""
)
PEOPLE = _words(
    """person child kid baby toddler infant teenager teen adult youth youngster senior newborn individual human figure
    someone somebody friend couple stranger partner colleague companion neighbour neighbor twin sibling parent
    grandparent relative cousin lover spouse fiance fiancee guest visitor host pedestrian passerby passer-by bystander
    onlooker spectator commuter passenger traveller traveler tourist hiker climber camper jogger runner cyclist biker
    rider skateboarder skater skier snowboarder surfer swimmer diver sailor rower golfer boxer wrestler fighter athlete
    player gymnast dancer singer musician guitarist drummer bassist pianist violinist cellist saxophonist trumpeter
    flutist conductor dj rapper performer artist painter sculptor photographer cameraperson filmmaker director model
    designer author writer poet journalist reporter presenter anchor newscaster speaker lecturer teacher professor
    student pupil graduate scholar scientist researcher engineer technician mechanic electrician plumber carpenter
    builder worker labourer laborer miner farmer gardener florist shepherd hunter fisher butcher baker cook chef barista
    bartender server customer client shopper buyer seller vendor shopkeeper cashier clerk receptionist secretary manager
    boss executive employee officer guard soldier sergeant captain general knight samurai ninja warrior archer gladiator
    viking pirate spy detective agent sheriff firefighter paramedic nurse doctor surgeon physician dentist patient
    therapist pharmacist vet veterinarian pilot astronaut driver chauffeur courier postie judge lawyer attorney
    politician president mayor minister bishop pope rabbi imam pilgrim worshipper magician clown juggler acrobat mime
    mascot puppeteer superhero hero villain robber thief prisoner inmate beggar tailor barber hairdresser stylist potter
    weaver blacksmith jeweller jeweler instructor coach trainer trainee referee umpire goalkeeper goalie quarterback
    pitcher batter cricketer footballer teammate opponent competitor contestant winner librarian curator guide ranger
    lifeguard scout cadet recruit veteran coworker co-worker roommate classmate schoolchild schoolkid preschooler tween
    millionaire hipster punk goth hippie rocker reader busker protester demonstrator marcher volunteer activist soloist
    vocalist hairstylist caretaker janitor cleaner housekeeper porter butler servant assistant apprentice intern
    attendant crewmember steward fairy elf vampire zombie angel monarch noble nobleman aristocrat peasant merchant
    trader banker accountant businessperson salesperson policeperson fisherperson senator parishioner nomad tribesman
    villager local resident citizen civilian participant member medic orderly midwife acolyte cosmonaut gentlewoman
    noblewoman trapeze-artist stuntman gamer skydiver mountaineer snorkeler cellmate interviewer interviewee moderator
    vlogger blogger influencer streamer youtuber lumberjack woodcutter sherpa gondolier ferryman toreador bullfighter
    matador jockey equestrian fencer bowler sprinter weightlifter bodybuilder yogi guru shaman druid sorcerer sorceress
    alchemist jester bard minstrel squire maiden damsel heroine protagonist bandit outlaw smuggler stowaway trooper
    marine commander admiral lieutenant corporal sniper rifleman gunner paratrooper supporter"""
)
CROWDS = _words("""crowd audience family group team band crew gang choir class orchestra troupe squad party staff people""")
RELATIVES = _words(  # with "his" or "her" they are a second person
    """friend father dad husband son brother grandfather grandson uncle nephew boyfriend mother mom mum wife daughter
    sister grandmother granddaughter aunt niece girlfriend child kid baby toddler partner colleague companion twin
    sibling parent cousin spouse fiance fiancee bride groom teammate opponent coach teacher student assistant classmate
    coworker grandchild"""
)

WORN = _words(
    """hat cap beanie helmet beret fedora turban hijab headscarf headband bandana hood crown tiara veil wig bonnet sombrero
    visor mask balaclava headdress glasses sunglasses spectacles goggles eyeglasses monocle eyepatch patch shirt t-shirt
    tshirt tee blouse sweater sweatshirt hoodie jumper pullover cardigan top tank polo turtleneck tunic vest waistcoat
    jacket coat overcoat trenchcoat raincoat parka windbreaker blazer tuxedo suit tailcoat cape cloak poncho shawl stole
    robe bathrobe gown dress sundress minidress skirt miniskirt kilt sari saree kimono yukata hanbok qipao cheongsam
    kaftan caftan abaya burqa niqab toga sarong trousers pants jeans shorts leggings tights stockings slacks chinos
    sweatpants joggers overalls dungarees jumpsuit romper onesie bodysuit leotard tutu swimsuit bikini wetsuit trunks
    pajamas pyjamas nightgown underwear bra boxers lingerie corset apron bib uniform scrubs armor armour costume outfit
    attire clothes clothing garment ensemble tracksuit spacesuit smock fatigues camouflage shoe sneaker trainer boot
    sandal slipper heel loafer moccasin clog stiletto flip-flop sock stocking glove mitten gauntlet tie necktie bowtie
    cravat scarf bandanna ascot sash belt suspenders braces buckle necklace pendant locket choker chain bracelet bangle
    anklet earring ring brooch pin badge medal lanyard watch wristwatch smartwatch jewelry jewellery jewel earbud
    earphone headphone headset earmuff piercing stud cufflink garland lei wreath bandage sling backpack rucksack
    knapsack bag handbag purse satchel tote clutch pouch wallet holster quiver harness armband wristband sweatband
    kneepad pad vestment habit cassock doublet robes shoulderpad stethoscope headlamp name-tag nametag lace sweatsuit
    petticoat pantsuit culottes capris bloomers gaiter legwarmer hairband scrunchie barrette hairpin hairclip bow ribbon
    mackintosh anorak fleece pea-coat peacoat bolero shrug halo curler face-mask bow-tie pinafore dungaree puttee tabard
    pearl chaps spur mortarboard dirndl dashiki serape ushanka tam boubou agbada lungi dhoti hanfu ao-dai coronet
    earplug collarpin smoking-jacket catsuit playsuit camisole crop-top top-hat peasant-blouse kerchief neckerchief
    snood stilettos pump mule espadrille brogue oxford wellington galoshes wader spat plimsoll cargo-pants bellbottoms
    flares sweats loungewear sportswear swimwear workwear activewear nightdress nightshirt negligee slip jerkin
    chainmail breastplate greave vambrace pauldron helm greatcoat duster-coat topcoat blouson shacket gilet bodywarmer
    lifejacket lifevest life-jacket life-vest wrist-watch armlet tattoo-sleeve headpiece headgear headwear footwear
    eyewear knitwear bangles skullcap yarmulke kippah fez keffiyeh ghutra bowler trilby stetson newsboy snapback
    deerstalker panama boater pith-helmet hardhat respirator blindfold eyeshade bindi nose-ring lapel-pin boutonniere
    corsage epaulettes jockstrap shapewear cummerbund waistband fanny-pack bumbag crossbody duffel duffle haversack
    messenger-bag holdall pinny shirtwaist coveralls coverall fin flipper hosiery fishnets mitt jersey skate rollerskate
    hairpiece singlet"""
)
HELD = _words(
    """umbrella parasol cane staff stick wand sword knife dagger spear shield bow axe hammer gun rifle pistol torch
    flashlight lantern candle book notebook newspaper magazine map letter envelope paper document folder file notepad
    clipboard pen pencil brush paintbrush phone smartphone cellphone telephone tablet camera microphone megaphone
    walkie-talkie guitar violin cello fiddle flute trumpet saxophone clarinet harp banjo ukulele accordion drum
    drumstick tambourine bouquet flower rose bunch balloon kite flag banner sign placard poster fan basket bucket
    suitcase briefcase luggage box case package parcel gift present tray plate bowl cup mug glass bottle can flask jug
    kettle pot pan spoon fork ladle spatula cigarette cigar pipe lollipop cone cookie sandwich burger apple banana doll
    teddy toy ball football basketball baseball bat racket racquet club frisbee skateboard surfboard snowboard ski pole
    paddle oar rod net rope leash whip broom mop rake shovel spade hoe watering-can hose wrench screwdriver drill saw
    ladder blanket towel pillow handkerchief tissue mirror comb hairbrush hairdryer dryer syringe scissors needle yarn
    tape measure baton pom-pom pompom trophy wheelchair crutch walker stroller pram popcorn snack drink cocktail coffee
    tea bread baguette slingshot bubble key coin card ticket passport remote controller joystick gamepad laptop tripod
    telescope binocular compass globe scroll quill harmonica maraca cymbal boombox trolley cart boat sled puppy kitten
    dumbbell barbell kettlebell mat float rosary fishing-rod selfie-stick hourglass chalice goblet tankard stein thermos
    canteen flashcard cassette record-player bagpipe bassoon oboe viola sitar lute lyre mandolin ocarina kazoo triangle
    keytar trombone tuba whisk tongs grater rolling-pin mallet chisel pliers tweezers scalpel trowel pitchfork sickle
    scythe machete crowbar pickaxe lasso bow-and-arrow crossbow grenade bazooka musket saber rapier katana nunchucks
    boomerang yo-yo hula-hoop skipping-rope jump-rope pinwheel lightsaber scepter sceptre orb crystal-ball spellbook
    amulet potion vial feather-duster sponge squeegee vacuum razor loofah toothbrush pacifier rattle teapot teacup
    saucer chopstick ice-cream icecream donut doughnut croissant bagel pretzel pastry cupcake muffin hotdog hot-dog taco
    kebab sushi noodle pizza watermelon orange-slice carrot corn pumpkin lettuce sunflower tulip daisy lily orchid
    carnation wildflower houseplant menu receipt invoice contract certificate diploma medal-box gift-bag shopping-bag
    tote grocery camcorder gopro drone monocular loupe magnifying-glass stopwatch whistle pager calculator ruler stapler
    marker crayon highlighter chalk eraser blueprint sketchbook sketchpad palette canvas-bag stethoscope thermometer
    hockey-stick golf-club wheelbarrow shuttlecock dartboard dart pool-cue cue puck javelin discus relay-baton"""
)
RIDDEN = _words(
    """bicycle bike motorcycle motorbike scooter moped tricycle unicycle horse pony camel donkey skateboard snowboard
    surfboard segway kayak canoe"""
)
BODY = _words(
    """hair beard moustache mustache goatee eye eyebrow eyelash face head neck shoulder arm elbow hand finger fist palm
    wrist chest back waist hip leg knee ankle foot toe lap mouth lip nose ear cheek chin forehead skin body belly
    stomach torso braid ponytail bun pigtail bang curl dreadlock mohawk afro fringe stubble freckle dimple wrinkle
    tattoo scar nail expression complexion figure build physique sideburn thigh thumb teeth
    tooth tongue heart lock tress makeup lipstick eyeliner mascara posture pose hairstyle haircut side mole jaw throat shin"""
)
PARTS = _words(
    """button collar sleeve cuff pocket lapel zipper zip hem trim lining seam stripe dot spot check pattern print logo
    lettering text slogan graphic emblem embroidery feather fringe tassel sequin bead frame lens strap brim heel sole
    lace shoelace buckle handle hood neckline ruffle pleat fur motif design detail accent stitching patch dots sparkle
    rhinestone crease fold layer edge corner tip end part piece half bit row line epaulette stain clasp bristle
    inscription initial number letter symbol flame-motif hole rip tear pompom-top earflap ear-flap drawstring cord
    chinstrap point rim band tag label price-tag cartoon image picture"""
)
ABSTRACT = _words(
    """smile grin frown gaze way time moment day afternoon speech talk conversation discussion argument fight joke story
    song music melody tune dance game match race competition battle meal lunch dinner breakfast picnic line queue circle
    row pair group turn step walk stroll ride break rest nap selfie photo photograph picture portrait photoshoot shot
    scene video clip footage frame image view close-up closeup animation cartoon film movie background foreground
    midground angle perspective attention direction distance air wind breeze sunlight shade shadow sunshine glow warmth
    sunset sunrise dusk dawn twilight noon midnight rain silence joy happiness laughter anger fear surprise excitement
    concentration focus thought confidence hurry rush pain love embrace hug kiss handshake wave gesture motion movement
    pace rhythm style fashion manner mood atmosphere vibe setting look color colour shape size age thirties twenties
    forties fifties sixties seventies eighties nineties teens center centre middle left right top bottom other each
    unison sync synchronization tandem harmony front contrast addition general fact particular order process work task
    job action activity exercise practice performance show act trick blank end beginning start life peace effort ease
    help support speed sight sound noise voice word name question answer idea dream memory effect mid-air slow-motion
    depth viewer sweat hopscotch chess tag yoga tennis golf soccer rugby hockey tango waltz salsa ballet karate judo
    tai-chi cheers applause bow deal goodbye hello while dirt dust mud steam smoke flame fire note notes reverence
    worship trouble danger tears labor labour business delight"""
)
PLACES = _words(
    """park garden beach shore seashore coast street road path trail lane alley avenue boulevard highway sidewalk pavement
    crosswalk bridge plaza square courtyard yard backyard lawn field meadow farm orchard vineyard forest wood woods jungle
    desert mountain hill hillside cliff valley canyon lake river riverbank riverside stream creek pond sea ocean waterfall
    island sky snow snowfield city town village downtown skyline cityscape landscape countryside room bedroom bathroom
    kitchen living-room dining-room hallway corridor lobby hall ballroom office classroom library museum gallery theater
    theatre cinema stage studio gym stadium arena court pitch playground pool rink restaurant cafe bar pub diner bakery
    shop store supermarket mall market bazaar marketplace boutique salon barbershop hospital clinic laboratory lab
    workshop garage factory warehouse barn stable greenhouse church cathedral temple mosque shrine castle palace tower
    house home apartment building balcony terrace rooftop roof porch patio deck veranda staircase stairs stairway
    stairwell escalator elevator station platform airport subway metro tunnel port harbor harbour pier dock quay wall
    backdrop curtain floor ceiling ground intersection corner junction lot campsite camp space moon planet universe
    attic basement cellar cave hut cottage graveyard cemetery zoo aquarium circus fairground carnival amusement-park
    promenade boardwalk sand grass ruin hotel motel school university campus college bank prison cell courtroom ring
    greenery arcade nightclub club bus-stop stop snowscape swamp savanna prairie tundra glacier dune oasis bay lagoon
    waterfront embankment rice-field cornfield wilderness driveway doorway entrance archway atrium auditorium canteen
    cafeteria lounge spa sauna track racetrack runway catwalk slope ski-slope summit peak ridge trench battlefield set
    aisle horizon"""
)
# Places only where they follow "in", "on", "at" and the like; "in a rowing boat" is where somebody is.
VESSELS = _words(
    """boat ship yacht train bus car taxi van truck tram airplane plane helicopter subway gondola carriage spaceship"""
)
ANIMALS = _words(
    """dog puppy cat kitten horse pony cow bull sheep lamb goat pig chicken hen rooster duck goose swan bird parrot owl
    eagle hawk pigeon seagull crow rabbit hamster mouse rat squirrel fox wolf bear panda lion tiger elephant giraffe
    zebra monkey gorilla ape camel donkey deer fish dolphin whale shark turtle tortoise snake lizard frog butterfly bee
    alpaca llama penguin hedgehog falcon poodle corgi bulldog labrador retriever terrier chihuahua dachshund husky
    greyhound dragon unicorn"""
)
OBJECTS = _words(
    """table chair bench sofa couch armchair stool bed desk counter shelf bookshelf cabinet cupboard wardrobe drawer lamp
    chandelier clock vase painting window door fence gate railing tree bush plant palm cactus hedge rock stone boulder
    log car truck bus van taxi train tram motorcycle bicycle scooter boat ship airplane helicopter tractor carriage
    wagon box barrel crate bin trash can bucket basket screen television tv monitor computer laptop keyboard piano organ
    drum speaker fountain statue sculpture monument sign signpost lamppost streetlight streetlamp post pole booth kiosk
    stall stand tent umbrella cake pizza fruit vegetable food dish stove oven fridge refrigerator sink bathtub toilet
    carpet rug mat mirror blackboard whiteboard easel canvas podium lectern swing slide seesaw trampoline hammock net
    goal hoop sandcastle snowman bonfire campfire fireplace candle firework cloud sun rainbow star leaf petal puddle
    branch hay wheel ladder scaffold chalkboard globe robot machine vehicle typewriter loom anvil forge cage tank altar
    pew coffin throne bell banner poster billboard lantern light balloon kite ball crib cradle highchair blanket cushion
    pillow treadmill cabin telescope furniture bread bowl pot plate gazebo pavilion bandstand pergola trellis birdhouse
    beehive well lighthouse windmill excavator bulldozer crane forklift ferris-wheel roller-coaster carousel caravan
    camper rickshaw sleigh hearse limousine suv pickup jeep minivan ambulance firetruck tank-truck dresser nightstand
    ottoman recliner bookcase sideboard chest trunk mantelpiece radiator dishwasher washing-machine microwave toaster
    kettle-stand blender grill barbecue fire-pit projector jukebox pinball-machine billiard-table ping-pong-table
    chessboard mannequin scarecrow dummy gravestone tombstone tomb obelisk totem cannon anchor buoy pallet cone
    barricade barrier turnstile mailbox hydrant dumpster windowsill ledge sill skylight bannister banister bleacher
    hurdle goalpost scoreboard sandbag haystack woodpile stump vine ivy reed mushroom anthill snowbank icicle iceberg"""
)
# What is held by the amount: the phrase goes on behind "of".
CONTAINERS = _words(
    """bouquet bunch cup mug glass bottle can jar bowl plate tray box bag basket bucket pot pack packet piece slice stack
    pile bundle pint loaf jug tub carton handful sheet roll ball crown garland wreath necklace string cone tube case
    suit set bar"""
)
COLOURS = _words(
    """red orange yellow green teal blue purple pink brown black white grey gray beige navy maroon turquoise cyan magenta
    violet indigo lavender lilac burgundy crimson scarlet ivory cream tan khaki olive gold golden silver bronze copper
    mustard coral peach salmon mint emerald aqua azure charcoal rust plum ochre fuchsia amber rose"""
)
ADJECTIVES = _words(
    """young old elderly middle-aged tall short small little big large tiny huge long wide narrow thin thick slim heavy
    light dark bright pale deep plain simple fancy elegant formal casual traditional modern vintage classic stylish
    trendy fashionable sleek new worn torn dirty clean wet dry soaked empty full open closed loose tight fitted baggy
    oversized cropped sleeveless strapless backless long-sleeved short-sleeved knitted woollen woolen woven striped
    dotted checked checkered plaid floral patterned colorful colourful colored coloured multicolored multicoloured shiny
    glossy matte sparkly transparent sheer reflective metallic wooden plastic paper straw leather denim cotton silk
    satin velvet linen wool fur lace suede tweed corduroy flannel nylon rubber steel metal brass iron crystal diamond
    pearl beaded studded embroidered quilted padded puffy fluffy fuzzy furry soft hard round square rectangular pointed
    pointy flat high low tailored ruffled pleated flowing matching identical similar different same single double own
    extra beautiful pretty handsome cute happy sad smiling bearded bald blonde blond brunette muscular chubby pregnant
    asian african european american japanese chinese indian korean hawaiian mexican italian french british busy crowded
    quiet sunny snowy rainy foggy cloudy misty sandy rocky dusty grassy muddy leafy lush dim dimly-lit sunlit moonlit
    candlelit neon urban rural rustic cozy cosy ancient medieval futuristic industrial abandoned indoor outdoor
    outdoorsy nearby distant blurred blurry white-haired red-haired dark-haired blond-haired blonde-haired gray-haired
    grey-haired long-haired curly curly-haired cheerful serious lovely magnificent royal military festive ornate
    decorative delicate chunky gentle brave proud wise fine fresh hot cold warm cool electric acoustic digital
    inflatable live ripped ragged tattered crumpled wrinkled ironed faded distressed asymmetrical sequined horned
    feathered hooded collared buttoned zipped belted gathered layered draped floor-length knee-length ankle-length
    knee-high ankle-high high-heeled high-waisted wide-brimmed v-neck crew-neck button-up button-down zip-up
    light-colored dark-colored off-white shining checkerboard tartan tie-dye tie-dyed camouflage polka-dot pinstripe
    houndstooth paisley floppy slouchy plush stuffed fingerless broad grand precious ceremonial tribal folk sporty
    athletic professional overgrown several many few medium average extravagant flamboyant glamorous gorgeous shabby
    scruffy rugged worn-out red-and-white black-and-white female male adult teenage senior fellow middle-age burly
    slender petite stocky lanky graceful older younger taller shorter smaller bigger larger elder slimmer heavier
    thinner tallest shortest oldest youngest biggest smallest"""
)
COMPARED = _words(
    """older younger taller shorter smaller bigger larger elder slimmer heavier thinner leftmost rightmost
    tallest shortest oldest youngest biggest smallest"""
)
NUMBERS: dict[str, int] = {
    "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
    "eleven": 11, "twelve": 12, "dozen": 12, "several": 3, "some": 2, "many": 3, "few": 3,
}  # fmt: skip
ORDINALS: dict[str, int] = {
    "first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "last": -1, "former": 1, "latter": -1,
    "final": -1,
}  # fmt: skip

WEAR = _words(
    """wear don sport model dress clothe clad attire deck outfit garb drape wrap bundle shroud adorn equip bedeck cover"""
)
HOLD = _words(
    """hold carry clutch grip grasp grab hug cradle swing brandish wield lift raise balance bear drag pull push wheel tow
    lug hoist shoulder play strum read use smoke light sip drink eat lick bite chew nibble munch ride pedal drive steer
    walk shake wave fly twirl spin toss throw catch juggle dribble take open unfold don tighten flaunt squeeze press
    tote haul share keep lower point aim fire shoot blow"""
)
# Of these, the thing is the person's only where it can be held, worn or ridden.
HOLD_IF_KNOWN = _words(
    """swing lift pull push light use open take walk fly throw toss catch press cover share keep lower point aim fire shoot
    drive steer raise play wave shake spin blow"""
)
# Verbs behind which somebody new can stand: "on the right sits a woman".
INVERTED = _words(
    "be come crouch dance follow hang jump kneel lean lie perch pose rest run sit squat stand wait walk watch wave work"
)
OTHER_VERBS = _words(
    """stand sit lie kneel crouch squat lean rest walk run jog sprint jump hop leap skip climb crawl dance twirl pose
    perform sing speak talk chat whisper shout scream yell laugh smile grin frown cry sleep nap yawn wake look watch
    gaze stare glance peer see observe study examine inspect read write draw paint sketch type work cook bake chop cut
    slice stir pour mix wash clean sweep wipe dry fix repair mend build make create construct plant dig pick gather
    collect put place set lay hang drop throw kick hit punch strike chase follow lead guide help assist serve hand give
    offer pass receive accept show present point wave salute bow greet meet welcome kiss embrace face turn move step
    march stroll wander hike travel cross enter leave exit arrive approach return come go stay wait pause stop start
    begin continue keep try seem appear remain become get feel fall float swim dive surf skate ski row sail drive fly
    land park teach learn listen hear think ponder argue discuss debate fight wrestle box duel battle attack defend
    shoot aim fire cast catch release measure weigh count check adjust straighten tie untie zip button fasten remove tug
    touch tap pat rub scratch stroke pet comb feed groom bathe splash spray blow breathe rise ascend descend lower bend
    stretch reach tilt nod clap cheer applaud celebrate toast pray meditate exercise train practice practise compete win
    lose rock sway bounce flutter hug glide slide slip stumble trip dangle shine glow sparkle gleam reflect surround
    circle join interview film record photograph capture feature depict contain include match complement contrast
    resemble belong flow billow cascade decorate embroider adorn trim line fill pack load unload tuck sling strap buckle
    attach pin knot fold roll drape cover hide reveal gesture shrug lounge relax recline perch hover loom tower overlook
    frame light illuminate zoom pan track rotate open close shut knock ring call text scroll press click play strum busk
    bark meow graze gallop trot shiver tremble blush sweat pant sniff lick fish hunt farm wink tiptoe rush hurry dash
    mingle huddle cuddle snuggle nestle babysit scold tease taste smell order buy sell pay shop browse choose select
    unwrap recite lecture explain describe address command instruct coach referee judge sort arrange stack pile balance
    steady crowd trail whistle strut saunter stomp parade slump crumple spread scatter weave thread knit sew stitch iron
    beam pout tidy sip trudge prance pedal paddle bike hold carry leaf page thumb rehearse sunbathe picnic queue sand bob
    file polish dust scrub vacuum rinse peel knead whisk grate season garnish plate chew swallow gulp slurp inhale exhale cough
    sneeze snore hiccup hum chant yodel drum jam tune conduct curtsy genuflect pirouette somersault cartwheel flip
    backflip vault dodge duck tackle dribble dunk volley putt pitch bat bowl hurdle relay amble trek rappel abseil
    parachute skydive snorkel canoe kayak windsurf skim steer brake honk accelerate reverse merge overtake board
    disembark haul hoist winch anchor dock moor embark depart scan stamp label wrap seal mail deliver sign autograph
    scribble doodle trace erase sharpen swipe dial stream broadcast announce declare proclaim preach bless baptize marry
    propose divorce console comfort soothe pacify nurse bandage inject vaccinate diagnose operate massage flex brag
    boast mock imitate impersonate mime juggle conjure levitate vanish emerge disappear fade dissolve explode erupt burn
    melt freeze thaw crack shatter splinter crumble collapse topple tumble spin whirl swirl spiral drift soar flap roost
    nest hatch peck squawk chirp howl growl hiss purr roar bray neigh moo oink bleat pluck squint glare scowl smirk
    wince grimace sob weep whimper giggle chuckle snicker cackle beckon motion signal wag shake nudge poke prod jab slap
    shove elbow trample crush squash squeeze pinch twist wring crease steam hem patch darn braid plait shave wax dye
    style blow-dry apply dab smear sprinkle sow water prune mow rake shovel flee escape seek stalk pounce lunge bound
    spring cower clamber scramble scale mount dismount straddle saddle bridle harness leash unleash tether race disguise
    portray cosplay"""
)
IRREGULAR: dict[str, str] = { # form -> base
    "wore": "wear", "worn": "wear", "held": "hold", "bore": "bear", "rode": "ride", "ridden": "ride", "drove": "drive",
    "took": "take", "taken": "take", "ate": "eat", "eaten": "eat", "drank": "drink", "drunk": "drink", "stood": "stand",
    "sat": "sit", "lay": "lie", "lying": "lie", "knelt": "kneel", "ran": "run", "sang": "sing", "sung": "sing",
    "spoke": "speak", "slept": "sleep", "woke": "wake", "saw": "see", "seen": "see", "wrote": "write", "written": "write",
    "drew": "draw", "drawn": "draw", "cut": "cut", "built": "build", "made": "make", "put": "put", "set": "set",
    "laid": "lay", "hung": "hang", "threw": "throw", "thrown": "throw", "hit": "hit", "struck": "strike", "led": "lead",
    "gave": "give", "given": "give", "met": "meet", "came": "come", "went": "go", "gone": "go", "left": "leave", "kept": "keep",
    "became": "become", "got": "get", "felt": "feel", "fell": "fall", "fallen": "fall", "swam": "swim", "flew": "fly",
    "taught": "teach", "heard": "hear", "thought": "think", "fought": "fight", "shot": "shoot", "caught": "catch",
    "won": "win", "lost": "lose", "blew": "blow", "blown": "blow", "rose": "rise", "risen": "rise", "bent": "bend",
    "slid": "slide", "shone": "shine", "lit": "light", "slung": "sling", "bound": "bind", "woven": "weave", "swung": "swing",
    "spun": "spin", "clad": "clad", "shook": "shake", "shaken": "shake", "shown": "show", "hidden": "hide", "bought": "buy",
    "sold": "sell", "paid": "pay", "chose": "choose", "chosen": "choose", "shut": "shut", "tying": "tie", "fed": "feed",
}  # fmt: skip
IRREGULAR_NOUNS: dict[str, str] = { # plural -> singular
    "men": "man", "women": "woman", "children": "child", "people": "people", "persons": "person", "feet": "foot",
    "teeth": "tooth",
    "wives": "wife", "knives": "knife", "leaves": "leaf", "shelves": "shelf", "scarves": "scarf", "loaves": "loaf",
    "mice": "mouse",
    "geese": "goose", "halves": "half", "wolves": "wolf", "hooves": "hoof", "elves": "elf", "thieves": "thief",
    "glasses": "glasses", "calves": "calf", "passersby": "passerby", "passers-by": "passer-by", "ladies": "lady",
    "scissors": "scissors", "clothes": "clothes", "series": "series",
}  # fmt: skip
# Plural in form, one thing.
PLURAL_ONLY = _words(
    """glasses sunglasses spectacles goggles eyeglasses trousers pants jeans shorts leggings tights slacks chinos
    sweatpants joggers overalls dungarees pajamas pyjamas scrubs suspenders braces scissors fatigues clothes binoculars
    headphones culottes capris bloomers underwear robes stairs woods thirties twenties forties fifties sixties seventies
    eighties nineties teens dots chaps tongs pliers tweezers nunchucks trunks coveralls"""
)
PREPOSITIONS = _words(
    """in on at by near beside besides behind below beneath under underneath over above across along through into onto from
    to toward towards with without within inside outside against around about between among amid amidst beyond past down
    up off for of as like unlike atop alongside during before after until since via upon opposite despite except
    including out"""
)
PLURAL_PREPOSITIONS: tuple[tuple[str, ...], ...] = ( # of several words, longest first
    ("in", "front", "of"), ("on", "top", "of"), ("in", "back", "of"), ("at", "the", "edge", "of"), ("in", "addition", "to"),
    ("to", "the", "side", "of"), ("in", "contrast", "to"), ("in", "the", "middle", "of"), ("in", "the", "center", "of"),
    ("in", "the", "centre", "of"),
    ("next", "to"), ("close", "to"), ("out", "of"), ("outside", "of"), ("inside", "of"), ("because", "of"), ("instead", "of"),
    ("along", "with"), ("together", "with"), ("adjacent", "to"), ("across", "from"), ("ahead", "of"), ("away", "from"),
    ("such", "as"), ("as", "well", "as"), ("in", "between"),
)  # fmt: skip
ADVERBS = _words(
    """also too still just only then now later first meanwhile together apart away back forward forwards backward backwards
    here there nearby outdoors indoors outside inside upstairs downstairs up down off around very quite rather almost
    always often again once twice soon already yet even never not n't so well hard fast slow straight sideways aside
    along over through past home abroad everywhere somewhere upright alone asleep awake likewise similarly respectively
    instead otherwise however therefore finally initially suddenly afterwards eventually currently simply both each
    either neither all half close-by mid-stride barefoot barefooted shirtless hatless bareheaded topless bare-chested
    overhead"""
)
