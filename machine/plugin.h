/* plugin.h: loading of plugins (parallax-plugin.h). */
#pragma once

#include "base/err.h"
#include "base/types.h"
#include <stdio.h>

struct vm;

#define PLUGINS_MAX 16u
#define PLUGIN_ARGS_MAX 32u

/* One -plugin. Strings are the caller's and outlive the machine. */
struct plugin_options {
    const char *path;
    unsigned count;
    struct {
        const char *key, *value;
    } arg[PLUGIN_ARGS_MAX];
};

struct plugins;

/* Loads them all for a machine that has not run, and lets them look on. NULL: *e says which cannot.
 */
struct plugins *plugins_load(struct vm *vm, const struct plugin_options *o, unsigned count,
                             struct err *e);
/* The machine has run: they print what they found. False: a file did not take it. */
bool plugins_finish(struct plugins *p, struct err *e);
/* Prints what a plugin is and which keys it takes. */
bool plugin_help(const char *path, FILE *out, struct err *e);
void plugins_unload(struct plugins *p);
