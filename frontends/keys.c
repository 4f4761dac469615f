/* keys.c: see keys.h. */
#include "frontends/keys.h"

#include <string.h>

char *keys_next(char **rest)
{
    char *item = *rest, *to = item, *from = item;

    while (*from && (*from != ',' || from[1] == ',')) {
        from += *from == ',';
        *to++ = *from++;
    }
    *rest = *from ? from + 1 : NULL;
    *to = '\0';
    return item;
}

bool keys_switch(const char *option, const char *key, const char *value, bool *v, struct err *e)
{
    *v = !strcmp(value, "on") || !strcmp(value, "yes");
    if (*v || !strcmp(value, "off") || !strcmp(value, "no"))
        return true;
    return err_usage(e, "-%s: %s is on or off, not '%s'", option, key, value);
}
