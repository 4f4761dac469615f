/* measure.c: one measured run (measure.h). */
#include "frontends/measure.h"

#include "base/host.h"
#include "devices/backend/chardev.h"
#include "frontends/child.h"
#include "frontends/report.h"
#include "frontends/until.h"

#include <string.h>

/* What a guest prints when it uses a personality. The second form is printed by the init of our own
 * RAM disk (px), because the kernel may be told to be quiet. */
static const struct {
    const char *pv, *feature; /* expected only while a feature of this prefix is on */
    const char *what;
    const char *texts[2]; /* the second may be NULL */
} evidence_rows[] = {
    {"kvm",
     "kvmclock",
     "clocksource kvm-clock",
     {"Switched to clocksource kvm-clock", "current_clocksource: kvm-clock"}},
    {"hyperv",
     "ref-tsc",
     "clocksource hyperv_clocksource_tsc_page",
     {"Switched to clocksource hyperv_clocksource_tsc_page",
      "current_clocksource: hyperv_clocksource_tsc_page"}},
    {"xen",
     "pvclock",
     "clocksource xen",
     {"Switched to clocksource xen", "current_clocksource: xen"}},
    {"vmware",
     "gethz",
     "vmware: TSC freq read from hypervisor",
     {"vmware: TSC freq read from hypervisor", NULL}},
};

static bool is_personality(const char *spec, const char *name)
{
    size_t len = strlen(name);

    return !strncmp(spec, name, len) && (!spec[len] || spec[len] == ',');
}

static int evidence_of(const char *pv)
{
    for (unsigned i = 0; i < ARRAY_SIZE(evidence_rows); i++)
        if (is_personality(pv, evidence_rows[i].pv))
            return (int)i;
    return -1;
}

/* ---- in the child ---------------------------------------------------------------------------- */

struct watcher {
    struct vm *vm;
    struct measured *m;
    struct until until, evidence[2];
    bool has_until, has_evidence;
    size_t line; /* bytes in m->last_line */
    bool line_ended;
    struct measured_phase *open; /* NULL: none */
    struct measured_phase began; /* what there was when it began */
};

/* ---- phases ---------------------------------------------------------------------------------- */

#define PHASE_BEGIN "PARALLAX-BEGIN "
#define PHASE_END "PARALLAX-END "

static void take_totals(struct watcher *w, struct measured_phase *p)
{
    p->wall_ns = host_now_ns();
    p->cpu_ns = host_cpu_ns();
    p->insns = vm_icount(w->vm);
    p->stats = *vm_stats(w->vm);
}

static void begin_phase(struct watcher *w, const char *name)
{
    struct measured *m = w->m;
    unsigned n = 0;

    while (n < m->phase_count && strcmp(m->phase[n].name, name))
        n++;
    if (n == MEASURE_PHASES)
        return;
    if (n == m->phase_count) {
        snprintf(m->phase[n].name, sizeof m->phase[n].name, "%.31s", name);
        m->phase_count++;
    }
    w->open = &m->phase[n];
    take_totals(w, &w->began);
}

static void end_phase(struct watcher *w, const char *name)
{
    struct measured_phase now, *p = w->open;

    if (!p || strncmp(p->name, name, sizeof p->name - 1))
        return;
    take_totals(w, &now);
    p->times++;
    p->wall_ns += now.wall_ns - w->began.wall_ns;
    p->cpu_ns += now.cpu_ns - w->began.cpu_ns;
    p->insns += now.insns - w->began.insns;
    stats_add(&p->stats, &now.stats);
    stats_subtract(&p->stats, &w->began.stats);
    w->open = NULL;
}

static void line_is_whole(struct watcher *w, const char *line)
{
    if (!strncmp(line, PHASE_BEGIN, strlen(PHASE_BEGIN)))
        begin_phase(w, line + strlen(PHASE_BEGIN));
    else if (!strncmp(line, PHASE_END, strlen(PHASE_END)))
        end_phase(w, line + strlen(PHASE_END));
}

/* ---- the console ----------------------------------------------------------------------------- */

static void keep_line(struct watcher *w, u8 c)
{
    if (c == '\n' || c == '\r') {
        if (!w->line_ended)
            line_is_whole(w, w->m->last_line);
        w->line_ended = true;
        return;
    }
    if (w->line_ended)
        w->line = 0;
    w->line_ended = false;
    if (w->line < sizeof w->m->last_line - 1)
        w->m->last_line[w->line++] = (char)c;
    w->m->last_line[w->line] = 0;
}

static void keep_console(struct measured *m, const u8 *buf, size_t len)
{
    for (size_t i = 0; i < len && m->console_len < sizeof m->console; i++)
        m->console[m->console_len++] = (char)buf[i];
}

static void tap(void *opaque, const u8 *buf, size_t len)
{
    struct watcher *w = opaque;

    keep_console(w->m, buf, len);
    for (size_t i = 0; i < len; i++)
        keep_line(w, buf[i]);
    for (unsigned i = 0; w->has_evidence && i < 2; i++)
        if (w->evidence[i].text && until_feed(&w->evidence[i], buf, len))
            w->m->evidence = true;
    if (w->has_until && !w->m->seen && until_feed(&w->until, buf, len)) {
        w->m->seen = true;
        vm_stop(w->vm);
    }
}

static void watcher_init(struct watcher *w, const struct measure_job *job, struct measured *m)
{
    int row = evidence_of(job->pv);

    *w =
        (struct watcher){.m = m, .has_until = job->config->until != NULL, .has_evidence = row >= 0};
    if (w->has_until)
        until_init(&w->until, job->config->until);
    for (unsigned i = 0; row >= 0 && i < 2 && evidence_rows[row].texts[i]; i++)
        until_init(&w->evidence[i], evidence_rows[row].texts[i]);
}

static void take_features(struct measured *m, struct vm *vm)
{
    const char *name, *doc;
    u64 used;
    bool on;

    for (unsigned i = 0; i < MEASURE_FEATURES; i++) {
        if (!vm_pv_feature(vm, i, &name, &doc, &on, &used))
            return;
        snprintf(m->features[i].name, sizeof m->features[i].name, "%s", name);
        m->features[i].on = on;
        m->features[i].used = used;
        m->feature_count = i + 1;
    }
}

static void run_vm(struct measured *m, struct vm *vm, u64 timeout_ns)
{
    u64 wall = host_now_ns(), cpu = host_cpu_ns();

    m->why = vm_run(vm, timeout_ns);
    m->wall_ns = host_now_ns() - wall;
    m->cpu_ns = host_cpu_ns() - cpu;
    m->exit_code = vm_exit_code(vm, m->why);
    m->insns = vm_icount(vm);
    m->rss_bytes = host_rss_bytes();
    m->stats = *vm_stats(vm);
    take_features(m, vm);
    if (m->why == VM_TRIPLE_FAULT || m->why == VM_HUNG) {
        progress_clear();
        vm_explain_stop(vm, m->why, stderr);
    }
}

/* Disks change their bus, and keep their order. CD-ROMs and floppies stay what they are. */
static void choose_devices(struct vm_config *cfg, enum devices devices, struct vm_drive *drives)
{
    for (unsigned i = 0; i < cfg->drive_count; i++) {
        drives[i] = cfg->drives[i];
        if (drives[i].media != MEDIA_DISK ||
            (drives[i].bus != VM_DRIVE_IDE && drives[i].bus != VM_DRIVE_VIRTIO))
            continue;
        drives[i].bus = devices == DEVICES_VIRTIO ? VM_DRIVE_VIRTIO : VM_DRIVE_IDE;
        drives[i].index = -1;
    }
    cfg->drives = drives;
}

static void configure(const struct measure_job *job, struct vm_config *cfg, struct vm_drive *drives)
{
    *cfg = job->config->vm;
    cfg->pv = job->pv;
    if (job->accel)
        cfg->accel = job->accel;
    if (job->exact)
        cfg->icount = true;
    if (job->devices != DEVICES_AS_GIVEN)
        choose_devices(cfg, job->devices, drives);
}

static void run_in_child(const void *arg, void *result)
{
    const struct measure_job *job = arg;
    struct measured *m = result;
    struct chardev *console = chardev_open("null", &m->err);
    struct chardev *port_e9 = chardev_open("null", &m->err);
    struct vm_drive drives[MAX_DRIVES];
    struct vm_config cfg;
    struct watcher w;
    struct vm *vm;

    if (!console || !port_e9)
        return;
    watcher_init(&w, job, m);
    configure(job, &cfg, drives);
    cfg.serial = console;
    cfg.debugcon = port_e9;
    vm = vm_create(&cfg, &m->err);
    if (!vm)
        return;
    w.vm = vm;
    console->tap = port_e9->tap = tap;
    console->tap_opaque = port_e9->tap_opaque = &w;
    if (job->only_create)
        take_features(m, vm);
    else
        run_vm(m, vm, job->config->timeout_ns);
    vm_destroy(vm);
    chardev_close(console);
    chardev_close(port_e9);
}

/* ---- in the parent --------------------------------------------------------------------------- */

bool measure_run(const struct measure_job *job, struct measured *m, struct err *e)
{
    struct child_job child = {
        .run = run_in_child,
        .arg = job,
        .result = m,
        .size = sizeof *m,
        .tick = job->tick,
        .opaque = job->opaque,
    };

    if (!child_run(&child, e))
        return false;
    if (m->err.exit_code) {
        if (e)
            *e = m->err;
        return false;
    }
    return true;
}

static bool check_end(const struct measure_job *job, const struct measured *m, struct err *e)
{
    const struct config *c = job->config;
    bool failed = true;

    if (m->seen)
        return true;
    if (m->why == VM_TIMEOUT) {
        err_host(e, "%s: not done after %g s; its last line: '%s'", job->pv,
                 (double)c->timeout_ns / 1e9, m->last_line);
        err_hint(e, "give it more with -timeout, or an earlier text with -until");
    } else if (m->why == VM_TRIPLE_FAULT) {
        err_host(e, "%s: the guest triple-faulted; its last line: '%s'", job->pv, m->last_line);
    } else if (m->why == VM_NO_THREADS) {
        err_host(e, "%s: the host gives no thread to every CPU", job->pv);
    } else if (m->why == VM_HUNG) {
        err_host(e, "%s: the guest halted for good; its last line: '%s'", job->pv, m->last_line);
    } else if (c->until) {
        err_host(e, "%s: the guest ended without printing '%s'; its last line: '%s'", job->pv,
                 c->until, m->last_line);
    } else {
        failed = false;
    }
    if (failed && e)
        e->exit_code = m->exit_code ? m->exit_code : 1;
    return !failed;
}

static bool missing(const char *pv, const char *what, struct err *e)
{
    err_host(e, "%s: no evidence that the guest used it: %s", pv, what);
    err_hint(e, "does the guest support it (Linux: CONFIG_KVM_GUEST, CONFIG_HYPERV), and does -until "
                "let it run far enough?");
    if (e)
        e->exit_code = 1;
    return false;
}

static bool check_evidence(const struct measure_job *job, const struct measured *m, struct err *e)
{
    int row = evidence_of(job->pv);
    bool expect_text = false;
    char what[128];
    u64 used = 0;

    if (row < 0)
        return true;
    for (unsigned i = 0; i < m->feature_count; i++) {
        const char *prefix = evidence_rows[row].feature;

        used += m->features[i].used;
        if (m->features[i].on && !strncmp(m->features[i].name, prefix, strlen(prefix)))
            expect_text = true;
    }
    if (!used)
        return missing(job->pv, "all its counters are zero", e);
    if (!expect_text || m->evidence)
        return true;
    snprintf(what, sizeof what, "it did not report %s", evidence_rows[row].what);
    return missing(job->pv, what, e);
}

bool measure_check(const struct measure_job *job, const struct measured *m, struct err *e)
{
    return check_end(job, m, e) && (job->no_evidence || check_evidence(job, m, e));
}
