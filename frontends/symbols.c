/* symbols.c: see symbols.h. ELF: System V ABI, chapter 4, "Symbol Table". */
#include "frontends/symbols.h"

#include "base/bits.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX (512 * MIB)
#define REACH MIB

#define SHT_SYMTAB 2
#define STT_SECTION 3
#define STT_FILE 4

/* ---- a list that grows ----------------------------------------------------------------------- */

static bool add(struct symbols *s, u64 addr, const char *name, struct err *e)
{
    if (!(s->count & (s->count - 1))) { /* a power of two: it is full */
        size_t room = s->count ? 2 * s->count : 1;
        struct symbol *more = realloc(s->by_addr, room * sizeof *more);

        if (!more)
            return err_host(e, "out of memory for symbols");
        s->by_addr = more;
    }
    s->by_addr[s->count++] = (struct symbol){addr, name};
    return true;
}

static int compare(const void *a, const void *b)
{
    const struct symbol *x = a, *y = b;

    return x->addr < y->addr ? -1 : x->addr > y->addr ? 1 : strcmp(x->name, y->name);
}

/* ---- files ----------------------------------------------------------------------------------- */

static char *read_file(const char *path, size_t *size, struct err *e)
{
    FILE *f = fopen(path, "rbe");
    char *data = NULL, *more;
    size_t have = 0, n = 1;

    if (!f) {
        err_host(e, "%s: %s", path, strerror(errno));
        return NULL;
    }
    while (n && have < FILE_MAX && (more = realloc(data, have + MIB + 1)) != NULL) {
        data = more;
        n = fread(data + have, 1, MIB, f);
        have += n;
    }
    bool bad = n || ferror(f);
    fclose(f);
    if (bad) {
        free(data);
        err_host(e, "%s: cannot be read, or is too large", path);
        return NULL;
    }
    data[have] = 0;
    *size = have;
    return data;
}

struct elf {
    const u8 *data;
    size_t size;
    bool is64;
};

static u64 word(const struct elf *f, u64 at)
{
    if (at + 8 > f->size || at + 8 < at)
        return 0;
    return f->is64 ? ld_le64(f->data + at) : ld_le32(f->data + at);
}

static u32 half(const struct elf *f, u64 at, unsigned bytes)
{
    if (at + 4 > f->size || at + 4 < at)
        return 0;
    return bytes == 4 ? ld_le32(f->data + at) : ld_le16(f->data + at);
}

/* The entries of a symbol table; what lies outside the file is passed over. */
static bool add_table(struct symbols *s, const struct elf *f, u64 at, u64 size, u64 names,
                      u64 names_size, struct err *e)
{
    u64 entry = f->is64 ? 24 : 16;

    for (u64 off = entry; off + entry <= size && at + off + entry <= f->size; off += entry) {
        const u8 *sym = f->data + at + off;
        u32 name = ld_le32(sym);
        unsigned type = sym[f->is64 ? 4 : 12] & 0xf;
        u16 section = ld_le16(sym + (f->is64 ? 6 : 14));

        if (!name || name >= names_size || !section || type == STT_SECTION || type == STT_FILE)
            continue;
        if (!add(s, word(f, at + off + (f->is64 ? 8 : 4)), (const char *)f->data + names + name, e))
            return false;
    }
    return true;
}

static bool parse_elf(struct symbols *s, const struct elf *f, struct err *e)
{
    u64 sections = word(f, f->is64 ? 0x28 : 0x20);
    unsigned each = half(f, f->is64 ? 0x3a : 0x2e, 2), count = half(f, f->is64 ? 0x3c : 0x30, 2);
    u64 offset = f->is64 ? 0x18 : 0x10, size = f->is64 ? 0x20 : 0x14, link = f->is64 ? 0x28 : 0x18;

    for (unsigned n = 0; n < count; n++) {
        u64 at = sections + (u64)n * each, to;

        if (half(f, at + 4, 4) != SHT_SYMTAB)
            continue;
        to = sections + (u64)half(f, at + link, 4) * each;
        u64 names = word(f, to + offset), names_size = word(f, to + size);
        if (names > f->size || names_size > f->size - names || !names_size ||
            f->data[names + names_size - 1])
            continue;
        if (!add_table(s, f, word(f, at + offset), word(f, at + size), names, names_size, e))
            return false;
    }
    return s->count || err_usage(e, "the ELF file has no symbol table: it is stripped");
}

/* "ffffffff81000000 T _text", and what follows the name in kallsyms (a module) */
static bool parse_lines(struct symbols *s, char *text, struct err *e)
{
    for (char *line = text, *next; line && *line; line = next) {
        char *end;
        u64 addr = strtoull(line, &end, 16);

        next = strchr(line, '\n');
        if (next)
            *next++ = 0;
        if (end == line || end[0] != ' ' || !end[1] || end[2] != ' ' || !end[3])
            continue;
        end[3 + strcspn(end + 3, " \t\r")] = 0;
        if (!add(s, addr, end + 3, e))
            return false;
    }
    return s->count || err_usage(e, "neither an ELF file nor lines 'address type name'");
}

bool symbols_load(struct symbols *s, const char *path, struct err *e)
{
    struct symbols new = {0};
    size_t size;

    new.names = read_file(path, &size, e);
    if (!new.names)
        return false;
    struct elf f = {(const u8 *)new.names, size, size > 4 && new.names[4] == 2};
    bool elf = size > 0x40 && !memcmp(new.names, "\177ELF", 4);
    if (elf ? !parse_elf(&new, &f, e) : !parse_lines(&new, new.names, e)) {
        symbols_free(&new);
        return false;
    }
    qsort(new.by_addr, new.count, sizeof *new.by_addr, compare);
    symbols_free(s);
    *s = new;
    return true;
}

void symbols_free(struct symbols *s)
{
    free(s->by_addr);
    free(s->names);
    *s = (struct symbols){0};
}

bool symbols_find(const struct symbols *s, const char *name, size_t len, u64 *addr)
{
    for (size_t i = 0; i < s->count; i++)
        if (!strncmp(s->by_addr[i].name, name, len) && !s->by_addr[i].name[len]) {
            *addr = s->by_addr[i].addr;
            return true;
        }
    return false;
}

const struct symbol *symbols_at(const struct symbols *s, u64 addr)
{
    size_t low = 0, high = s->count;

    while (low < high) {
        size_t mid = (low + high) / 2;

        if (s->by_addr[mid].addr <= addr)
            low = mid + 1;
        else
            high = mid;
    }
    return low && addr - s->by_addr[low - 1].addr < REACH ? &s->by_addr[low - 1] : NULL;
}
