/* monitor_machine.c: devices and the machine: what `info` shows of them, and orders to them. */
#include "base/bits.h"
#include "base/quirks.h"
#include "base/trace.h"
#include "block/drive.h"
#include "block/image.h"
#include "cpu/block.h"
#include "devices/device.h"
#include "devices/iobus.h"
#include "devices/pci.h"
#include "frontends/keyboard.h"
#include "frontends/monitor_impl.h"
#include "frontends/report.h"
#include "frontends/screen.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- maps ------------------------------------------------------------------------------------ */

static void print_memory(FILE *out, u64 from, u64 bytes, const char *kind, const char *name)
{
    if (bytes)
        fprintf(out, "%012" PRIx64 "-%012" PRIx64 " %-4s %s\n", from, from + bytes - 1, kind, name);
}

bool info_mtree(struct monitor *m, const char *args, struct err *e)
{
    static const char *const kinds[] = {"ram", "rom", "mmio"};
    const struct phys *p = vm_phys(m->vm);

    if (!monitor_no_more(args, e))
        return false;
    print_memory(m->out, 0, p->ram_low_bytes, "ram", "main memory");
    print_memory(m->out, 4 * GIB, p->ram_bytes - p->ram_low_bytes, "ram", "main memory");
    fprintf(m->out, "over it, what comes later over what comes before:\n");
    for (const struct region *r = p->regions; r; r = r->next)
        if (r->enabled)
            print_memory(m->out, r->base, r->size, kinds[r->kind], r->name);
    fprintf(m->out, "A20 is %s\n", p->a20_mask & BIT64(20) ? "on" : "off");
    return true;
}

bool info_pio(struct monitor *m, const char *args, struct err *e)
{
    const struct iobus *b = vm_ports(m->vm);
    const char *name = NULL;
    u32 from = 0;

    if (!monitor_no_more(args, e))
        return false;
    for (u32 port = 0; port <= 0x10000; port++) {
        const char *here = port < 0x10000 ? iobus_name(b, (u16)port) : NULL;

        if (here == name)
            continue;
        if (name)
            fprintf(m->out, "%04x-%04x %s\n", from, port - 1, name);
        name = here;
        from = port;
    }
    return true;
}

/* ---- devices --------------------------------------------------------------------------------- */

/* All devices of a class; false: there is none. */
static bool print_devices(struct monitor *m, const char *name, size_t len)
{
    bool any = false;

    for (const struct dev *d = vm_devices(m->vm); d; d = d->next) {
        if (strncmp(d->cls->name, name, len) || d->cls->name[len])
            continue;
        dev_info(d, m->out);
        any = true;
    }
    return any;
}

static bool info_class(struct monitor *m, const char *args, const char *name, struct err *e)
{
    if (!monitor_no_more(args, e))
        return false;
    return print_devices(m, name, strlen(name)) || err_usage(e, "the machine has no %s", name);
}

bool info_pic(struct monitor *m, const char *args, struct err *e)
{
    return info_class(m, args, "i8259", e);
}

bool info_lapic(struct monitor *m, const char *args, struct err *e)
{
    return info_class(m, args, "lapic", e);
}

bool info_ioapic(struct monitor *m, const char *args, struct err *e)
{
    return info_class(m, args, "ioapic", e);
}

bool info_net(struct monitor *m, const char *args, struct err *e)
{
    static const char *const classes[] = {"e1000"};
    bool any = false;

    if (!monitor_no_more(args, e))
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(classes); i++)
        any |= print_devices(m, classes[i], strlen(classes[i]));
    if (!any)
        fprintf(m->out, "no network controller\n");
    return true;
}

bool info_device(struct monitor *m, const char *args, struct err *e)
{
    const char *word;
    size_t len = monitor_word(&args, &word);

    if (!len) {
        for (const struct dev *d = vm_devices(m->vm); d; d = d->next)
            fprintf(m->out, "%-18s %s\n", d->cls->name, d->cls->doc);
        return true;
    }
    if (print_devices(m, word, len))
        return true;
    err_usage(e, "the machine has no device '%.*s'", (int)len, word);
    return err_hint(e, "'info device' lists them");
}

/* What a chip drives and what its inputs see stands in its field table. */
bool info_irq(struct monitor *m, const char *args, struct err *e)
{
    static const char *const chips[] = {"i8259", "ioapic"};

    if (!monitor_no_more(args, e))
        return false;
    for (unsigned n = 0; n < vm_cpus(m->vm); n++) {
        const struct cpu *cpu = vm_cpu(m->vm, n);

        fprintf(m->out, "CPU %u: INTR %s, interrupts %s%s\n", n,
                cpu_requests(cpu) & REQ_INTR ? "asserted" : "low",
                cpu->eflags & EFLAGS_IF ? "on" : "off",
                cpu_requests(cpu) & REQ_NMI ? ", NMI pending" : "");
    }
    for (size_t i = 0; i < ARRAY_SIZE(chips); i++)
        print_devices(m, chips[i], strlen(chips[i]));
    return true;
}

static void print_bar(FILE *out, const struct pci_func *f, unsigned n)
{
    const struct pci_bar *b = &f->bar[n];

    if (!b->size)
        return;
    if (n == PCI_BAR_ROM)
        fprintf(out, "    ROM ");
    else
        fprintf(out, "    BAR%u", n);
    fprintf(out, " %s, %#" PRIx64 " bytes%s%s, ", b->type & PCI_BAR_IO ? "ports" : "memory",
            b->size, b->type & PCI_BAR_64 ? ", 64-bit" : "",
            b->type & PCI_BAR_PREFETCH ? ", prefetchable" : "");
    if (b->mapped)
        fprintf(out, "at %#" PRIx64 "\n", b->base);
    else
        fprintf(out, "not mapped\n");
}

bool info_pci(struct monitor *m, const char *args, struct err *e)
{
    const struct pci_bus *bus = vm_pci(m->vm);

    if (!monitor_no_more(args, e))
        return false;
    for (unsigned n = 0; bus && n < 256; n++) {
        const struct pci_func *f = bus->func[n];

        if (!f)
            continue;
        fprintf(m->out, "%02x.%x %04x:%04x class %04x %s", n >> 3, n & 7, ld_le16(f->config),
                ld_le16(f->config + 2), ld_le16(f->config + PCI_CLASS_DEVICE), f->dev.cls->name);
        if (f->config[PCI_INTERRUPT_PIN])
            fprintf(m->out, ", INT%c# line %u%s", 'A' + f->config[PCI_INTERRUPT_PIN] - 1,
                    f->config[PCI_INTERRUPT_LINE], f->intx ? " asserted" : "");
        fputc('\n', m->out);
        for (unsigned bar = 0; bar < PCI_BARS; bar++)
            print_bar(m->out, f, bar);
    }
    return true;
}

bool info_timers(struct monitor *m, const char *args, struct err *e)
{
    const struct clock *c = vm_clock(m->vm);
    u64 now = clock_now_ns(vm_clock(m->vm));

    if (!monitor_no_more(args, e))
        return false;
    fprintf(m->out, "%llu.%09llu s of the guest's time%s\n", now / NS_PER_SEC, now % NS_PER_SEC,
            c->mode == CLOCK_ICOUNT ? ", one instruction is a nanosecond" : "");
    for (const struct timer *t = c->queue; t; t = t->next)
        if (t->deadline_ns != CLOCK_NEVER)
            fprintf(m->out, "a deadline in %" PRId64 " us\n", (s64)(t->deadline_ns - now) / 1000);
    return true;
}

/* ---- engines, personality, counters ---------------------------------------------------------- */

bool info_jit(struct monitor *m, const char *args, struct err *e)
{
    struct vm_fact facts[VM_FACTS_MAX];

    if (!monitor_no_more(args, e))
        return false;
    unsigned n = vm_engine_facts(m->vm, facts);
    for (unsigned i = 0; i < n; i++)
        fprintf(m->out, "%-22s %14.6g  %s\n", facts[i].name, facts[i].value, facts[i].doc);
    return true;
}

#define PERF_SECONDS_MAX 60u

bool info_perf(struct monitor *m, const char *args, struct err *e)
{
    struct vm_share share[VM_SHARES_MAX];
    u64 seconds = 1;

    if (*args && !monitor_only_value(m, args, &seconds, e))
        return false;
    if (!seconds || seconds > PERF_SECONDS_MAX)
        return err_usage(e, "seconds are from 1 to %u", PERF_SECONDS_MAX);
    if (!vm_perf_begin(m->vm, e))
        return false;
    bool ran = debugger_run_for(m->d, seconds * NS_PER_SEC);
    unsigned n = vm_perf_end(m->vm, share);
    if (!ran) {
        err_usage(e, "the guest stands still, and takes no time");
        return err_hint(e, "ask while it runs: 'cont'");
    }
    for (unsigned i = 0; i < n; i++)
        fprintf(m->out, "%-16s %5.1f %%  %s\n", share[i].name, share[i].percent, share[i].doc);
    return true;
}

bool info_pv(struct monitor *m, const char *args, struct err *e)
{
    const char *name, *doc;
    bool on;
    u64 count;

    if (!monitor_no_more(args, e))
        return false;
    fprintf(m->out, "personality %s\n", vm_pv_name(m->vm));
    for (unsigned i = 0; vm_pv_feature(m->vm, i, &name, &doc, &on, &count); i++)
        fprintf(m->out, "%-18s %-3s used %" PRIu64 " times: %s\n", name, on ? "on" : "off", count,
                doc);
    return true;
}

bool info_stats(struct monitor *m, const char *args, struct err *e)
{
    if (!monitor_no_more(args, e))
        return false;
    fprintf(m->out, "%" PRIu64 " instructions\n", vm_icount(m->vm));
    report_classes(vm_stats(m->vm), m->out);
    return true;
}

bool info_quirks(struct monitor *m, const char *args, struct err *e)
{
    static const char *const kinds[QUIRK_KINDS] = {"port", "memory", "MSR", "opcode"};
    struct quirks all;

    if (!monitor_no_more(args, e))
        return false;
    vm_quirks(m->vm, &all);
    for (unsigned i = 0; i < all.count; i++)
        fprintf(m->out, "%-6s %#" PRIx64 ", %" PRIu64 " time%s\n", kinds[all.q[i].kind], all.q[i].nr,
                all.q[i].count, all.q[i].count == 1 ? "" : "s");
    if (all.lost)
        fprintf(m->out, "and %" PRIu64 " touches of others\n", all.lost);
    if (!all.count)
        fprintf(m->out, "nothing\n");
    return true;
}

#define BLOCKS_SHOWN 200u

struct block_list {
    FILE *out;
    gpa_t page; /* ~0: all */
    unsigned count;
};

static void print_block(void *opaque, const struct block *b)
{
    struct block_list *l = opaque;

    if (l->page != ~0ull && (b->gpa & PAGE_MASK) != l->page)
        return;
    if (l->count++ < BLOCKS_SHOWN)
        fprintf(l->out, "%012" PRIx64 " %2u instructions, %3u bytes, %s-bit, CPL %s%s%s\n", b->gpa, b->count,
                b->bytes, b->key & KEY_CODE64 ? "64" : b->key & KEY_CODE32 ? "32" : "16",
                b->key & KEY_CPL3    ? "3"
                : b->key & KEY_CPL12 ? "1 or 2"
                                     : "0",
                b->jit ? ", translated" : "", b->tapped_fn ? ", breakpoint" : "");
}

bool info_blocks(struct monitor *m, const char *args, struct err *e)
{
    struct block_list l = {.out = m->out, .page = ~0ull};
    u64 va;

    if (*args) {
        if (!monitor_only_value(m, args, &va, e))
            return false;
        if (!debug_translate(monitor_cpu(m), va, &l.page))
            return err_usage(e, "%#" PRIx64 " is not mapped", va);
        l.page &= PAGE_MASK;
    }
    block_visit(monitor_cpu(m), print_block, &l);
    fprintf(m->out, "%u blocks%s\n", l.count, l.count > BLOCKS_SHOWN ? ", of which the first are shown" : "");
    return true;
}

bool cmd_trace(struct monitor *m, const char *args, struct err *e)
{
    const char *word, *state;
    size_t len = monitor_word(&args, &word), state_len = monitor_word(&args, &state);
    char pattern[64];
    bool ok;

    if (!len) {
        trace_help(m->out);
        return true;
    }
    snprintf(pattern, sizeof pattern, "%.*s", (int)len, word);
    if (state_len == 3 && !strncmp(state, "off", 3))
        ok = trace_disable(pattern, e);
    else if (state_len && (state_len != 2 || strncmp(state, "on", 2)))
        ok = err_usage(e, "on or off?");
    else
        ok = trace_enable(pattern, e);
    vm_traces_changed(m->vm);
    return ok;
}

bool cmd_log(struct monitor *m, const char *args, struct err *e)
{
    (void)m;
    return *args ? trace_set_file(args, e) : err_usage(e, "a file is missing");
}

/* ---- keys and the screen --------------------------------------------------------------------- */

bool monitor_key(const char *name, size_t len, u8 *usage)
{
    static const struct {
        const char *name;
        u8 usage;
    } keys[] = {
        {"ret", 0x28},       {"enter", 0x28},  {"esc", 0x29},     {"backspace", 0x2a},
        {"tab", 0x2b},       {"spc", 0x2c},    {"space", 0x2c},   {"minus", 0x2d},
        {"equal", 0x2e},     {"comma", 0x36},  {"dot", 0x37},     {"slash", 0x38},
        {"caps_lock", 0x39}, {"f1", 0x3a},     {"f2", 0x3b},      {"f3", 0x3c},
        {"f4", 0x3d},        {"f5", 0x3e},     {"f6", 0x3f},      {"f7", 0x40},
        {"f8", 0x41},        {"f9", 0x42},     {"f10", 0x43},     {"f11", 0x44},
        {"f12", 0x45},       {"print", 0x46},  {"sysrq", 0x46},   {"insert", 0x49},
        {"home", 0x4a},      {"pgup", 0x4b},   {"delete", 0x4c},  {"end", 0x4d},
        {"pgdn", 0x4e},      {"right", 0x4f},  {"left", 0x50},    {"down", 0x51},
        {"up", 0x52},        {"ctrl", 0xe0},   {"shift", 0xe1},   {"alt", 0xe2},
        {"meta_l", 0xe3},    {"ctrl_r", 0xe4}, {"shift_r", 0xe5}, {"alt_r", 0xe6},
    };
    struct key k;

    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        if (strlen(keys[i].name) == len && !strncmp(keys[i].name, name, len)) {
            *usage = keys[i].usage;
            return true;
        }
    if (len != 1 || !key_of_character((u8)*name, &k))
        return false;
    *usage = k.usage;
    return true;
}

#define KEYS_MAX 8u

bool cmd_sendkey(struct monitor *m, const char *args, struct err *e)
{
    u8 usage[KEYS_MAX];
    unsigned n = 0;

    while (*args) {
        size_t len = strcspn(args, "-");

        if (n == KEYS_MAX)
            return err_usage(e, "at most %u keys", KEYS_MAX);
        if (!monitor_key(args, len, &usage[n++]))
            return err_usage(e, "no key has the name '%.*s'", (int)len, args);
        args += len + (args[len] == '-');
    }
    if (!n)
        return err_usage(e, "which key?");
    for (unsigned i = 0; i < n; i++)
        vm_key(m->vm, usage[i], true);
    while (n--)
        vm_key(m->vm, usage[n], false);
    return true;
}

/* A number that may have a sign. */
static bool signed_value(struct monitor *m, const char **p, int *v, struct err *e)
{
    bool minus = monitor_char(p, '-');
    u64 n;

    if (!isdigit((unsigned char)**p))
        return err_usage(e, "a number is missing");
    (void)m;
    char *end;
    n = strtoul(*p, &end, 10);
    *p = end;
    monitor_char(p, ' ');
    if (n > 10000)
        return err_usage(e, "at most 10000");
    *v = minus ? -(int)n : (int)n;
    return true;
}

bool cmd_mouse(struct monitor *m, const char *args, struct err *e)
{
    int dx, dy, buttons = 0;

    if (!signed_value(m, &args, &dx, e) || !signed_value(m, &args, &dy, e) ||
        (*args && !signed_value(m, &args, &buttons, e)) || !monitor_no_more(args, e))
        return false;
    vm_mouse(m->vm, dx, dy, 0, (unsigned)buttons & 7);
    return true;
}

bool cmd_screendump(struct monitor *m, const char *args, struct err *e)
{
    if (!*args)
        return err_usage(e, "a file is missing");
    if (!vm_display(m->vm))
        return err_usage(e, "the machine has no display adapter");
    return screen_dump(vm_display(m->vm), args, e);
}

/* ---- drives ---------------------------------------------------------------------------------- */

bool info_block(struct monitor *m, const char *args, struct err *e)
{
    if (!monitor_no_more(args, e))
        return false;
    for (const struct drive *d = vm_drives(m->vm)->first; d; d = d->next) {
        fprintf(m->out, "%-12s ", d->id);
        if (!drive_has_medium(d)) {
            fprintf(m->out, "no medium\n");
            continue;
        }
        fprintf(m->out, "%s: %s, %" PRIu64 " bytes%s\n", d->path ? d->path : "?",
                d->image->format->name, drive_bytes(d), drive_readonly(d) ? ", read-only" : "");
    }
    return true;
}

static struct drive *drive_of(struct monitor *m, const char **p, struct err *e)
{
    const char *word;
    size_t len = monitor_word(p, &word);
    char id[64];
    struct drive *d;

    snprintf(id, sizeof id, "%.*s", (int)len, word);
    d = drives_find(vm_drives(m->vm), id);
    if (!d) {
        err_usage(e, "no drive has the name '%s'", id);
        err_hint(e, "'info block' lists them");
    }
    return d;
}

bool cmd_eject(struct monitor *m, const char *args, struct err *e)
{
    struct drive *d = drive_of(m, &args, e);

    return d && monitor_no_more(args, e) && drive_change(d, NULL, e);
}

bool cmd_change(struct monitor *m, const char *args, struct err *e)
{
    struct drive *d = drive_of(m, &args, e);
    struct image_options o = {.path = args};

    if (!d)
        return false;
    if (!*args)
        return err_usage(e, "a file is missing");
    return drive_change(d, &o, e);
}

/* ---- the machine ----------------------------------------------------------------------------- */

bool cmd_nmi(struct monitor *m, const char *args, struct err *e)
{
    if (!monitor_no_more(args, e))
        return false;
    cpu_request(monitor_cpu(m), REQ_NMI);
    return true;
}

bool cmd_reset(struct monitor *m, const char *args, struct err *e)
{
    if (!monitor_no_more(args, e))
        return false;
    m->d->dead = false;
    vm_reset(m->vm);
    return true;
}

bool cmd_powerdown(struct monitor *m, const char *args, struct err *e)
{
    if (!monitor_no_more(args, e))
        return false;
    return vm_powerdown(m->vm) || err_usage(e, "nobody listens to the power button");
}
