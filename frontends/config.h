/*
 * config.h: from options to the configuration of a VM: values, defaults, what excludes what, and
 * the words `help` of -pv, -cpu, -device, -d and -trace.
 */
#pragma once

#include "frontends/display.h"
#include "frontends/drives.h"
#include "frontends/nets.h"
#include "frontends/plugins.h"
#include "frontends/resources.h"
#include "machine/vm.h"

#define DEFAULT_RAM_BYTES (128 * MIB)
#define DEFAULT_COMPARE_TIMEOUT_NS (600 * NS_PER_SEC)

struct config {
    struct vm_config vm;  /* without streams */
    struct drive_list drives;
    struct net_list nets;
    struct resource_list resources;
    struct plugin_list plugins;
    /* -device arguments: those of -nic and -device, then those of -virtfs; NULL-terminated. */
    const char *devices[NET_MAX + MAX_REPEATED + RESOURCES_MAX + 1];
    const char *name;     /* of -name, or of the kernel's file */
    char boot_order[8];   /* what vm.boot_order points at */
    const char *until;    /* NULL: none */
    const char *screendump; /* file of the last screen; NULL: none */
    u64 timeout_ns;       /* 0: none */
    const char *serial;   /* stream of COM1; never NULL */
    const char *debugcon, *bios_debug, *xen_console; /* NULL: none */
    enum display_kind display;
    bool display_implied; /* nobody asked for it */
    const char *vnc;      /* where; NULL: no VNC */
    char *audiodev;       /* what vm.audio points into */
    bool check;           /* both engines in lockstep */
    bool paused;          /* -S */
    const char *monitor;  /* stream of the monitor; NULL: none */
    const char *qmp;      /* stream of QMP; NULL: none */
    const char *gdb;      /* stream of the gdb stub; NULL: none */
    bool perfmap; /* name translated code for perf */
    bool stats, stats_json;
    const char *stats_file; /* NULL: standard error */
};

/* True and *done when the options only ask for a list, which is printed to `out` then. */
bool config_lists(const struct options *o, FILE *out, bool *done, struct err *e);
/* Switches traces on as a side effect; strings stay owned by the options. */
bool config_from_options(struct config *c, const struct options *o, struct err *e);
/* Also after a failure. */
void config_free(struct config *c);
