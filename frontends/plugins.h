/* plugins.h: -plugin to the plugins of the configuration. */
#pragma once

#include "frontends/options.h"
#include "machine/plugin.h"

struct plugin_list {
    struct plugin_options plugin[PLUGINS_MAX];
    char *text[PLUGINS_MAX]; /* what they point into */
    unsigned count;
};

bool plugins_from_options(struct plugin_list *l, const struct options *o, struct err *e);
/* Also after a failure. */
void plugins_free(struct plugin_list *l);
