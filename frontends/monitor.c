/* monitor.c: the table of commands, and what comes from it. See monitor.h. */
#define _GNU_SOURCE /* open_memstream */
#include "frontends/monitor_impl.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SOURCE_DEPTH 8u

struct row {
    const char *name, *letter, *args;
    monitor_fn *fn;
    const char *help;
};

/* clang-format off */
static const struct row commands[] = {
#define CMD(name, letter, args, fn, help) {#name, letter, args, fn, help},
#define INFO(name, args, fn, help)
#include "frontends/monitor.def"
};
static const struct row infos[] = {
#define CMD(name, letter, args, fn, help)
#define INFO(name, args, fn, help) {#name, "", args, fn, help},
#include "frontends/monitor.def"
};
/* clang-format on */

/* ---- life ------------------------------------------------------------------------------------ */

static bool find_symbol(void *opaque, const char *name, size_t len, u64 *value)
{
    const struct monitor *m = opaque;

    return symbols_find(&m->symbols, name, len, value);
}

/* The monitor itself is a port without input: it hears of stops before its sessions do. */
static int no_fd(void *opaque)
{
    (void)opaque;
    return -1;
}

static void not_ready(void *opaque)
{
    (void)opaque;
}

static bool nobody(void *opaque)
{
    (void)opaque;
    return false;
}

static void stopped(void *opaque, enum vm_stop why, bool ended)
{
    struct monitor *m = opaque;
    char *text = NULL;
    size_t size;
    FILE *out;

    if (ended || !monitor_has_stopped(m, why) || !(out = open_memstream(&text, &size)))
        return;
    monitor_say_why(m, why, ended, out);
    fclose(out);
    monitor_tell_all(m, text);
    free(text);
}

struct monitor *monitor_create(struct debugger *d)
{
    struct monitor *m = calloc(1, sizeof *m);

    BUG_ON(!m);
    m->d = d;
    m->vm = d->vm;
    m->names = (struct expr_names){find_symbol, m};
    debugger_add(
        d,
        &(struct debugger_port){
            .fd = no_fd, .ready = not_ready, .stopped = stopped, .attached = nobody, .opaque = m});
    return m;
}

void monitor_destroy(struct monitor *m)
{
    if (!m)
        return;
    monitor_close_sessions(m);
    symbols_free(&m->symbols);
    free(m);
}

struct cpu *monitor_cpu(const struct monitor *m)
{
    return vm_cpu(m->vm, m->cpu);
}

/* ---- arguments ------------------------------------------------------------------------------- */

static const char *skip_blanks(const char *p)
{
    while (isspace((unsigned char)*p))
        p++;
    return p;
}

bool monitor_value(struct monitor *m, const char **p, u64 *v, struct err *e)
{
    struct expr *x = expr_parse_part(p, &m->names, e);
    bool ok = x && expr_eval(x, monitor_cpu(m), debug_last_stop(m->vm), v, e);

    expr_free(x);
    return ok;
}

bool monitor_only_value(struct monitor *m, const char *p, u64 *v, struct err *e)
{
    return monitor_value(m, &p, v, e) && monitor_no_more(p, e);
}

bool monitor_char(const char **p, char c)
{
    *p = skip_blanks(*p);
    if (**p != c)
        return false;
    *p = skip_blanks(*p + 1);
    return true;
}

size_t monitor_word(const char **p, const char **word)
{
    size_t len = 0;

    *word = skip_blanks(*p);
    while ((*word)[len] && !isspace((unsigned char)(*word)[len]))
        len++;
    *p = skip_blanks(*word + len);
    return len;
}

bool monitor_no_more(const char *p, struct err *e)
{
    p = skip_blanks(p);
    return !*p || err_usage(e, "not understood: '%.40s'", p);
}

/* ---- the table ------------------------------------------------------------------------------- */

/* The row that a word means: its name, its letter, or the only one that begins so. */
static const struct row *find(const struct row *rows, size_t count, const char *word, size_t len,
                              struct err *e)
{
    const struct row *found = NULL, *other = NULL;

    for (size_t i = 0; i < count; i++)
        if (!strncmp(rows[i].name, word, len) &&
            (!rows[i].name[len] || (len == 1 && *rows[i].letter)))
            return &rows[i];
    for (size_t i = 0; i < count && !other; i++)
        if (!strncmp(rows[i].name, word, len))
            *(found ? &other : &found) = &rows[i];
    if (found && !other)
        return found;
    if (found)
        err_usage(e, "'%.*s' may be '%s' or '%s'", (int)len, word, found->name, other->name);
    else
        err_usage(e, "no such command: '%.*s'", (int)(len < 40 ? len : 40), word);
    err_hint(e, "'help' lists them");
    return NULL;
}

static const struct row *find_command(const char *word, size_t len, struct err *e)
{
    return find(commands, ARRAY_SIZE(commands), word, len, e);
}

static const struct row *find_info(const char *word, size_t len, struct err *e)
{
    return find(infos, ARRAY_SIZE(infos), word, len, e);
}

bool cmd_info(struct monitor *m, const char *args, struct err *e)
{
    const char *word;
    size_t len = monitor_word(&args, &word);
    const struct row *r = len ? find_info(word, len, e) : NULL;

    if (!len) {
        err_usage(e, "show what?");
        return err_hint(e, "'help info' says what there is");
    }
    return r && r->fn(m, args, e);
}

/* ---- help ------------------------------------------------------------------------------------ */

static void print_row(FILE *out, const char *before, const struct row *r)
{
    char left[80];

    snprintf(left, sizeof left, "%s%s%s%s", before, r->name, *r->args ? " " : "", r->args);
    if (strlen(left) <= 30)
        fprintf(out, "  %-30s %s\n", left, r->help);
    else
        fprintf(out, "  %s\n  %-30s %s\n", left, "", r->help);
}

static void print_all(FILE *out, const char *before, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        print_row(out, before, &rows[i]);
}

bool cmd_help(struct monitor *m, const char *args, struct err *e)
{
    const char *word;
    size_t len = monitor_word(&args, &word);
    const struct row *r = len ? find_command(word, len, e) : NULL;

    if (!len) {
        print_all(m->out, "", commands, ARRAY_SIZE(commands));
        return true;
    }
    if (!r)
        return false;
    print_row(m->out, "", r);
    if (r->fn != cmd_info)
        return monitor_no_more(args, e);
    if (!*args) {
        print_all(m->out, "info ", infos, ARRAY_SIZE(infos));
        return true;
    }
    len = monitor_word(&args, &word);
    r = find_info(word, len, e);
    if (r)
        print_row(m->out, "info ", r);
    return r != NULL;
}

static void man_rows(FILE *out, const char *before, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        fprintf(out, ".TP\n.B %s%s\n.I %s\n\\&%s\n", before, rows[i].name, rows[i].args,
                rows[i].help);
}

void monitor_man(FILE *out)
{
    man_rows(out, "", commands, ARRAY_SIZE(commands));
    man_rows(out, "info ", infos, ARRAY_SIZE(infos));
}

char *monitor_complete(const char *line, unsigned n)
{
    const struct row *rows = commands;
    size_t count = ARRAY_SIZE(commands), len;
    const char *word;

    line = skip_blanks(line);
    len = strcspn(line, " \t");
    if (line[len]) {
        const struct row *r = find_command(line, len, NULL);

        if (!r || (r->fn != cmd_info && r->fn != cmd_help))
            return NULL;
        if (r->fn == cmd_info) {
            rows = infos;
            count = ARRAY_SIZE(infos);
        }
        line = skip_blanks(line + len);
        len = strcspn(line, " \t");
        if (line[len])
            return NULL;
    }
    word = line;
    for (size_t i = 0; i < count; i++)
        if (!strncmp(rows[i].name, word, len) && !n--)
            return strdup(rows[i].name);
    return NULL;
}

/* ---- running --------------------------------------------------------------------------------- */

static void run_line(struct monitor *m, const char *line)
{
    struct err e = {0};
    const char *word;
    char copy[MONITOR_LINE];
    size_t len;

    snprintf(copy, sizeof copy, "%s", line);
    for (len = strlen(copy); len && isspace((unsigned char)copy[len - 1]);)
        copy[--len] = 0;
    line = skip_blanks(copy);
    if (!*line || *line == '#')
        return;
    /* the format of x, xp and print may stand at the word: x/4i */
    const char *rest = line + strcspn(line, "/ \t");
    len = (size_t)(rest - line);
    rest = skip_blanks(rest);
    word = line;
    const struct row *r = find_command(word, len, &e);
    if (r && r->fn(m, rest, &e))
        return;
    fprintf(m->out, "%s\n", e.msg);
    if (e.hint[0])
        fprintf(m->out, "Hint: %s\n", e.hint);
}

char *monitor_run(struct monitor *m, const char *line)
{
    FILE *outer = m->out;
    char *text = NULL;
    size_t size;

    m->out = open_memstream(&text, &size);
    if (m->out) {
        run_line(m, line);
        fclose(m->out);
    }
    m->out = outer;
    return text;
}

bool cmd_source(struct monitor *m, const char *args, struct err *e)
{
    char line[MONITOR_LINE];
    FILE *f;

    if (m->depth == SOURCE_DEPTH)
        return err_usage(e, "%u files source each other already", m->depth);
    f = fopen(args, "re");
    if (!f)
        return err_host(e, "%s: %s", args, strerror(errno));
    m->depth++;
    while (fgets(line, sizeof line, f))
        run_line(m, line);
    m->depth--;
    fclose(f);
    return true;
}

bool cmd_symbols(struct monitor *m, const char *args, struct err *e)
{
    if (!*args)
        return err_usage(e, "a file is missing");
    if (!symbols_load(&m->symbols, args, e))
        return false;
    fprintf(m->out, "%zu symbols\n", m->symbols.count);
    return true;
}

#define SYMBOLS_SHOWN 200u

bool info_symbols(struct monitor *m, const char *args, struct err *e)
{
    unsigned shown = 0;

    (void)e;
    for (size_t i = 0; i < m->symbols.count; i++)
        if (strstr(m->symbols.by_addr[i].name, args) && shown++ < SYMBOLS_SHOWN)
            fprintf(m->out, "%016llx %s\n", (unsigned long long)m->symbols.by_addr[i].addr,
                    m->symbols.by_addr[i].name);
    if (shown > SYMBOLS_SHOWN)
        fprintf(m->out, "... and %u more\n", shown - SYMBOLS_SHOWN);
    return true;
}

const char *monitor_symbol(const struct monitor *m, u64 addr, char text[128])
{
    const struct symbol *s = symbols_at(&m->symbols, addr);

    text[0] = 0;
    if (s && s->addr == addr)
        snprintf(text, 128, " <%.100s>", s->name);
    else if (s)
        snprintf(text, 128, " <%.100s+%#llx>", s->name, (unsigned long long)(addr - s->addr));
    return text;
}
