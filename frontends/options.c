/* options.c: the parser of options.h. */
#include "frontends/options.h"

#include "base/clock.h"
#include "base/nearest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const struct opt_row opt_rows[OPT_COUNT] = {
#define OPT(id, name, argument, commands, group, help)                                             \
    [OPT_##id] = {name, argument, commands, group, help},
#include "frontends/options.def"
#undef OPT
};

static const struct {
    const char *name, *doc;
} commands[] = {
    [CMD_DEMO] = {"demo", "measure the embedded guest with and without paravirtualization"},
    [CMD_RUN] = {"run", "run a guest (the default when there are options)"},
    [CMD_COMPARE] = {"compare", "run one guest under several personalities and compare"},
    [CMD_VERSION] = {"version", "print the version"},
    [CMD_HELP] = {"help", "print this help"},
    [CMD_MAN] = {"man", "print the manual page (roff)"},
    [CMD_COMPLETION] = {"completion", "print the completion script of bash"},
    [CMD_BUNDLE] = {"bundle",
                    "compare, and pack what others need to check it: bundle FILE, then as compare"},
    [CMD_IMG] = {"img", "disk images: info FILE, create FILE SIZE, convert FROM TO, check FILE"},
    [CMD_LAB] = {"lab",
                 "exercises of a course: list them, say what number N is, or check its answer"},
};

#define COMMANDS (sizeof commands / sizeof commands[0])

const char *command_name(enum command c)
{
    return c < COMMANDS ? commands[c].name : NULL;
}

const char *command_doc(enum command c)
{
    return commands[c].doc;
}

static bool takes_argument(const struct opt_row *r)
{
    return r->argument[0] && r->argument[0] != '[';
}

static bool find_option(const char *name, size_t len, enum opt *opt)
{
    if (len == 1 && name[0] == 'h') {
        *opt = OPT_HELP;
        return true;
    }
    for (unsigned i = 0; i < OPT_COUNT; i++)
        if (strlen(opt_rows[i].name) == len && !strncmp(opt_rows[i].name, name, len)) {
            *opt = i;
            return true;
        }
    return false;
}

static bool unknown_option(const struct options *o, const char *arg, const char *name, struct err *e)
{
    const char *names[OPT_COUNT + 1];
    const char *near;
    size_t n = 0;

    for (unsigned i = 0; i < OPT_COUNT; i++)
        if (opt_rows[i].commands & 1u << o->command)
            names[n++] = opt_rows[i].name;
    names[n] = NULL;
    near = nearest(name, names);
    err_usage(e, "no such option: '%s'", arg);
    if (near)
        return err_hint(e, "did you mean '-%s'? 'parallax help' lists all", near);
    return err_hint(e, "'parallax help' lists all");
}

static bool not_for_command(const struct options *o, enum opt opt, struct err *e)
{
    err_usage(e, "'-%s' does not apply to 'parallax %s'", opt_rows[opt].name,
              command_name(o->command));
    return err_hint(e, "'parallax help' says what applies where");
}

static bool add_repeated(const char **list, const char *value, enum opt opt, struct err *e)
{
    size_t n = 0;

    while (list[n])
        n++;
    if (n == MAX_REPEATED)
        return err_usage(e, "'-%s' is given more than %d times", opt_rows[opt].name, MAX_REPEATED);
    list[n] = value;
    return true;
}

static bool set_option(struct options *o, enum opt opt, const char *value, struct err *e)
{
    const char **list = opt == OPT_DEVICE       ? o->devices
                        : opt == OPT_DRIVE      ? o->drives
                        : opt == OPT_NETDEV     ? o->netdevs
                        : opt == OPT_NIC        ? o->nics
                        : opt == OPT_OBJECT     ? o->objects
                        : opt == OPT_CHARDEV    ? o->chardevs
                        : opt == OPT_FSDEV      ? o->fsdevs
                        : opt == OPT_VIRTFS     ? o->virtfs
                        : opt == OPT_OPTION_ROM ? o->option_roms
                        : opt == OPT_PLUGIN     ? o->plugins
                        : opt == OPT_TRACE      ? o->traces
                        : opt == OPT_D          ? o->groups
                                                : NULL;

    if (o->given[opt] && !list) {
        err_usage(e, "'-%s' is given twice", opt_rows[opt].name);
        return err_hint(e, "keep one of the two");
    }
    o->given[opt] = true;
    o->value[opt] = value;
    return !list || add_repeated(list, value, opt, e);
}

/* Parses the option at argv[*i] and moves *i to its last word. */
static bool parse_option(struct options *o, int argc, char **argv, int *i, struct err *e)
{
    const char *arg = argv[*i], *name = arg + (arg[1] == '-' ? 2 : 1);
    const char *equals = strchr(name, '=');
    size_t len = equals ? (size_t)(equals - name) : strlen(name);
    const struct opt_row *row;
    enum opt opt;

    if (!find_option(name, len, &opt))
        return unknown_option(o, arg, name, e);
    row = &opt_rows[opt];
    if (!(row->commands & 1u << o->command))
        return not_for_command(o, opt, e);
    if (equals) {
        if (!row->argument[0])
            return err_usage(e, "'-%s' takes no value", row->name);
        return set_option(o, opt, equals + 1, e);
    }
    if (!takes_argument(row))
        return set_option(o, opt, NULL, e);
    if (*i + 1 >= argc) {
        err_usage(e, "'%s' needs a value", arg);
        return err_hint(e, "-%s %s: %s", row->name, row->argument, row->help);
    }
    return set_option(o, opt, argv[++*i], e);
}

static bool stray_word(const char *word, struct err *e)
{
    err_usage(e, "unexpected argument: '%s'", word);
    if (!strncmp(word, "shift=", 6))
        return err_hint(e, "-icount takes no argument here");
    return err_hint(e, "options begin with '-'; a value with spaces needs quotes; a kernel is given "
                       "with -kernel");
}

static bool parse_command(struct options *o, const char *word, struct err *e)
{
    const char *names[COMMANDS + 1];
    const char *near;

    for (unsigned i = 0; i < COMMANDS; i++) {
        if (!strcmp(commands[i].name, word)) {
            o->command = i;
            return true;
        }
        names[i] = commands[i].name;
    }
    names[COMMANDS] = NULL;
    near = nearest(word, names);
    err_usage(e, "no such command: '%s'", word);
    if (near)
        return err_hint(e, "did you mean '%s'? 'parallax help' lists all", near);
    return err_hint(e, "'parallax help' lists all; a kernel is given with -kernel");
}

bool options_parse(struct options *o, int argc, char **argv, struct err *e)
{
    int i = 1;

    *o = (struct options){.command = argc > 1 ? CMD_RUN : CMD_DEMO};
    if (argc > 1 && argv[1][0] != '-') {
        if (!parse_command(o, argv[1], e))
            return false;
        i = 2;
    }
    if (o->command == CMD_BUNDLE) { /* bundle FILE ... is compare -bundle FILE ... */
        if (argc < 3 || argv[2][0] == '-') {
            err_usage(e, "bundle: the name of the archive is missing");
            return err_hint(e, "parallax bundle FILE.tar.gz -kernel ...");
        }
        o->command = CMD_COMPARE;
        o->given[OPT_BUNDLE] = true;
        o->value[OPT_BUNDLE] = argv[2];
        i = 3;
    }
    if (o->command == CMD_IMG ||
        o->command == CMD_LAB) /* their words are their own (img.c, lab.c) */
        return true;
    if (o->command > CMD_COMPARE) /* these have no options */
        return i == argc || stray_word(argv[i], e);
    for (; i < argc; i++) {
        if (argv[i][0] != '-' || !argv[i][1])
            return stray_word(argv[i], e);
        if (!parse_option(o, argc, argv, &i, e))
            return false;
    }
    return true;
}

/* ---- values ---------------------------------------------------------------------------------- */

static bool size_error(const char *text, struct err *e)
{
    err_usage(e, "-m: '%s' is not a size", text);
    return err_hint(e, "a whole number of MiB or with a suffix K, M, G or T, from 1M to 1T: -m 512, "
                       "-m 2G");
}

static bool suffix_shift(const char *suffix, unsigned *shift)
{
    static const char letters[] = "KMGT";
    const char *at;

    *shift = 20;
    if (!*suffix)
        return true;
    at = strchr(letters, suffix[0] & ~0x20);
    *shift = at ? 10 * (unsigned)(at - letters + 1) : 0;
    return at && *at && (!suffix[1] || !strcmp(suffix + 1, "B") || !strcmp(suffix + 1, "iB"));
}

bool options_size(const char *text, u64 *bytes, struct err *e)
{
    const char *digits = strncmp(text, "size=", 5) ? text : text + 5;
    unsigned shift;
    char *end;
    u64 v;

    if (digits[0] < '0' || digits[0] > '9')
        return size_error(text, e);
    errno = 0;
    v = strtoull(digits, &end, 10);
    if (!suffix_shift(end, &shift))
        return size_error(text, e);
    if (errno || v > ~0ull >> shift || v << shift > 1024 * GIB) {
        err_usage(e, "-m: %s is more than the 1 TiB that a guest can have", text);
        return err_hint(e, "without a suffix the number means MiB");
    }
    *bytes = v << shift;
    if (*bytes < MIB || *bytes % MIB) {
        err_usage(e, "-m: %s is not a whole number of MiB of at least 1", text);
        return err_hint(e, "without a suffix the number means MiB: -m 128");
    }
    return true;
}

bool options_disk_size(const char *text, u64 *bytes, struct err *e)
{
    unsigned shift;
    char *end;
    u64 v;

    errno = 0;
    v = strtoull(text, &end, 10);
    shift = 0;
    if (text[0] < '0' || text[0] > '9' || errno || (*end && !suffix_shift(end, &shift)) ||
        v > ~0ull >> shift || (v << shift) % 512) {
        err_usage(e, "img: '%s' is not a size of an image", text);
        return err_hint(e, "bytes, a multiple of 512, or a number with a suffix K, M, G or T: 10G");
    }
    *bytes = v << shift;
    return true;
}

bool options_u64(enum opt opt, const char *text, u64 min, u64 max, u64 *v, struct err *e)
{
    char *end;

    errno = 0;
    *v = strtoull(text, &end, 0);
    if (text[0] < '0' || text[0] > '9' || *end || errno || *v < min || *v > max) {
        err_usage(e, "-%s: '%s' is not a number from %llu to %llu", opt_rows[opt].name, text,
                  (unsigned long long)min, (unsigned long long)max);
        return err_hint(e, "%s", opt_rows[opt].help);
    }
    return true;
}

bool options_seconds(enum opt opt, const char *text, u64 *ns, struct err *e)
{
    const double most = 1e9; /* some thirty years; far from the limits of u64 */
    double v;
    char *end;

    v = strtod(text, &end);
    if (strspn(text, "0123456789.") != strlen(text) || end == text || *end || v <= 0 || v > most) {
        err_usage(e, "-%s: '%s' is not a number of seconds", opt_rows[opt].name, text);
        return err_hint(e, "a number above 0, e.g. 30 or 0.5");
    }
    *ns = (u64)(v * (double)NS_PER_SEC);
    if (!*ns)
        *ns = 1;
    return true;
}
