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
};

static void keep_line(struct watcher *w, u8 c)
{
    if (c == '\n' || c == '\r') {
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

static void tap(void *opaque, const u8 *buf, size_t len)
{
    struct watcher *w = opaque;

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

static void run_in_child(const void *arg, void *result)
{
    const struct measure_job *job = arg;
    struct measured *m = result;
    struct vm_config cfg = job->config->vm;
    struct chardev *console = chardev_open("null", &m->err);
    struct watcher w;
    struct vm *vm;

    if (!console)
        return;
    watcher_init(&w, job, m);
    cfg.pv = job->pv;
    cfg.serial = console;
    vm = vm_create(&cfg, &m->err);
    if (!vm)
        return;
    w.vm = vm;
    console->tap = tap;
    console->tap_opaque = &w;
    if (!job->only_create)
        run_vm(m, vm, job->config->timeout_ns);
    vm_destroy(vm);
    chardev_close(console);
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
    return check_end(job, m, e) && check_evidence(job, m, e);
}
