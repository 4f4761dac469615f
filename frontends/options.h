/*
 * options.h: the command line: one table (options.def) for parsing, help, man page and completion.
 * Single and double dashes are the same; `-name value` and `-name=value` are.
 *
 * Not here: what the values mean together (config.h).
 */
#pragma once

#include "base/err.h"
#include "base/types.h"
#include <stdio.h>

enum opt {
#define OPT(id, name, argument, commands, group, help) OPT_##id,
#include "frontends/options.def"
#undef OPT
    OPT_COUNT
};

enum command {
    CMD_DEMO,
    CMD_RUN,
    CMD_COMPARE,
    CMD_VERSION,
    CMD_HELP,
    CMD_MAN,
    CMD_COMPLETION,
    CMD_BUNDLE,
    CMD_IMG,
    CMD_LAB
};

enum { FOR_DEMO = 1 << CMD_DEMO, FOR_RUN = 1 << CMD_RUN, FOR_COMPARE = 1 << CMD_COMPARE };
#define FOR_ALL (FOR_DEMO | FOR_RUN | FOR_COMPARE)

struct opt_row {
    const char *name, *argument;
    unsigned commands;
    const char *group, *help;
};

extern const struct opt_row opt_rows[OPT_COUNT];

#define MAX_REPEATED 64

struct options {
    enum command command;
    bool given[OPT_COUNT];
    const char *value[OPT_COUNT]; /* NULL: not given, or no argument */
    /* Every value of a repeated option, NULL-terminated. */
    const char *devices[MAX_REPEATED + 1], *traces[MAX_REPEATED + 1], *groups[MAX_REPEATED + 1],
        *drives[MAX_REPEATED + 1], *netdevs[MAX_REPEATED + 1], *nics[MAX_REPEATED + 1],
        *objects[MAX_REPEATED + 1], *chardevs[MAX_REPEATED + 1], *fsdevs[MAX_REPEATED + 1],
        *virtfs[MAX_REPEATED + 1], *option_roms[MAX_REPEATED + 1],
        *plugins[MAX_REPEATED + 1];
};

/* No argument at all is the demo; a first word that is no option is the command, `run` the default. */
bool options_parse(struct options *o, int argc, char **argv, struct err *e);

/* Values. Each names the option in its error. */
bool options_size(const char *text, u64 *bytes, struct err *e);         /* -m */
bool options_disk_size(const char *text, u64 *bytes, struct err *e);    /* of a new image */
bool options_u64(enum opt opt, const char *text, u64 min, u64 max, u64 *v, struct err *e);
bool options_seconds(enum opt opt, const char *text, u64 *ns, struct err *e);

const char *command_name(enum command c);
const char *command_doc(enum command c);

/* help.c */
void help_print(FILE *out, unsigned width);
void help_man(FILE *out);
void help_completion(FILE *out);
