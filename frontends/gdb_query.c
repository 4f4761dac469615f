/* gdb_query.c: what gdb asks for (q) and sets (Q): features, threads, files, and QEMU's packets. */
#include "frontends/gdb_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool begins(const char **p, const char *word)
{
    size_t n = strlen(word);

    if (strncmp(*p, word, n))
        return false;
    *p += n;
    return true;
}

/* A piece of a document: offset,length. */
static void put_piece(struct gdb *g, const char *p, const char *text)
{
    u64 at, len, size = strlen(text);

    if (!gdb_hex(&p, &at) || !gdb_char(&p, ',') || !gdb_hex(&p, &len) || *p) {
        gdb_error(g, 22);
        return;
    }
    if (len > GDB_PACKET_MAX / 2)
        len = GDB_PACKET_MAX / 2;
    if (at >= size) {
        gdb_put(g, "l");
        return;
    }
    gdb_put(g, size - at <= len ? "l" : "m");
    gdb_put_binary(g, text + at, size - at < len ? size - at : len);
}

#define MAP_MAX 4096u

static void add_memory(char *text, const char *type, u64 start, u64 length)
{
    size_t have = strlen(text);

    snprintf(text + have, MAP_MAX - have,
             "<memory type=\"%s\" start=\"%#" PRIx64 "\" length=\"%#" PRIx64 "\"/>", type, start,
             length);
}

/* ROM counts only as long as linear addresses are physical ones: gdb reads the map once. */
static void put_memory_map(struct gdb *g, const char *p)
{
    char text[MAP_MAX + 32] = "<?xml version=\"1.0\"?><memory-map>";
    bool paging = gdb_cpu(g)->cr0 & CR0_PG;
    u64 from = 0;

    for (const struct region *r = vm_phys(g->d->vm)->regions; r && !paging; r = r->next) {
        if (r->kind != REGION_ROM || !r->enabled || r->base < from || strlen(text) > MAP_MAX - 512)
            continue;
        if (r->base > from)
            add_memory(text, "ram", from, r->base - from);
        add_memory(text, "rom", r->base, r->size);
        from = r->base + r->size;
    }
    if (!from) { /* all of it is a length that does not fit */
        add_memory(text, "ram", 0, 1ull << 63);
        from = 1ull << 63;
    }
    add_memory(text, "ram", from, -from);
    strcat(text, "</memory-map>");
    put_piece(g, p, text);
}

static void put_threads(struct gdb *g)
{
    for (unsigned n = 0; n < vm_cpus(g->d->vm); n++)
        gdb_putf(g, "%c%02x", n ? ',' : 'm', n + 1);
}

static void put_thread_info(struct gdb *g, const char *p)
{
    char text[64];
    int n;

    if (!gdb_thread(g, &p, &n) || n < 0) {
        gdb_error(g, 22);
        return;
    }
    const struct cpu *cpu = vm_cpu(g->d->vm, (unsigned)n);
    snprintf(text, sizeof text, "CPU#%d%s", n,
             cpu->wait_sipi ? " [waits for start-up]"
             : cpu->halted  ? " [halted]"
                            : "");
    gdb_put_hex(g, text, strlen(text));
}

/* `monitor ...`: the command in hexadecimal. */
static void run_command(struct gdb *g, const char *p)
{
    char line[1024] = {0};
    char *text;

    gdb_hex_bytes(&p, (u8 *)line, sizeof line - 1);
    if (*p || !g->monitor) {
        gdb_error(g, g->monitor ? 22 : 1);
        return;
    }
    text = g->monitor(g->monitor_opaque, line);
    for (size_t at = 0, len = text ? strlen(text) : 0; at < len; at += GDB_PACKET_MAX / 4) {
        size_t n = len - at < GDB_PACKET_MAX / 4 ? len - at : GDB_PACKET_MAX / 4;

        gdb_put(g, "O");
        gdb_put_hex(g, text + at, n);
        gdb_send(g);
    }
    free(text);
    gdb_put(g, "OK");
}

void gdb_query(struct gdb *g, const char *p)
{
    if (begins(&p, "Supported"))
        gdb_putf(g,
                 "PacketSize=%x;qXfer:features:read+;qXfer:memory-map:read+;vContSupported+;"
                 "QStartNoAckMode+;swbreak+;hwbreak+;ConditionalBreakpoints+",
                 GDB_PACKET_MAX);
    else if (begins(&p, "Xfer:features:read:target.xml:")) {
        if (!strncmp(p, "0,", 2))
            gdb_describe(g);
        put_piece(g, p, g->xml);
    } else if (begins(&p, "Xfer:memory-map:read::"))
        put_memory_map(g, p);
    else if (begins(&p, "Xfer:"))
        gdb_error(g, 0);
    else if (!strcmp(p, "fThreadInfo"))
        put_threads(g);
    else if (!strcmp(p, "sThreadInfo"))
        gdb_put(g, "l");
    else if (begins(&p, "ThreadExtraInfo,"))
        put_thread_info(g, p);
    else if (!strcmp(p, "C"))
        gdb_putf(g, "QC%02x", g->thread + 1);
    else if (begins(&p, "Attached"))
        gdb_put(g, "1");
    else if (begins(&p, "Symbol:"))
        gdb_put(g, "OK");
    else if (begins(&p, "Rcmd,"))
        run_command(g, p);
    else if (!strcmp(p, "qemu.sstepbits"))
        gdb_putf(g, "ENABLE=%x,NOIRQ=%x,NOTIMER=%x", SSTEP_ENABLE, SSTEP_NOIRQ, SSTEP_NOTIMER);
    else if (!strcmp(p, "qemu.sstep"))
        gdb_putf(g, "0x%x", g->sstep);
    else if (!strcmp(p, "qemu.PhyMemMode"))
        gdb_put(g, g->physical ? "1" : "0");
}

void gdb_set(struct gdb *g, const char *p)
{
    u64 v;

    if (!strcmp(p, "StartNoAckMode")) {
        gdb_put(g, "OK");
        gdb_send(g);
        g->no_ack = g->reply_later = true;
    } else if (begins(&p, "qemu.sstep=")) {
        if (!gdb_hex(&p, &v) || *p || v > 7) {
            gdb_error(g, 22);
            return;
        }
        g->sstep = (unsigned)v;
        gdb_put(g, "OK");
    } else if (begins(&p, "qemu.PhyMemMode:")) {
        g->physical = *p == '1';
        gdb_put(g, "OK");
    }
}
