/*
 * resources.h: the options that name what devices ask for: -chardev (streams), -object rng-random,
 * -fsdev (folders) and -virtfs, a folder and its device in one.
 */
#pragma once

#include "devices/backend/resources.h"
#include "frontends/options.h"

#define RESOURCES_MAX 16

struct resource_list {
    struct stream_entry stream[RESOURCES_MAX]; /* not open */
    const char *stream_spec[RESOURCES_MAX];    /* as chardev_open takes them */
    unsigned streams;
    struct entropy_entry entropy[RESOURCES_MAX];
    unsigned entropies;
    struct share_entry share[RESOURCES_MAX];
    unsigned shares;
    const char *device[RESOURCES_MAX]; /* -device arguments of -virtfs */
    unsigned devices;
    char *text[6 * RESOURCES_MAX]; /* what the strings point into */
    unsigned texts;
};

bool resources_from_options(struct resource_list *l, const struct options *o, struct err *e);
void resources_free(struct resource_list *l);
/* Is this -object one of ours? */
bool resources_is_object(const char *text);
