/* sampler.c: see sampler.h. POSIX timers on a thread's CPU clock: timer_create(2), SIGEV_THREAD_ID.
 */
#define _GNU_SOURCE
#include "base/sampler.h"

#ifdef __linux__
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

static const void *pc_of(const void *context)
{
    const ucontext_t *c = context;
#if defined(__x86_64__)
    return (const void *)(uintptr_t)c->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    return (const void *)(uintptr_t)c->uc_mcontext.pc;
#else
    (void)c;
    return NULL;
#endif
}

static void on_signal(int sig, siginfo_t *info, void *context)
{
    const struct sampler *s = info->si_value.sival_ptr;
    (void)sig;
    if (info->si_code == SI_TIMER && s)
        s->fn(s->opaque, pc_of(context), 1 + (unsigned)info->si_overrun);
}

bool sampler_begin(struct sampler *s, struct err *e)
{
    struct sigaction act = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
    struct sigevent ev = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGPROF};
    const struct itimerspec often = {.it_interval = {.tv_nsec = SAMPLE_NS},
                                     .it_value = {.tv_nsec = SAMPLE_NS}};
    sigset_t prof;
    ev.sigev_value.sival_ptr = s;
    ev.sigev_notify_thread_id = (int)syscall(SYS_gettid);
    sigemptyset(&prof);
    sigaddset(&prof, SIGPROF);
    s->runs = !sigaction(SIGPROF, &act, NULL) && !pthread_sigmask(SIG_UNBLOCK, &prof, NULL) &&
              !timer_create(CLOCK_THREAD_CPUTIME_ID, &ev, &s->timer);
    if (s->runs && timer_settime(s->timer, 0, &often, NULL))
        sampler_end(s);
    return s->runs || err_host(e, "no timer for samples: %s", strerror(errno));
}

/* The handler stays: a signal may be on its way, and would end the program without it. */
void sampler_end(struct sampler *s)
{
    if (s->runs)
        timer_delete(s->timer);
    s->runs = false;
}

#else

bool sampler_begin(struct sampler *s, struct err *e)
{
    (void)s;
    return err_host(e, "this host has no timers that sample a thread");
}

void sampler_end(struct sampler *s)
{
    (void)s;
}

#endif
