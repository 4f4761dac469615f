/* gdb.c: packets and orders of the gdb stub. See gdb.h. */
#include "frontends/gdb_impl.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIGNAL_INT 2
#define SIGNAL_TRAP 5
#define SIGNAL_SEGV 11
#define MEMORY_MAX ((GDB_PACKET_MAX - 16) / 2) /* bytes of one `m` */

struct cpu *gdb_cpu(struct gdb *g)
{
    return vm_cpu(g->d->vm, g->thread);
}

/* ---- answers --------------------------------------------------------------------------------- */

void gdb_put(struct gdb *g, const char *text)
{
    gdb_putf(g, "%s", text);
}

void gdb_putf(struct gdb *g, const char *fmt, ...)
{
    size_t room = sizeof g->out - g->out_len - 4; /* for # and the sum */
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(g->out + g->out_len, room, fmt, ap);
    va_end(ap);
    if (n > 0)
        g->out_len += (size_t)n < room ? (size_t)n : room - 1;
}

void gdb_put_hex(struct gdb *g, const void *bytes, size_t len)
{
    const u8 *b = bytes;

    for (size_t i = 0; i < len; i++)
        gdb_putf(g, "%02x", b[i]);
}

void gdb_put_binary(struct gdb *g, const void *bytes, size_t len)
{
    const u8 *b = bytes;

    for (size_t i = 0; i < len && g->out_len + 8 < sizeof g->out; i++) {
        if (strchr("#$}*", b[i])) {
            g->out[g->out_len++] = '}';
            g->out[g->out_len++] = (char)(b[i] ^ 0x20);
        } else {
            g->out[g->out_len++] = (char)b[i];
        }
    }
}

void gdb_error(struct gdb *g, unsigned n)
{
    g->out_len = 1;
    gdb_putf(g, "E%02x", n);
}

void gdb_send(struct gdb *g)
{
    u8 sum = 0;

    for (size_t i = 1; i < g->out_len; i++)
        sum = (u8)(sum + (u8)g->out[i]);
    g->out[0] = '$';
    snprintf(g->out + g->out_len, 4, "#%02x", sum);
    if (g->port)
        endpoint_write(g->port, g->out, g->out_len + 3);
    g->out_len = 1;
}

/* Text for gdb's console; only while gdb waits. */
static void say(struct gdb *g, const char *text)
{
    g->out_len = 1;
    gdb_put(g, "O");
    gdb_put_hex(g, text, strlen(text));
    gdb_send(g);
}

/* ---- parsing --------------------------------------------------------------------------------- */

static int digit(char c)
{
    return isdigit((unsigned char)c)                ? c - '0'
           : isxdigit((unsigned char)c) && c >= 'a' ? c - 'a' + 10
           : isxdigit((unsigned char)c)             ? c - 'A' + 10
                                                    : -1;
}

bool gdb_hex(const char **p, u64 *v)
{
    unsigned n = 0;

    *v = 0;
    for (; digit(**p) >= 0 && n < 17; n++)
        *v = *v << 4 | (u64)digit(*(*p)++);
    return n >= 1 && n <= 16;
}

bool gdb_char(const char **p, char c)
{
    if (**p != c)
        return false;
    (*p)++;
    return true;
}

size_t gdb_hex_bytes(const char **p, u8 *bytes, size_t max)
{
    size_t n = 0;

    for (; n < max && digit((*p)[0]) >= 0 && digit((*p)[1]) >= 0; *p += 2)
        bytes[n++] = (u8)(digit((*p)[0]) << 4 | digit((*p)[1]));
    return n;
}

bool gdb_thread(struct gdb *g, const char **p, int *n)
{
    u64 v;

    *n = -1;
    if (gdb_char(p, '-'))
        return gdb_char(p, '1');
    if (!gdb_hex(p, &v) || v > vm_cpus(g->d->vm))
        return false;
    *n = (int)v - 1; /* 0 is any */
    return true;
}

/* ---- stops ----------------------------------------------------------------------------------- */

static void put_reason(struct gdb *g, const struct debug_stop *s)
{
    switch (s->kind) {
    case DEBUG_CODE: gdb_put(g, "swbreak:;"); break;
    case DEBUG_WRITE: gdb_putf(g, "watch:%llx;", (unsigned long long)s->addr); break;
    case DEBUG_READ: gdb_putf(g, "rwatch:%llx;", (unsigned long long)s->addr); break;
    case DEBUG_ACCESS: gdb_putf(g, "awatch:%llx;", (unsigned long long)s->addr); break;
    default: break;
    }
}

/* The stop reply, as an answer. */
static void put_stop(struct gdb *g, unsigned signal, const struct debug_stop *s)
{
    gdb_putf(g, "T%02xthread:%02x;", signal, g->thread + 1);
    if (s)
        put_reason(g, s);
}

static void warn_of_mode(struct gdb *g)
{
    enum gdb_arch now = gdb_arch_of(gdb_cpu(g));
    char text[256];

    if (now == g->arch || g->told_arch)
        return;
    g->told_arch = true;
    snprintf(text, sizeof text,
             "The CPU runs %s code now, gdb takes it for %s. 'unset tdesc filename' makes gdb ask "
             "again.\n",
             gdb_arch_name(now), gdb_arch_name(g->arch));
    say(g, text);
}

static void tell_end(struct gdb *g, enum vm_stop why)
{
    gdb_putf(g, "W%02x", (unsigned)vm_exit_code(g->d->vm, why) & 0xff);
    gdb_send(g);
}

static void stopped(void *opaque, enum vm_stop why, bool ended)
{
    struct gdb *g = opaque;
    const struct debug_stop *s = why == VM_DEBUG ? debug_last_stop(g->d->vm) : NULL;
    bool died = why == VM_TRIPLE_FAULT || why == VM_HUNG;

    if (!g->waits || (g->port && !endpoint_has_client(g->port)))
        return;
    g->waits = false;
    if (ended) {
        tell_end(g, why);
        return;
    }
    if (s && s->cpu)
        g->thread = s->cpu->id;
    warn_of_mode(g);
    if (s && s->kind > DEBUG_ACCESS) {
        char text[128];

        snprintf(text, sizeof text, "%s: %#llx\n", debug_kind_name(s->kind),
                 (unsigned long long)s->addr);
        say(g, text);
    }
    if (died)
        say(g, why == VM_HUNG ? "The CPU halted for good.\n" : "Triple fault.\n");
    put_stop(g, died ? SIGNAL_SEGV : why == VM_DEBUG ? SIGNAL_TRAP : SIGNAL_INT, s);
    gdb_send(g);
}

/* ---- registers and memory -------------------------------------------------------------------- */

static void read_all(struct gdb *g)
{
    u8 bytes[32];

    for (unsigned n = 0; n < g->reg_count; n++) {
        if (!g->regs[n].in_g)
            continue;
        gdb_read_reg(g, n, bytes);
        gdb_put_hex(g, bytes, g->regs[n].bits / 8u);
    }
}

/* What the CPU cannot have is left as it is: gdb sends all of them back when it changes one. */
static void write_all(struct gdb *g, const char *p)
{
    for (unsigned n = 0; n < g->reg_count && *p; n++) {
        u8 bytes[32] = {0};

        if (!g->regs[n].in_g)
            continue;
        if (gdb_hex_bytes(&p, bytes, g->regs[n].bits / 8u) != g->regs[n].bits / 8u) {
            gdb_error(g, 22);
            return;
        }
        gdb_write_reg(g, n, bytes);
    }
    gdb_put(g, "OK");
}

static void read_one(struct gdb *g, const char *p)
{
    u8 bytes[32];
    u64 n;

    if (!gdb_hex(&p, &n) || n >= g->reg_count) {
        gdb_error(g, 22);
        return;
    }
    gdb_read_reg(g, (unsigned)n, bytes);
    gdb_put_hex(g, bytes, g->regs[n].bits / 8u);
}

static void write_one(struct gdb *g, const char *p)
{
    u8 bytes[32] = {0};
    u64 n;

    if (!gdb_hex(&p, &n) || !gdb_char(&p, '=') || n >= g->reg_count ||
        gdb_hex_bytes(&p, bytes, sizeof bytes) != g->regs[n].bits / 8u ||
        !gdb_write_reg(g, (unsigned)n, bytes))
        gdb_error(g, 22);
    else
        gdb_put(g, "OK");
}

static size_t transfer(struct gdb *g, u64 at, u8 *bytes, size_t len, bool write)
{
    if (g->physical)
        return write ? debug_write_phys(g->d->vm, at, bytes, len)
                     : debug_read_phys(g->d->vm, at, bytes, len);
    return write ? debug_write(gdb_cpu(g), at, bytes, len) : debug_read(gdb_cpu(g), at, bytes, len);
}

static void read_memory(struct gdb *g, const char *p)
{
    static const unsigned efault = 14;
    u8 bytes[MEMORY_MAX];
    u64 at, len;

    if (!gdb_hex(&p, &at) || !gdb_char(&p, ',') || !gdb_hex(&p, &len) || *p) {
        gdb_error(g, 22);
        return;
    }
    size_t n = transfer(g, at, bytes, len < sizeof bytes ? len : sizeof bytes, false);
    if (!n && len)
        gdb_error(g, efault);
    else
        gdb_put_hex(g, bytes, n);
}

/* M in digits, X in bytes. */
static void write_memory(struct gdb *g, const char *p, const char *end, bool binary)
{
    u8 bytes[GDB_PACKET_MAX];
    size_t have;
    u64 at, len;

    if (!gdb_hex(&p, &at) || !gdb_char(&p, ',') || !gdb_hex(&p, &len) || !gdb_char(&p, ':') ||
        len > sizeof bytes) {
        gdb_error(g, 22);
        return;
    }
    if (binary) {
        have = (size_t)(end - p);
        memcpy(bytes, p, have);
    } else {
        have = gdb_hex_bytes(&p, bytes, len);
    }
    if (have < len)
        gdb_error(g, 22);
    else if (transfer(g, at, bytes, len, true) != len)
        gdb_error(g, 14);
    else
        gdb_put(g, "OK");
}

/* ---- going on -------------------------------------------------------------------------------- */

static void go_on(struct gdb *g)
{
    g->waits = g->reply_later = true;
    debugger_continue(g->d);
}

static void step(struct gdb *g, unsigned cpu)
{
    g->waits = g->reply_later = true;
    debugger_step(g->d, cpu, g->sstep & SSTEP_NOIRQ);
}

/* c [addr], s [addr] */
static void resume_at(struct gdb *g, const char *p, bool stepping)
{
    bool elsewhere = *p;
    union vec at = {0};

    if (elsewhere && (!gdb_hex(&p, &at.q[0]) || *p)) {
        gdb_error(g, 22);
        return;
    }
    if (elsewhere)
        reg_write(gdb_cpu(g), reg_find("pc", 2), &at);
    if (stepping)
        step(g, g->thread);
    else
        go_on(g);
}

/* vCont;action[:thread]...: the leftmost action that names a thread counts. A step of one CPU
 * leaves the others where they are, whatever they are told: it is over before they could do
 * anything. */
static void v_cont(struct gdb *g, const char *p)
{
    int stepping = -1;
    bool any = false;

    while (gdb_char(&p, ';')) {
        char action = *p ? *p++ : 0;
        int thread = -1;
        u64 signal;

        if (!action || !strchr("csCS", action) || (strchr("CS", action) && !gdb_hex(&p, &signal)) ||
            (gdb_char(&p, ':') && !gdb_thread(g, &p, &thread))) {
            gdb_error(g, 22);
            return;
        }
        if (!any && (action == 's' || action == 'S'))
            stepping = thread < 0 ? (int)g->thread : thread;
        any = true;
    }
    if (!any || *p)
        gdb_error(g, 22);
    else if (stepping >= 0)
        step(g, (unsigned)stepping);
    else
        go_on(g);
}

/* ---- packets --------------------------------------------------------------------------------- */

/* What a gdb that is new here may expect. */
static void greet(struct gdb *g)
{
    g->state = GDB_IDLE;
    g->no_ack = g->physical = g->waits = g->told_arch = false;
    g->thread = 0;
    g->sstep = SSTEP_ENABLE | SSTEP_NOIRQ | SSTEP_NOTIMER;
    g->out_len = 1;
    gdb_describe(g);
}

static void detach(struct gdb *g)
{
    gdb_remove_points(g);
    gdb_put(g, "OK");
    gdb_send(g);
    g->reply_later = true;
    if (g->port)
        endpoint_drop(g->port);
    debugger_continue(g->d);
}

static void set_thread(struct gdb *g, const char *p)
{
    char what = *p ? *p++ : 0;
    int n;

    if ((what != 'g' && what != 'c') || !gdb_thread(g, &p, &n) || *p) {
        gdb_error(g, 22);
        return;
    }
    if (n >= 0)
        g->thread = (unsigned)n;
    gdb_put(g, "OK");
}

static void is_alive(struct gdb *g, const char *p)
{
    int n;

    if (gdb_thread(g, &p, &n) && n >= 0)
        gdb_put(g, "OK");
    else
        gdb_error(g, 22);
}

static void v_packet(struct gdb *g, const char *p)
{
    if (!strcmp(p, "Cont?"))
        gdb_put(g, "vCont;c;C;s;S");
    else if (!strncmp(p, "Cont;", 5))
        v_cont(g, p + 4);
    else if (!strncmp(p, "Kill", 4)) {
        gdb_put(g, "OK");
        debugger_quit(g->d);
    }
}

/* What is not known gets an empty answer, as the protocol wants it. */
static void execute(struct gdb *g)
{
    const char *p = (const char *)g->in + 1, *end = (const char *)g->in + g->in_len;
    const struct debug_stop *s = debug_last_stop(g->d->vm);

    g->reply_later = false;
    switch (g->in[0]) {
    case '?': put_stop(g, SIGNAL_TRAP, s->cpu && s->cpu->id == g->thread ? s : NULL); break;
    case 'g': read_all(g); break;
    case 'G': write_all(g, p); break;
    case 'p': read_one(g, p); break;
    case 'P': write_one(g, p); break;
    case 'm': read_memory(g, p); break;
    case 'M': write_memory(g, p, end, false); break;
    case 'X': write_memory(g, p, end, true); break;
    case 'c': resume_at(g, p, false); break;
    case 's': resume_at(g, p, true); break;
    case 'C': go_on(g); break;
    case 'S': step(g, g->thread); break;
    case 'H': set_thread(g, p); break;
    case 'T': is_alive(g, p); break;
    case 'Z': gdb_point(g, p, true); break;
    case 'z': gdb_point(g, p, false); break;
    case 'D': detach(g); break;
    case 'k':
        g->reply_later = true;
        debugger_quit(g->d);
        break;
    case 'q': gdb_query(g, p); break;
    case 'Q': gdb_set(g, p); break;
    case 'v': v_packet(g, p); break;
    default: break;
    }
    if (!g->reply_later)
        gdb_send(g);
    g->out_len = 1;
}

static void acknowledge(struct gdb *g, bool good)
{
    if (!g->no_ack && g->port)
        endpoint_write(g->port, good ? "+" : "-", 1);
}

static void packet_done(struct gdb *g)
{
    bool good = g->said == g->sum;

    g->state = GDB_IDLE;
    acknowledge(g, good || g->no_ack);
    if (!good && !g->no_ack)
        return;
    g->in[g->in_len] = 0;
    if (!g->in_too_long) {
        execute(g);
        return;
    }
    gdb_error(g, 7);
    gdb_send(g);
}

/* Ctrl-C of gdb. */
static void interrupt(struct gdb *g)
{
    debugger_stop(g->d);
    stopped(g, VM_STOPPED, false);
}

/* A byte between $ and #; what follows } is another. */
static void take_body(struct gdb *g, u8 c)
{
    g->sum = (u8)(g->sum + c);
    if (g->in_len == GDB_PACKET_MAX)
        g->in_too_long = true;
    else if (c == '}' && !g->escaped && g->in_len && g->in[0] == 'X') {
        g->escaped = true;
        return;
    } else
        g->in[g->in_len++] = g->escaped ? c ^ 0x20 : c;
    g->escaped = false;
}

static void take_byte(struct gdb *g, u8 c)
{
    switch (g->state) {
    case GDB_IDLE:
        if (c == 3)
            interrupt(g);
        if (c != '$')
            break;
        g->state = GDB_BODY;
        g->in_len = 0;
        g->sum = 0;
        g->in_too_long = g->escaped = false;
        break;
    case GDB_BODY:
        if (c == '#')
            g->state = GDB_SUM1;
        else
            take_body(g, c);
        break;
    case GDB_SUM1:
        g->said = (u8)((unsigned)digit((char)c) << 4);
        g->state = GDB_SUM2;
        break;
    case GDB_SUM2:
        g->said = (u8)(g->said | (digit((char)c) & 0xf));
        packet_done(g);
        break;
    }
}

void gdb_feed(struct gdb *g, const void *buf, size_t len)
{
    const u8 *b = buf;

    for (size_t i = 0; i < len; i++)
        take_byte(g, b[i]);
}

/* ---- the port -------------------------------------------------------------------------------- */

static int port_fd(void *opaque)
{
    const struct gdb *g = opaque;

    return g->port ? endpoint_fd(g->port) : -1;
}

static bool port_attached(void *opaque)
{
    const struct gdb *g = opaque;

    return g->port && endpoint_has_client(g->port);
}

/* A gdb that goes without a word leaves the machine as it is: another may come. */
static void port_ready(void *opaque)
{
    struct gdb *g = opaque;
    u8 buf[4096];
    long n;

    if (!endpoint_has_client(g->port)) {
        if (endpoint_accept(g->port)) {
            greet(g);
            debugger_stop(g->d);
        }
        return;
    }
    n = endpoint_read(g->port, buf, sizeof buf);
    if (n > 0)
        gdb_feed(g, buf, (size_t)n);
    if (n < 0) {
        endpoint_drop(g->port);
        gdb_remove_points(g);
        g->waits = false;
    }
}

static struct gdb *create(struct debugger *d, struct endpoint *port)
{
    struct gdb *g = calloc(1, sizeof *g);

    BUG_ON(!g);
    g->d = d;
    g->port = port;
    greet(g);
    debugger_add(d, &(struct debugger_port){.fd = port_fd,
                                            .ready = port_ready,
                                            .stopped = stopped,
                                            .attached = port_attached,
                                            .opaque = g});
    return g;
}

struct gdb *gdb_open_without_client(struct debugger *d)
{
    return create(d, NULL);
}

struct gdb *gdb_open(struct debugger *d, const char *spec, struct err *e)
{
    struct endpoint *port = endpoint_open("gdb", spec, e);

    if (!port)
        return NULL;
    struct gdb *g = create(d, port);
    if (endpoint_has_client(port)) /* standard input and output */
        debugger_stop(d);
    return g;
}

void gdb_set_monitor(struct gdb *g, gdb_monitor_fn *run, void *opaque)
{
    g->monitor = run;
    g->monitor_opaque = opaque;
}

void gdb_close(struct gdb *g)
{
    if (!g)
        return;
    endpoint_close(g->port);
    free(g);
}
