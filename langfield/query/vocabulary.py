"""Common names: what else a place may be called, and what a question is measured against (`query.calibrate`).

The class names of Open Images V4 (boxable classes, CC BY 4.0), qualifiers in brackets dropped, without the names that
`evaluate.absent` measures with. The list is aimed at no scene; part of it is in any.
"""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from langfield.query.relevancy import encode_unit
from langfield.suite.types import TextEncoder


@dataclass(frozen=True)
class Vocabulary:
    """Names and their unit vectors in the space of a field's embeddings; encoded once and used for every question."""

    names: tuple[str, ...]
    vectors: Float[Tensor, "V D"]

    def __len__(self) -> int:
        return len(self.names)


def encode_vocabulary(encoder: TextEncoder, dim: int, names: tuple[str, ...] | None = None) -> Vocabulary:
    """Encode names.

    Args:
        encoder: the text encoder that goes with the field's image encoder.
        dim: width D of the field's embeddings.
        names: None for `COMMON_NAMES`.

    Raises:
        QueryError: the encoder's vectors do not fit the field.
    """
    names = COMMON_NAMES if names is None else names
    return Vocabulary(names, encode_unit(encoder, names, dim))


COMMON_NAMES: tuple[str, ...] = tuple(
    """
adhesive tape; aircraft; alarm clock; alpaca; ambulance; animal; ant; antelope; apple; artichoke; auto part; axe;
bagel; baked goods; balance beam; ball; balloon; banana; band-aid; banjo; barge; barrel; baseball bat; baseball glove;
bat; bathroom accessory; bathroom cabinet; beaker; bear; beard; bed; bee; beehive; beer; beetle; bell pepper; belt;
bench; bicycle helmet; bicycle wheel; bidet; billboard; billiard table; binoculars; bird; blender; blue jay; boat;
bomb; book; bookcase; boot; bottle; bottle opener; bow and arrow; bowl; bowling equipment; box; boy; brassiere; bread;
briefcase; bronze sculpture; brown bear; building; bull; burrito; bus; bust; cabbage; cabinetry; cake; cake stand;
calculator; camera; can opener; canary; candle; candy; cannon; cantaloupe; car; carnivore; cart; cassette deck;
castle; cat; cat furniture; caterpillar; cattle; ceiling fan; cello; centipede; chair; cheese; cheetah; chest of
drawers; chicken; chime; chisel; chopsticks; christmas tree; clock; closet; clothing; coat; cocktail; cocktail shaker;
coconut; coffee; coffee cup; coffee table; coffeemaker; coin; common fig; common sunflower; computer keyboard;
computer monitor; computer mouse; container; convenience store; cookie; cooking spray; corded phone; cosmetics; couch;
countertop; cream; cricket ball; croissant; crown; cucumber; cupboard; curtain; cutting board; dagger; dairy product;
deer; desk; dessert; diaper; dice; digital clock; dinosaur; dishwasher; dog; dog bed; doll; door; door handle;
doughnut; dragonfly; drawer; dress; drill; drink; drinking straw; duck; egg; envelope; eraser; face powder; facial
tissue holder; falcon; fashion accessory; fast food; fax; fedora; filing cabinet; fire hydrant; fish; fixed-wing
aircraft; flag; flashlight; flower; flowerpot; flute; flying disc; food; food processor; football; football helmet;
footwear; fork; fountain; fox; french fries; french horn; frog; fruit; furniture; garden asparagus; gas stove; girl;
glasses; glove; goggles; goldfish; golf ball; golf cart; gondola; goose; grape; grapefruit; grinder; guacamole; hair
spray; hamburger; hammer; hamster; hand dryer; handbag; handgun; harbor seal; harp; harpsichord; hat; headphones;
heater; hedgehog; helmet; hiking equipment; hippopotamus; home appliance; honeycomb; horizontal bar; horse; hot dog;
house; houseplant; human arm; human body; human ear; human eye; human face; human foot; human hair; human hand; human
head; human leg; human mouth; human nose; humidifier; ice cream; indoor rower; infant bed; insect; invertebrate; ipod;
isopod; jacket; jacuzzi; jaguar; jeans; jet ski; jug; juice; kangaroo; kettle; kitchen & dining room table; kitchen
appliance; kitchen knife; kitchen utensil; kitchenware; knife; koala; ladle; ladybug; lamp; land vehicle; lantern;
laptop; lavender; lemon; leopard; light bulb; light switch; lighthouse; lily; limousine; lion; lipstick; lizard;
loveseat; luggage and bags; lynx; magpie; mammal; man; mango; maple; maraca; marine invertebrates; marine mammal;
measuring cup; mechanical fan; medical equipment; microphone; milk; miniskirt; mirror; missile; mixer; mixing bowl;
mobile phone; monkey; moths and butterflies; mouse; muffin; mug; mule; mushroom; musical instrument; musical keyboard;
nail; nightstand; oboe; office building; office supplies; orange; organ; otter; oven; owl; oyster; paddle; palm tree;
pancake; panda; paper cutter; paper towel; parrot; pasta; pastry; peach; pear; pen; pencil case; pencil sharpener;
perfume; person; personal care; personal flotation device; piano; picnic basket; picture frame; pig; pillow;
pineapple; pitcher; pizza cutter; plant; plastic bag; plate; platter; plumbing fixture; polar bear; pomegranate;
popcorn; porch; porcupine; poster; potato; power plugs and sockets; pressure cooker; pretzel; printer; pumpkin;
punching bag; rabbit; raccoon; racket; radish; ratchet; raven; rays and skates; red panda; remote control; reptile;
rhinoceros; rifle; ring binder; rocket; roller skates; rose; rugby ball; ruler; salad; salt and pepper shakers;
sandal; saucer; scale; scarf; scissors; scoreboard; scorpion; screwdriver; sculpture; sea lion; sea turtle; seafood;
seahorse; seat belt; segway; serving tray; sheep; shelf; shellfish; shirt; shorts; shotgun; shower; shrimp; sink; ski;
skirt; skull; skunk; skyscraper; slow cooker; snack; snail; snake; snowmobile; snowplow; soap dispenser; sock; sofa
bed; sombrero; sparrow; spatula; spice rack; spider; spoon; sports equipment; sports uniform; squash; squid; squirrel;
stairs; stapler; starfish; stationary bicycle; stool; strawberry; street light; stretcher; studio couch; submarine;
submarine sandwich; suit; sun hat; swan; swim cap; swimwear; sword; syringe; table; table tennis racket; tablet
computer; tableware; taco; tank; tap; tart; taxi; tea; teapot; teddy bear; telephone; television; tennis ball; tennis
racket; tent; tiara; tick; tie; tiger; tin can; tire; toilet paper; tomato; tool; toothbrush; torch; tortoise; towel;
tower; toy; traffic light; traffic sign; train; training bench; treadmill; tree; tree house; tripod; trombone;
trousers; turkey; turtle; unicycle; van; vase; vegetable; vehicle; vehicle registration plate; volleyball; waffle;
waffle iron; wall clock; wardrobe; washing machine; waste container; watch; watercraft; watermelon; weapon; whale;
wheel; wheelchair; whisk; whiteboard; willow; window; window blind; wine; wine glass; wine rack; winter melon; wok;
woman; wood-burning stove; woodpecker; worm; wrench; zucchini
""".replace("\n", " ")
    .strip()
    .split("; ")
)
