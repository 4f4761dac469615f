/*
 * nets.h: the options that name networks and their controllers: -netdev, -nic (both in one), -net
 * none, and -object filter-dump.
 */
#pragma once

#include "devices/backend/net.h"
#include "frontends/options.h"

#define NET_DUMPS_MAX 8

struct net_list {
    struct net_options net[NET_MAX];
    unsigned count;
    struct net_dump_options dump[NET_DUMPS_MAX];
    unsigned dumps;
    /* -device arguments: those of -nic, then those of -device; NULL-terminated. */
    const char *devices[NET_MAX + MAX_REPEATED + 1];
    unsigned device_count;
    char *text[3 * NET_MAX + NET_DUMPS_MAX]; /* what the strings point into */
    unsigned texts;
};

bool nets_from_options(struct net_list *l, const struct options *o, struct err *e);
void nets_free(struct net_list *l);
