/*
 * demo.c: `parallax` alone: runs the embedded guest under `none` and `kvm` and prints nanoseconds and
 * guest instructions of every sensitive operation, side by side.
 *
 * The guest writes lines to port 0xE9, of which these matter here (bios/guest/README.md has all):
 *     begin NAME                      ticks below: of its TSC of 1 GHz, so nanoseconds
 *     row NAME ITERATIONS TICKS       from the fastest of ten batches
 *     done
 *     error TEXT
 * Instructions are counted here, from the end of the first line to the start of the second. What
 * the loop itself costs is the row `empty_loop` and stays in: it is the same on both sides.
 */
#include "frontends/demo.h"

#include "base/host.h"
#include "devices/backend/chardev.h"
#include "frontends/child.h"
#include "frontends/config.h"
#include "frontends/report.h"

#include <inttypes.h>
#include <string.h>

#define MAX_ROWS 64
#define DEMO_LIMIT_NS (60 * NS_PER_SEC)
#define MAX_ROUNDS 5
#define ROUNDS_NS (4 * NS_PER_SEC) /* no further round that would end later */

static const char *const sides[] = {"none", "kvm"};
#define SIDES ARRAY_SIZE(sides)

struct row {
    char name[32];
    u64 iterations, ticks, insns;
};

struct demo {
    struct err err;
    enum vm_stop why;
    bool done;
    u64 wall_ns, insns;
    unsigned rounds;
    char error[96]; /* an exception that the guest did not expect */
    unsigned count;
    struct row rows[MAX_ROWS];
};

/* ---- in the child ---------------------------------------------------------------------------- */

struct reader {
    struct vm *vm;
    struct demo *demo;
    u64 line_insns, begin_insns; /* guest instructions at the start of the line, of the row */
    char line[128];
    size_t len;
};

static void take_line(struct reader *r)
{
    struct demo *d = r->demo;
    struct row row = {0};

    if (!strncmp(r->line, "begin ", 6))
        r->begin_insns = vm_icount(r->vm);
    else if (!strncmp(r->line, "error ", 6))
        snprintf(d->error, sizeof d->error, "%s", r->line + 6);
    else if (!strcmp(r->line, "done"))
        d->done = true;
    else if (d->count < MAX_ROWS && sscanf(r->line, "row %31s %" SCNu64 " %" SCNu64, row.name,
                                           &row.iterations, &row.ticks) == 3 && row.iterations) {
        row.insns = r->line_insns - r->begin_insns;
        d->rows[d->count++] = row;
    }
}

static void tap(void *opaque, const u8 *buf, size_t len)
{
    struct reader *r = opaque;

    for (size_t i = 0; i < len; i++) {
        if (!r->len)
            r->line_insns = vm_icount(r->vm);
        if (buf[i] == '\n') {
            r->line[r->len] = 0;
            take_line(r);
            r->len = 0;
        } else if (r->len < sizeof r->line - 1) {
            r->line[r->len++] = (char)buf[i];
        }
    }
}

static void run_in_child(const void *arg, void *result)
{
    struct vm_config cfg = *(const struct vm_config *)arg;
    struct demo *d = result;
    struct reader r = {.demo = d};
    struct chardev *console = chardev_open("null", &d->err);
    u64 start;

    if (!console)
        return;
    cfg.debugcon = console;
    r.vm = vm_create(&cfg, &d->err);
    if (!r.vm)
        return;
    console->tap = tap;
    console->tap_opaque = &r;
    start = host_now_ns();
    d->why = vm_run(r.vm, DEMO_LIMIT_NS);
    d->wall_ns = host_now_ns() - start;
    d->insns = vm_icount(r.vm);
    if (!d->done) {
        progress_clear();
        vm_explain_stop(r.vm, d->why, stderr);
    }
    vm_destroy(r.vm);
    chardev_close(console);
}

/* ---- in the parent --------------------------------------------------------------------------- */

static void tick(void *opaque, u64 elapsed_ns)
{
    progress_show("measuring under %s: %.1f s", (const char *)opaque, (double)elapsed_ns / 1e9);
}

static bool run_side(const struct vm_config *base, const char *pv, struct demo *d, struct err *e)
{
    struct vm_config cfg = *base;
    struct child_job job = {
        .run = run_in_child,
        .arg = &cfg,
        .result = d,
        .size = sizeof *d,
        .tick = tick,
        .opaque = (void *)(uintptr_t)pv,
    };
    bool ok;

    cfg.pv = pv;
    tick(job.opaque, 0);
    ok = child_run(&job, e);
    progress_clear();
    if (!ok)
        return false;
    if (d->err.exit_code) {
        *e = d->err;
        return false;
    }
    d->rounds = 1;
    if (!d->done)
        return err_host(e, "the embedded guest did not finish under %s%s%s", pv,
                        d->error[0] ? ": " : "", d->error);
    return true;
}

static struct row *find_row(struct demo *d, const char *name)
{
    for (unsigned i = 0; i < d->count; i++)
        if (!strcmp(d->rows[i].name, name))
            return &d->rows[i];
    return NULL;
}

/* Other work on the host only ever adds time: the least of several runs is nearest to the truth. */
static void keep_least(struct demo *best, struct demo *next)
{
    for (unsigned i = 0; i < best->count; i++) {
        const struct row *r = find_row(next, best->rows[i].name);

        if (r && r->ticks < best->rows[i].ticks)
            best->rows[i] = *r;
    }
    best->rounds++;
    best->wall_ns += next->wall_ns;
    best->insns += next->insns;
}

/* Interleaved, so that a host that slows down does so for both; as often as there is time for. */
static bool run_rounds(const struct vm_config *base, struct demo d[SIDES], struct err *e)
{
    u64 start = host_now_ns(), round_ns = 0;

    for (unsigned round = 0; round < MAX_ROUNDS; round++) {
        if (round && host_now_ns() - start + round_ns > ROUNDS_NS)
            break;
        round_ns = host_now_ns();
        for (unsigned i = 0; i < SIDES; i++) {
            struct demo next = {0};

            if (!run_side(base, sides[i], round ? &next : &d[i], e))
                return false;
            if (round)
                keep_least(&d[i], &next);
        }
        round_ns = host_now_ns() - round_ns;
    }
    return true;
}

static double ns_each(const struct row *r)
{
    return (double)r->ticks / (double)r->iterations;
}

static double insns_each(const struct row *r)
{
    return (double)r->insns / (double)r->iterations;
}

static void fill(char *buf, size_t size, double v)
{
    snprintf(buf, size, "%.*f", v < 99.95 ? 1 : 0, v);
}

static void print_row(struct table *t, const struct row *full, const struct row *para)
{
    char text[5][24] = {"", "", "", "", ""};

    fill(text[0], sizeof text[0], ns_each(full));
    fill(text[2], sizeof text[2], insns_each(full));
    if (para) {
        fill(text[1], sizeof text[1], ns_each(para));
        fill(text[3], sizeof text[3], insns_each(para));
        if (ns_each(full) > 0)
            snprintf(text[4], sizeof text[4], "%.2fx", ns_each(para) / ns_each(full));
    }
    table_row(t, (const char *[]){full->name, text[0], text[1], text[4], text[2], text[3]});
}

static void print_table(struct demo d[SIDES], FILE *out)
{
    struct table t;
    char a[16], b[16];

    fprintf(out, "One guest, every sensitive operation, in full (none) and paravirtualized (kvm):\n\n");
    table_init(&t, 6);
    table_row(&t, (const char *[]){"per operation", "none ns", "kvm ns", "ratio", "none insns",
                                   "kvm insns"});
    table_rule(&t);
    for (unsigned i = 0; i < d[0].count; i++)
        print_row(&t, &d[0].rows[i], find_row(&d[1], d[0].rows[i].name));
    table_print(&t, out);
    table_free(&t);
    fprintf(out, "\nTimes are the least of %u rounds of ten batches. %s instructions in %s;\n"
                 "'parallax help' says how to run your own guest.\n",
            d[0].rounds, report_number(a, (double)(d[0].insns + d[1].insns)),
            report_ns(b, (double)(d[0].wall_ns + d[1].wall_ns)));
}

static bool write_json(const struct demo d[SIDES], const char *path, int argc, char **argv, struct err *e)
{
    struct json j;
    bool ok;

    json_init(&j);
    json_object(&j, NULL);
    report_json_header(&j, argc, argv);
    json_array(&j, "personalities");
    for (unsigned s = 0; s < SIDES; s++) {
        json_object(&j, NULL);
        json_string(&j, "personality", sides[s]);
        json_u64(&j, "wall_ns", d[s].wall_ns);
        json_u64(&j, "guest_instructions", d[s].insns);
        json_array(&j, "rows");
        for (unsigned i = 0; i < d[s].count; i++) {
            json_object(&j, NULL);
            json_string(&j, "name", d[s].rows[i].name);
            json_u64(&j, "iterations", d[s].rows[i].iterations);
            json_double(&j, "ns", ns_each(&d[s].rows[i]));
            json_double(&j, "instructions", insns_each(&d[s].rows[i]));
            json_end(&j);
        }
        json_end(&j);
        json_end(&j);
    }
    json_end(&j);
    json_end(&j);
    ok = report_write_json(path, &j, e);
    json_free(&j);
    return ok;
}

static bool run_demo(const struct options *o, int argc, char **argv, struct err *e)
{
    struct demo d[SIDES] = {0};
    struct config c;

    if (!config_from_options(&c, o, e))
        return false;
    if (o->given[OPT_JSON] && !report_check_writable(o->value[OPT_JSON], e))
        return false;
    if (!run_rounds(&c.vm, d, e))
        return false;
    print_table(d, stdout);
    return !o->given[OPT_JSON] || write_json(d, o->value[OPT_JSON], argc, argv, e);
}

int demo_command(const struct options *o, int argc, char **argv)
{
    struct err e = {0};

    if (run_demo(o, argc, argv, &e))
        return EXIT_OK;
    err_print(&e);
    return e.exit_code;
}
