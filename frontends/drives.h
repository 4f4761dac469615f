/*
 * drives.h: the options that name disks: -drive and its short forms -hda to -hdd, -cdrom, -fda,
 * -fdb, with -snapshot for all of them.
 */
#pragma once

#include "frontends/options.h"
#include "machine/vm.h"

#define MAX_DRIVES 32

struct drive_list {
    struct vm_drive drive[MAX_DRIVES];
    unsigned count;
    char *text[MAX_DRIVES]; /* what the strings of `drive` point into */
};

bool drives_from_options(struct drive_list *l, const struct options *o, struct err *e);
void drives_free(struct drive_list *l);
