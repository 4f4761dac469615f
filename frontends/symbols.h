/*
 * symbols.h: names of addresses in a guest: the symbol table of an ELF file (32 or 64 bits), or
 * lines "address type name" as System.map and /proc/kallsyms have them.
 */
#pragma once

#include "base/err.h"

struct symbol {
    u64 addr;
    const char *name; /* in `names` */
};

struct symbols {
    struct symbol *by_addr; /* sorted */
    size_t count;
    char *names;
};

/* Adds nothing to what was there: a new file takes its place. False: the old ones stay. */
bool symbols_load(struct symbols *s, const char *path, struct err *e);
void symbols_free(struct symbols *s);
bool symbols_find(const struct symbols *s, const char *name, size_t len, u64 *addr);
/* The last one at or before an address, not further than 1 MiB; NULL: none. */
const struct symbol *symbols_at(const struct symbols *s, u64 addr);
