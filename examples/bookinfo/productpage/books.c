/* The shop's shelf: what is on the covers. */
#include "examples/bookinfo/productpage/shop.h"

const struct shop_book shop_books[] = {
    {"The Comedy of Errors", "William Shakespeare",
     "One of Shakespeare\u2019s earliest plays, and his shortest and most farcical: two pairs of twins, "
     "parted at "
     "birth, arrive in the same town on the same day. A major part of the humour comes from slapstick and "
     "mistaken "
     "identity, with puns and word play besides.",
     "#8c2f3f", "#2b1020", "#f6dcc0",
     "<circle cx='72' cy='90' r='46'/><circle cx='128' cy='116' r='46'/>"
     "<path d='M50 82h14M80 82h14M52 102q20 24 40 0M106 108h14M136 108h14M108 144q20-22 40 0'/>"},
    {"Pride and Prejudice", "Jane Austen",
     "It is a truth universally acknowledged that a single man in possession of a good fortune must be in "
     "want of a "
     "wife. Elizabeth Bennet has her doubts, Mr Darcy has his pride, and the whole county has an opinion.",
     "#3f7560", "#12302b", "#f3ead2",
     "<path d='M100 176V84M100 128q-38-4-42-40 36 0 42 40M100 146q38-4 42-40-36 0-42 40'/>"
     "<circle cx='100' cy='62' r='12'/><path d='M100 50q-12-22 0-34 12 12 0 34M88 62q-22 12-34 0 12-12 34 "
     "0M112 62q22 "
     "12 34 0-12-12-34 0'/>"},
    {"Frankenstein", "Mary Shelley",
     "A young student finds the secret of life and makes a being that nobody will love. Told through letters "
     "from the "
     "ice, it is a ghost story, a warning and a plea, all begun on a rainy night by Lake Geneva.",
     "#41527a", "#10131f", "#d7f2c4",
     "<path d='M112 18 62 108h36l-14 74 56-98h-38z'/><path d='M28 150h22M150 58h22M34 122l16 6M150 "
     "92l18-6'/>"},
    {"Moby-Dick", "Herman Melville",
     "Call him Ishmael. He signs on to a whaler whose captain hunts not whales but one whale. An adventure, "
     "an "
     "encyclopaedia and a sermon, with the sea under all of it.",
     "#23718f", "#082334", "#e9f3ee",
     "<path d='M100 140V96M100 96Q98 54 42 42q4 44 58 54 54-10 58-54-56 12-58 54'/>"
     "<path d='M22 152q13-14 26 0t26 0 26 0 26 0 26 0 26 0M34 174q11-12 22 0t22 0 22 0 22 0 22 0 22 0'/>"},
    {"The Time Machine", "H. G. Wells",
     "A man builds a chair that travels to the year 802,701, and comes back late for dinner. The first "
     "machine of its "
     "kind, and still the best told.",
     "#9a6624", "#2c1a0b", "#fbe7bd",
     "<circle cx='100' cy='100' r='68'/><circle cx='100' cy='100' r='5'/><path d='M100 95V52M105 103l30 20"
     "M100 32v12M100 156v12M32 100h12M156 100h12'/><path d='M60 100a40 40 0 1 0 40-40'/>"},
    {"Around the World in Eighty Days", "Jules Verne",
     "Phileas Fogg bets half his fortune that the timetable is right. A steamer, an elephant, a sledge with "
     "sails, and "
     "a detective one port behind.",
     "#66549a", "#1b1433", "#f7e3c6",
     "<circle cx='100' cy='100' r='66'/><ellipse cx='100' cy='100' rx='28' ry='66'/><path d='M34 100h132M44 "
     "66h112"
     "M44 134h112'/><path d='M18 138q76 52 160-40l-15 2M178 98l2 15'/>"},
};
const size_t shop_num_books = ARRAY_LEN(shop_books);
