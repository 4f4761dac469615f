/*
 * perf.h: `info perf`: where the host's time goes while the guest runs. Samples of the threads that
 * run guest code and serve events (base/sampler.h), only between begin and end; nothing else asks
 * anything.
 */
#pragma once

#include "base/sampler.h"
#include "machine/observe.h"
#include "machine/vm.h"

enum perf_place {
    PERF_TRANSLATED,
    PERF_HANDLERS,
    PERF_INTERPRETER,
    PERF_TRANSLATION,
    PERF_DEVICES,
    PERF_PERSONALITY,
    PERF_EVENTS,
    PERF_PLACES,
    PERF_IDLE = PERF_PLACES, /* from here on not by samples */
    PERF_WAITS,
    PERF_SHARES
};

struct perf {
    struct vm *vm;
    struct observer observer;
    bool on;
    u64 samples[PERF_PLACES];
    u64 since_ns;
    u64 idle_ns[VM_MAX_CPUS], idle_since[VM_MAX_CPUS]; /* 0: it is not */
    struct sampler events,
        thread[VM_MAX_CPUS]; /* of the thread in vm_run, of vCPUs with their own */
};

/* A vCPU's thread begins; nothing if nobody wants samples. */
void perf_thread(struct vcpu *v);
