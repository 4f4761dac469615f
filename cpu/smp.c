/* smp.c: see smp.h. */
#include "cpu/smp.h"
#include "base/host.h"

static _Thread_local struct cpu *current;

struct cpu *smp_current(void)
{
    return current;
}

void smp_set_current(struct cpu *cpu)
{
    current = cpu;
}

void smp_init(struct smp *s)
{
    *s = (struct smp){0};
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
}

void smp_destroy(struct smp *s)
{
    for (unsigned i = 0; i < s->count; i++)
        pthread_cond_destroy(&s->wake[i]);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
}

void smp_add(struct smp *s, struct cpu *cpu)
{
    BUG_ON(s->count >= SMP_MAX);
    cpu->id = (u8)s->count;
    cpu->smp = s;
    pthread_cond_init(&s->wake[s->count], NULL);
    s->cpu[s->count++] = cpu;
}

void smp_use_threads(struct smp *s)
{
    s->threads = true;
    s->crowded = s->count > host_processors();
    for (unsigned i = 0; i < s->count; i++) {
        s->cpu[i]->shared = true;
        s->cpu[i]->tlb.writer = (u16)BIT(i);
        s->cpu[i]->phys->shared = true;
    }
}

/* ---- telling a CPU something ----------------------------------------------------------------- */

void smp_kick(struct cpu *cpu)
{
    struct smp *s = cpu->smp;
    __atomic_store_n(&cpu->kick, CPU_KICKED, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&s->asleep[cpu->id], __ATOMIC_SEQ_CST)) {
        pthread_mutex_lock(&s->lock);
        pthread_cond_signal(&s->wake[cpu->id]);
        pthread_mutex_unlock(&s->lock);
    }
}

/* Those that sleep are outside. */
static void kick_all(struct smp *s)
{
    for (unsigned i = 0; i < s->count; i++) {
        struct cpu *cpu = s->cpu[i];
        if (cpu == current || s->asleep[i])
            continue;
        __atomic_fetch_or(&cpu->req, REQ_EXIT, __ATOMIC_SEQ_CST);
        __atomic_store_n(&cpu->kick, CPU_KICKED, __ATOMIC_SEQ_CST);
    }
}

static void wake_all(struct smp *s)
{
    for (unsigned i = 0; i < s->count; i++)
        pthread_cond_signal(&s->wake[i]);
}

void smp_sleep(struct cpu *cpu, bool (*can_run)(const struct cpu *cpu))
{
    struct smp *s = cpu->smp;
    pthread_mutex_lock(&s->lock);
    __atomic_store_n(&s->asleep[cpu->id], true, __ATOMIC_SEQ_CST);
    s->hopeless[cpu->id] = cpu->wait_sipi || !(cpu->eflags & EFLAGS_IF || cpu->wakes_masked);
    while (!can_run(cpu) && !s->quit)
        pthread_cond_wait(&s->wake[cpu->id], &s->lock);
    __atomic_store_n(&s->asleep[cpu->id], false, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&s->lock);
}

bool smp_all_asleep(struct smp *s, bool hopeless)
{
    bool all = true;
    pthread_mutex_lock(&s->lock);
    for (unsigned n = 0; n < s->count; n++)
        all &= s->asleep[n] && (hopeless || s->hopeless[n]) && !cpu_requests(s->cpu[n]);
    pthread_mutex_unlock(&s->lock);
    return all;
}

/* ---- running and standing still -------------------------------------------------------------- */

static bool stopped_by_other(const struct smp *s)
{
    return s->stopped && !pthread_equal(s->owner, pthread_self());
}

bool smp_enter(struct cpu *cpu)
{
    struct smp *s = cpu->smp;
    pthread_mutex_lock(&s->lock);
    while ((s->stopped || s->paused) && !s->quit)
        pthread_cond_wait(&s->changed, &s->lock);
    bool go = !s->quit;
    if (go) {
        __atomic_fetch_and(&cpu->req, ~REQ_EXIT, __ATOMIC_SEQ_CST); /* kick_all did its work */
        s->inside++;
        s->running++;
        current = cpu;
    }
    pthread_mutex_unlock(&s->lock);
    return go;
}

void smp_leave(struct cpu *cpu)
{
    struct smp *s = cpu->smp;
    pthread_mutex_lock(&s->lock);
    s->inside--;
    s->running--;
    current = NULL;
    if (s->stopped || s->paused)
        pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

void smp_wait_begin(struct smp *s)
{
    if (!current)
        return;
    pthread_mutex_lock(&s->lock);
    s->running--;
    if (s->stopped)
        pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

void smp_wait_end(struct smp *s)
{
    if (!current)
        return;
    pthread_mutex_lock(&s->lock);
    while (stopped_by_other(s))
        pthread_cond_wait(&s->changed, &s->lock);
    s->running++;
    pthread_mutex_unlock(&s->lock);
}

void smp_stop(struct smp *s)
{
    if (!s || !s->threads)
        return;
    pthread_mutex_lock(&s->lock);
    if (s->stopped && pthread_equal(s->owner, pthread_self())) {
        s->depth++;
        pthread_mutex_unlock(&s->lock);
        return;
    }
    if (current) { /* whoever waits here stands still itself */
        s->running--;
        pthread_cond_broadcast(&s->changed);
    }
    while (s->stopped)
        pthread_cond_wait(&s->changed, &s->lock);
    s->stopped = true;
    s->owner = pthread_self();
    s->depth = 1;
    s->stops++;
    kick_all(s);
    while (s->running)
        pthread_cond_wait(&s->changed, &s->lock);
    pthread_mutex_unlock(&s->lock);
}

void smp_resume(struct smp *s)
{
    if (!s || !s->threads)
        return;
    pthread_mutex_lock(&s->lock);
    if (--s->depth == 0) {
        s->stopped = false;
        if (current)
            s->running++;
        pthread_cond_broadcast(&s->changed);
    }
    pthread_mutex_unlock(&s->lock);
}

void smp_code_changed(struct smp *s)
{
    if (s && s->threads)
        host_sync_code();
}

/* ---- keeping all CPUs outside ---------------------------------------------------------------- */

void smp_pause_soon(struct smp *s)
{
    pthread_mutex_lock(&s->lock);
    s->paused = true;
    kick_all(s);
    if (current)
        __atomic_fetch_or(&current->req, REQ_EXIT, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&s->lock);
}

void smp_pause(struct smp *s)
{
    pthread_mutex_lock(&s->lock);
    s->paused = true;
    kick_all(s);
    while (s->inside)
        pthread_cond_wait(&s->changed, &s->lock);
    pthread_mutex_unlock(&s->lock);
}

void smp_unpause(struct smp *s)
{
    pthread_mutex_lock(&s->lock);
    s->paused = false;
    pthread_cond_broadcast(&s->changed);
    wake_all(s); /* what they wait for may have changed: reset */
    pthread_mutex_unlock(&s->lock);
}

void smp_quit(struct smp *s)
{
    pthread_mutex_lock(&s->lock);
    s->quit = true;
    kick_all(s);
    wake_all(s);
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

void smp_restart(struct smp *s)
{
    pthread_mutex_lock(&s->lock);
    s->paused = s->quit = false;
    pthread_mutex_unlock(&s->lock);
}
