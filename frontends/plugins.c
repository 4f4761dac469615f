/* plugins.c: see plugins.h. */
#include "frontends/plugins.h"
#include "frontends/keys.h"

#include <stdlib.h>
#include <string.h>

static bool add_key(struct plugin_options *p, char *item, struct err *e)
{
    char *equals = strchr(item, '=');

    if (!equals || equals == item) {
        err_usage(e, "-plugin: '%s' is not KEY=VALUE", item);
        return err_hint(e, "-plugin FILE,help lists what a plugin takes");
    }
    if (p->count == PLUGIN_ARGS_MAX)
        return err_usage(e, "-plugin: more than %u keys", PLUGIN_ARGS_MAX);
    *equals = '\0';
    p->arg[p->count].key = item;
    p->arg[p->count++].value = equals + 1;
    return true;
}

static bool add_plugin(struct plugin_list *l, const char *spec, struct err *e)
{
    struct plugin_options *p = &l->plugin[l->count];
    char *rest;

    if (l->count == PLUGINS_MAX)
        return err_usage(e, "-plugin is given more than %u times", PLUGINS_MAX);
    rest = l->text[l->count] = strdup(spec);
    if (!rest)
        return err_host(e, "out of memory");
    l->count++;
    p->path = keys_next(&rest);
    if (!*p->path)
        return err_usage(e, "-plugin: a file is missing");
    while (rest)
        if (!add_key(p, keys_next(&rest), e))
            return false;
    return true;
}

bool plugins_from_options(struct plugin_list *l, const struct options *o, struct err *e)
{
    if (o->plugins[0] && o->given[OPT_CHECK]) {
        err_usage(e, "-check has two machines: it does not go with -plugin");
        return err_hint(e, "leave one of the two away");
    }
    for (unsigned i = 0; o->plugins[i]; i++)
        if (!add_plugin(l, o->plugins[i], e))
            return false;
    return true;
}

void plugins_free(struct plugin_list *l)
{
    for (unsigned i = 0; i < l->count; i++)
        free(l->text[i]);
}
