/* Seeding; the generator itself is inline. */
#include "core/proxy/random.h"

#include <sys/random.h>

/* splitmix64: any seed, also 0, gives a good state. */
void px_random_seed(struct px_random *random, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        uint64_t z = (seed += 0x9e3779b97f4a7c15ull);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
        random->s[i] = z ^ (z >> 31);
    }
}

void px_random_init(struct px_random *random)
{
    if (getrandom(random->s, sizeof(random->s), 0) != sizeof(random->s))
        abort(); /* cannot fail for so few bytes once the kernel is up */
}
