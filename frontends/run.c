/*
 * run.c: `parallax run`: one guest, its console on the terminal, until it ends, -until or -timeout.
 */
#include "frontends/run.h"

#include "base/host.h"
#include "base/trace.h"
#include "devices/backend/chardev.h"
#include "frontends/config.h"
#include "frontends/debugger.h"
#include "frontends/display.h"
#include "frontends/gdb.h"
#include "frontends/monitor.h"
#include "frontends/qmp.h"
#include "frontends/report.h"
#include "frontends/screen.h"
#include "frontends/signals.h"
#include "frontends/until.h"
#include "machine/check.h"

#include <string.h>

#define EXIT_WITHOUT_TEXT 1 /* the guest ended and never printed the -until text */

struct run {
    struct config config;
    struct chardev *serial, *debugcon, *bios_debug, *xen_console;
    struct vm *vm;
    struct display *display, *vnc; /* NULL: none */
    struct watch {
        struct run *run;
        struct until until;
    } watch[3 + RESOURCES_MAX]; /* of COM1, port E9h, Xen's console and the streams of -chardev */
    bool seen;                  /* the -until text */
    struct debugger debugger;
    struct gdb *gdb; /* or NULL */
    struct monitor *monitor;
    struct qmp *qmp; /* or NULL */
};

static void tap(void *opaque, const u8 *buf, size_t len)
{
    struct watch *w = opaque;

    if (!w->run->seen && until_feed(&w->until, buf, len)) {
        w->run->seen = true;
        vm_stop(w->run->vm);
    }
}

#define SCREEN_LOOK_NS (30 * NS_PER_SEC / 1000)

/* A display follows the screen, and the -until text may appear on it. */
static void look_at_screen(void *opaque)
{
    struct run *r = opaque;

    if (r->display)
        r->display->refresh(r->display);
    if (r->vnc)
        r->vnc->refresh(r->vnc);
    if (!r->seen && r->config.until && screen_shows(vm_display(r->vm), r->config.until)) {
        r->seen = true;
        vm_stop(r->vm);
    }
}

static struct chardev *open_stream(const char *what, const char *spec, struct err *e)
{
    struct chardev *c = chardev_open(spec, e);

    if (c && c->where)
        fprintf(stderr, "parallax: %s is %s\n", what, c->where);
    if (c)
        c->quit = signals_quit;
    return c;
}

static void set_tap(struct run *r, unsigned n, struct chardev *c)
{
    struct watch *w = &r->watch[n];

    if (!c || !r->config.until)
        return;
    w->run = r;
    until_init(&w->until, r->config.until);
    c->tap = tap;
    c->tap_opaque = w;
}

/* Those of -chardev; `c` has their names. */
static bool open_chardevs(struct config *c, struct err *e)
{
    struct resource_list *l = &c->resources;

    for (unsigned i = 0; i < l->streams; i++)
        if (!(l->stream[i].chr = open_stream(l->stream[i].id, l->stream_spec[i], e)))
            return false;
    return true;
}

/* Does a stop of the machine mean its end? */
static bool is_over(void *opaque)
{
    const struct run *r = opaque;

    return r->seen || signals_asked();
}

static char *run_monitor(void *opaque, const char *line)
{
    return monitor_run(opaque, line);
}

static bool create_debuggers(struct run *r, struct err *e)
{
    debugger_init(&r->debugger, r->vm);
    r->debugger.over = is_over;
    r->debugger.opaque = r;
    r->monitor = monitor_create(&r->debugger);
    if (r->config.monitor && !monitor_listen(r->monitor, r->config.monitor, e))
        return false;
    monitor_share_terminal(r->monitor, r->serial);
    if (r->config.gdb) {
        r->gdb = gdb_open(&r->debugger, r->config.gdb, e);
        if (!r->gdb)
            return false;
        gdb_set_monitor(r->gdb, run_monitor, r->monitor);
    }
    if (r->config.qmp) {
        r->qmp = qmp_open(&r->debugger, r->monitor, r->config.name, r->config.qmp, e);
        if (!r->qmp)
            return false;
    }
    if (r->config.paused)
        debugger_stop(&r->debugger);
    return true;
}

/* The streams come last: the terminal turns raw only when everything else is known to be right. */
static bool create(struct run *r, struct err *e)
{
    struct config *c = &r->config;

    if (c->debugcon) {
        r->debugcon = open_stream("the stream of port 0xe9", c->debugcon, e);
        if (!r->debugcon)
            return false;
    }
    if (c->xen_console) {
        r->xen_console = open_stream("hvc0", c->xen_console, e);
        if (!r->xen_console)
            return false;
    }
    if (c->bios_debug) {
        r->bios_debug = open_stream("the stream of port 0x402", c->bios_debug, e);
        if (!r->bios_debug)
            return false;
    }
    if (!open_chardevs(c, e))
        return false;
    r->serial = open_stream("COM1", c->serial, e);
    if (!r->serial)
        return false;
    c->vm.serial = r->serial;
    c->vm.debugcon = r->debugcon;
    c->vm.bios_debug = r->bios_debug;
    c->vm.xen_console = r->xen_console;
    r->vm = vm_create(&c->vm, e);
    if (!r->vm)
        return false;
    set_tap(r, 0, r->serial);
    set_tap(r, 1, r->debugcon);
    set_tap(r, 2, r->xen_console);
    for (unsigned i = 0; i < c->resources.streams; i++)
        set_tap(r, 3 + i, c->resources.stream[i].chr);
    return true;
}

/* A window that nobody asked for is no reason to fail. */
static bool open_display(struct run *r, struct err *e)
{
    struct config *c = &r->config;
    u64 period_ns = SCREEN_LOOK_NS;

    if (c->display != DISPLAY_NONE) {
        r->display = display_open(c->display, r->vm, c->name, e);
        if (!r->display && !c->display_implied)
            return false;
        if (r->display)
            period_ns = r->display->refresh_ns;
        else
            err_print(e);
        *e = (struct err){0};
    }
    if (c->vnc) {
        r->vnc = vnc_open(r->vm, c->name, c->vnc, e);
        if (!r->vnc)
            return false;
        period_ns = r->vnc->refresh_ns;
    }
    if ((c->until || r->display || r->vnc) && vm_display(r->vm))
        vm_set_tick(r->vm, period_ns, look_at_screen, r);
    return true;
}

static void destroy(struct run *r)
{
    signals_set_vm(NULL);
    gdb_close(r->gdb);
    qmp_close(r->qmp);
    monitor_destroy(r->monitor);
    display_close(r->display);
    display_close(r->vnc);
    if (r->vm)
        vm_destroy(r->vm);
    chardev_close(r->serial);
    chardev_close(r->debugcon);
    chardev_close(r->bios_debug);
    chardev_close(r->xen_console);
    for (unsigned i = 0; i < r->config.resources.streams; i++)
        chardev_close(r->config.resources.stream[i].chr);
}

static bool report(struct run *r, u64 wall_ns, u64 cpu_ns, int argc, char **argv, struct err *e)
{
    const struct config *c = &r->config;
    struct json j;
    bool ok = true;

    if (!c->stats)
        return true;
    if (!c->stats_json) {
        report_stats(r->vm, wall_ns, cpu_ns, c->vm.icount, stderr);
        return true;
    }
    json_init(&j);
    json_object(&j, NULL);
    report_json_header(&j, argc, argv);
    json_string(&j, "name", c->name);
    report_json_vm(&j, r->vm, wall_ns, cpu_ns, c->vm.icount);
    json_end(&j);
    if (c->stats_file)
        ok = report_write_json(c->stats_file, &j, e);
    else if (j.failed)
        ok = err_host(e, "no memory for the report");
    else
        fputs(j.text, stderr);
    json_free(&j);
    return ok;
}

/* A guest that waits for something is what a time limit ends most often. */
static void explain_timeout(struct run *r)
{
    fprintf(stderr, "parallax: stopped after -timeout %g s.\n", (double)r->config.timeout_ns / 1e9);
    for (unsigned n = 0; n < vm_cpus(r->vm); n++)
        if (vm_cpu(r->vm, n)->halted)
            vm_explain_wait(r->vm, vm_cpu(r->vm, n), stderr);
}

/* Says on standard error what a person would ask next; nothing after a plain power-off. */
static int explain_end(struct run *r, enum vm_stop why)
{
    const struct config *c = &r->config;
    int sig = signals_caught();

    if (sig)
        return 128 + sig;
    if (r->seen)
        return EXIT_OK;
    if (why == VM_TRIPLE_FAULT || why == VM_HUNG || why == VM_NO_THREADS)
        vm_explain_stop(r->vm, why, stderr);
    if (why == VM_TIMEOUT)
        explain_timeout(r);
    if (c->until && (why == VM_POWEROFF || why == VM_RESET)) {
        fprintf(stderr, "parallax: the guest %s without printing the -until text.\n",
                why == VM_POWEROFF ? "powered off" : "reset");
        return EXIT_WITHOUT_TEXT;
    }
    return why == VM_STOPPED ? EXIT_OK : vm_exit_code(r->vm, why);
}

static bool stream_is_whole(const char *what, const struct chardev *c, struct err *e)
{
    if (!c || !c->lost_errno)
        return true;
    err_host(e, "%s: %s could not be written: %s", what, c->spec, strerror(c->lost_errno));
    return err_hint(e, "what the guest printed there is not complete");
}

/* Output that did not reach its file is an error, even after a run that went well. */
static bool output_is_whole(const struct run *r, struct err *e)
{
    const struct resource_list *l = &r->config.resources;

    for (unsigned i = 0; i < l->streams; i++)
        if (!stream_is_whole(l->stream[i].id, l->stream[i].chr, e))
            return false;
    return stream_is_whole("COM1", r->serial, e) &&
           stream_is_whole("the stream of port 0xe9", r->debugcon, e) &&
           stream_is_whole("the stream of hvc0", r->xen_console, e) &&
           stream_is_whole("the stream of port 0x402", r->bios_debug, e) && trace_finish(e);
}

static int run_vm(struct run *r, int argc, char **argv, struct err *e)
{
    u64 wall = host_now_ns(), cpu = host_cpu_ns();
    enum vm_stop why;
    int code;

    signals_set_vm(r->vm);
    if (!r->config.check)
        why = debugger_run(&r->debugger, r->config.timeout_ns);
    else if (!check_run(r->vm, r->config.timeout_ns, &why, stderr, e))
        return e->exit_code;
    wall = host_now_ns() - wall;
    cpu = host_cpu_ns() - cpu;
    display_close(r->display);
    display_close(r->vnc);
    r->display = r->vnc = NULL;
    chardev_restore_terminal();
    code = explain_end(r, why);
    if (r->config.screendump && !screen_dump(vm_display(r->vm), r->config.screendump, e))
        return e->exit_code;
    if (!vm_finish(r->vm, e))
        return e->exit_code;
    if (r->config.perfmap && !vm_write_perfmap(r->vm, e))
        return e->exit_code;
    if (!report(r, wall, cpu, argc, argv, e) || !output_is_whole(r, e))
        return e->exit_code;
    return code;
}

int run_command(const struct options *o, int argc, char **argv)
{
    struct run r = {0};
    struct err e = {0};
    int code = EXIT_OK;

    if (!config_from_options(&r.config, o, &e)) {
        config_free(&r.config);
        err_print(&e);
        return e.exit_code;
    }
    if (o->given[OPT_EXPLAIN]) { /* no terminal turns raw */
        r.config.serial = "null";
        for (unsigned i = 0; i < r.config.resources.streams; i++)
            r.config.resources.stream_spec[i] = "null";
    }
    if (create(&r, &e)) {
        if (o->given[OPT_EXPLAIN])
            vm_explain(r.vm, stdout);
        else if (open_display(&r, &e) && create_debuggers(&r, &e))
            code = run_vm(&r, argc, argv, &e);
    }
    destroy(&r);
    config_free(&r.config);
    if (e.exit_code) {
        err_print(&e);
        return e.exit_code;
    }
    return code;
}
