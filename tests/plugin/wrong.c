/* wrong.c: plugins that must be refused: of another version; incomplete; one that says no. */
#include "machine/parallax-plugin.h"

static const char *create(const struct parallax_host *host, struct parallax *self,
                          const char *const *values, void **state)
{
    (void)host, (void)self, (void)values, (void)state;
    return "it says no";
}

__attribute__((unused)) static void finish(void *state)
{
    (void)state;
    __builtin_trap(); /* it was never created */
}

const struct parallax_plugin parallax_plugin = {
    .version = WRONG_VERSION, .name = "wrong", .create = create, .finish = WRONG_FINISH};
