/* report.c: tables, numbers, progress and the JSON of a run (report.h). */
#include "frontends/report.h"

#include "base/host.h"
#include "machine/vm.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>
#include <unistd.h>

/* ---- tables ---------------------------------------------------------------------------------- */

void table_init(struct table *t, unsigned columns)
{
    BUG_ON(columns == 0 || columns > TABLE_COLUMNS);
    *t = (struct table){.columns = columns};
}

static bool add(struct table *t, char **row)
{
    if (t->count == t->cap) {
        size_t cap = 2 * t->cap + 32;
        char ***rows = realloc(t->rows, cap * sizeof *rows);

        if (!rows) {
            t->failed = true;
            return false;
        }
        t->rows = rows;
        t->cap = cap;
    }
    t->rows[t->count++] = row;
    return true;
}

static void free_row(const struct table *t, char **row)
{
    for (unsigned i = 0; row && i < t->columns; i++)
        free(row[i]);
    free(row);
}

void table_row(struct table *t, const char *const *cells)
{
    char **row = calloc(t->columns, sizeof *row);

    for (unsigned i = 0; row && i < t->columns; i++) {
        row[i] = strdup(cells[i] ? cells[i] : "");
        if (!row[i])
            t->failed = true;
    }
    if (!row)
        t->failed = true;
    else if (t->failed || !add(t, row))
        free_row(t, row);
}

void table_rule(struct table *t)
{
    add(t, NULL);
}

/* Columns that text takes: UTF-8 continuation bytes take none. */
static int cell_width(const char *s)
{
    int n = 0;

    for (; *s; s++)
        n += (*s & 0xc0) != 0x80;
    return n;
}

static bool colours(FILE *out)
{
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

    return isatty(fileno(out)) && !(no_color && *no_color) && term && strcmp(term, "dumb");
}

static void print_row(FILE *out, char **row, const int *widths, unsigned columns)
{
    for (unsigned i = 0; i < columns; i++) {
        int pad = widths[i] - cell_width(row[i]);

        if (i)
            fprintf(out, "  %*s%s", pad, "", row[i]);
        else
            fprintf(out, "%s%*s", row[i], pad, "");
    }
}

void table_print(const struct table *t, FILE *out)
{
    int widths[TABLE_COLUMNS] = {0}, total = -2;
    bool colour = colours(out);

    if (t->failed) {
        fputs("(no memory for the table)\n", out);
        return;
    }
    for (size_t r = 0; r < t->count; r++)
        for (unsigned i = 0; t->rows[r] && i < t->columns; i++)
            if (cell_width(t->rows[r][i]) > widths[i])
                widths[i] = cell_width(t->rows[r][i]);
    for (unsigned i = 0; i < t->columns; i++)
        total += widths[i] + 2;
    for (size_t r = 0; r < t->count; r++) {
        if (!t->rows[r]) {
            for (int i = 0; i < total; i++)
                fputc('-', out);
        } else {
            fputs(colour && r == 0 ? "\033[1m" : "", out);
            print_row(out, t->rows[r], widths, t->columns);
            fputs(colour && r == 0 ? "\033[0m" : "", out);
        }
        fputc('\n', out);
    }
}

void table_free(struct table *t)
{
    for (size_t r = 0; r < t->count; r++)
        free_row(t, t->rows[r]);
    free(t->rows);
    *t = (struct table){0};
}

/* ---- numbers --------------------------------------------------------------------------------- */

unsigned report_width(FILE *out)
{
    struct winsize ws;

    if (isatty(fileno(out)) && !ioctl(fileno(out), TIOCGWINSZ, &ws) && ws.ws_col >= 40)
        return ws.ws_col;
    return 80;
}

/* Three significant digits where there is a fraction. */
static void three_digits(char buf[16], double v, const char *unit)
{
    snprintf(buf, 16, "%.*f%s", v < 9.995 ? 2 : v < 99.95 ? 1 : 0, v, unit);
}

const char *report_number(char buf[16], double v)
{
    static const char *const units[] = {" k", " M", " G", " T", " P", " E"};
    unsigned i = 0;

    if (!isfinite(v)) {
        snprintf(buf, 16, "-");
    } else if (v < 9999.5) {
        snprintf(buf, 16, "%.0f", v);
    } else {
        for (v /= 1000; v >= 999.5 && i < ARRAY_SIZE(units) - 1; i++)
            v /= 1000;
        three_digits(buf, v, units[i]);
    }
    return buf;
}

const char *report_ns(char buf[16], double ns)
{
    static const char *const units[] = {" ns", " us", " ms", " s"};
    unsigned i = 0;

    if (!isfinite(ns)) {
        snprintf(buf, 16, "-");
        return buf;
    }
    for (; ns >= 999.5 && i < ARRAY_SIZE(units) - 1; i++)
        ns /= 1000;
    three_digits(buf, ns, units[i]);
    return buf;
}

/* ---- progress -------------------------------------------------------------------------------- */

void progress_show(const char *fmt, ...)
{
    char line[256];
    va_list ap;

    if (!isatty(STDERR_FILENO))
        return;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    for (char *s = line; *s; s++) /* the guest's last line may be part of it */
        if ((unsigned char)*s < 0x20 || (unsigned char)*s >= 0x7f)
            *s = ' ';
    fprintf(stderr, "\r%.*s\033[K", (int)report_width(stderr) - 1, line);
    fflush(stderr);
}

void progress_clear(void)
{
    if (isatty(STDERR_FILENO)) {
        fputs("\r\033[K", stderr);
        fflush(stderr);
    }
}

/* ---- texts ----------------------------------------------------------------------------------- */

static bool reserve(struct report_text *t, size_t more)
{
    size_t cap = 2 * (t->len + more) + 1024;
    char *text;

    if (t->failed || t->len + more < t->cap)
        return !t->failed;
    text = realloc(t->text, cap);
    t->failed = !text;
    if (text) {
        t->text = text;
        t->cap = cap;
    }
    return text != NULL;
}

void report_printf(struct report_text *t, const char *fmt, ...)
{
    va_list ap, again;
    int n;

    va_start(ap, fmt);
    va_copy(again, ap);
    n = vsnprintf(NULL, 0, fmt, ap);
    if (n >= 0 && reserve(t, (size_t)n + 1)) {
        vsnprintf(t->text + t->len, t->cap - t->len, fmt, again);
        t->len += (size_t)n;
    }
    va_end(again);
    va_end(ap);
}

bool report_text_write(const char *path, const struct report_text *t, struct err *e)
{
    if (t->failed)
        return err_host(e, "no memory for the report");
    return host_write_file(path, t->text ? t->text : "", t->len, e);
}

void report_text_free(struct report_text *t)
{
    free(t->text);
    *t = (struct report_text){0};
}

const char *report_bar(char buf[128], double share, unsigned columns)
{
    static const char *const eighth[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    unsigned n = share > 0 ? (unsigned)(share * columns * 8 + 0.5) : 0;

    columns = columns > 40 ? 40 : columns;
    n = n > columns * 8 ? columns * 8 : n;
    buf[0] = 0;
    for (unsigned i = 0; i < n / 8; i++)
        strcat(buf, "█");
    strcat(buf, eighth[n % 8]);
    return buf;
}

/* ---- files ----------------------------------------------------------------------------------- */

/* access() alone would call a directory writable. */
static bool is_directory(const char *path)
{
    DIR *d = opendir(path);

    if (d)
        closedir(d);
    return d != NULL;
}

bool report_check_writable(const char *path, struct err *e)
{
    const char *slash = strrchr(path, '/');
    char *dir = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    bool exists = !access(path, F_OK);
    bool ok = dir && !access(exists ? path : dir, W_OK);
    int why = errno;

    if (ok && exists && is_directory(path)) {
        ok = false;
        why = EISDIR;
    }
    free(dir);
    if (!ok) {
        err_host(e, "%s: cannot be written: %s", path, strerror(why));
        return err_hint(e, "name a file in a directory that exists and that you may write to");
    }
    return true;
}

bool report_write_json(const char *path, const struct json *j, struct err *e)
{
    if (j->failed)
        return err_host(e, "no memory for the report");
    return host_write_file(path, j->text, j->len, e);
}

void report_json_header(struct json *j, int argc, char **argv)
{
    struct utsname u;

    json_string(j, "program", "parallax");
    json_string(j, "version", PARALLAX_VERSION);
    if (!uname(&u)) {
        json_object(j, "host");
        json_string(j, "system", u.sysname);
        json_string(j, "release", u.release);
        json_string(j, "machine", u.machine);
        json_s64(j, "cpus", sysconf(_SC_NPROCESSORS_ONLN));
        json_end(j);
    }
    json_u64(j, "time_unix_ns", host_wall_ns());
    json_array(j, "command");
    for (int i = 0; i < argc; i++)
        json_string(j, NULL, argv[i]);
    json_end(j);
}

/* ---- one run --------------------------------------------------------------------------------- */

static const char *const served_names[SERVED_COUNT] = {"inline", "leaf", "exit", "io"};

void report_json_stats(struct json *j, const struct stats *st)
{
    json_object(j, "classes");
    for (unsigned i = 0; i < STAT_COUNT; i++) {
        if (!stat_total(st, i) && !st->cycles[i])
            continue;
        json_object(j, stat_name(i));
        json_u64(j, "count", stat_total(st, i));
        for (unsigned k = 0; k < SERVED_COUNT; k++)
            json_u64(j, served_names[k], st->served[i][k]);
        json_u64(j, "host_cycles", st->cycles[i]);
        json_end(j);
    }
    json_end(j);
}

void report_json_vm(struct json *j, struct vm *vm, u64 wall_ns, u64 cpu_ns, bool icount)
{
    const char *name, *doc;
    char hash[24];
    u64 count;
    struct vm_fact facts[VM_FACTS_MAX];
    bool on;

    json_string(j, "personality", vm_pv_name(vm));
    json_u64(j, "wall_ns", wall_ns);
    json_u64(j, "host_cpu_ns", cpu_ns);
    json_u64(j, "guest_instructions", vm_icount(vm));
    json_u64(j, "resident_bytes", host_rss_bytes());
    if (icount) {
        snprintf(hash, sizeof hash, "%016" PRIx64, vm_ram_hash(vm));
        json_string(j, "ram_hash", hash);
    }
    report_json_stats(j, vm_stats(vm));
    json_object(j, "engine");
    for (unsigned i = 0, n = vm_engine_facts(vm, facts); i < n; i++)
        json_double(j, facts[i].name, facts[i].value);
    json_end(j);
    json_object(j, "features");
    for (unsigned i = 0; vm_pv_feature(vm, i, &name, &doc, &on, &count); i++) {
        json_object(j, name);
        json_bool(j, "on", on);
        json_u64(j, "used", count);
        json_end(j);
    }
    json_end(j);
}

void report_classes(const struct stats *st, FILE *out)
{
    static const char *const head[] = {"class", "count", "inline", "leaf", "exit", "io", "cycles"};
    char text[2 + SERVED_COUNT][24];
    struct table t;

    table_init(&t, ARRAY_SIZE(head));
    table_row(&t, head);
    table_rule(&t);
    for (unsigned i = 0; i < STAT_COUNT; i++) {
        const char *cells[ARRAY_SIZE(head)] = {stat_name(i)};

        if (!stat_total(st, i) && !st->cycles[i])
            continue;
        snprintf(text[0], sizeof text[0], "%" PRIu64, stat_total(st, i));
        for (unsigned k = 0; k < SERVED_COUNT; k++)
            snprintf(text[1 + k], sizeof text[0], "%" PRIu64, st->served[i][k]);
        snprintf(text[1 + SERVED_COUNT], sizeof text[0], "%" PRIu64, st->cycles[i]);
        for (unsigned k = 1; k < ARRAY_SIZE(head); k++)
            cells[k] = text[k - 1];
        table_row(&t, cells);
    }
    table_print(&t, out);
    table_free(&t);
}

static void print_engine(struct vm *vm, FILE *out)
{
    struct vm_fact facts[VM_FACTS_MAX];
    unsigned n = vm_engine_facts(vm, facts);

    for (unsigned i = 0; i < n; i++) {
        bool whole = facts[i].value >= 1e6 || facts[i].value == (double)(u64)facts[i].value;

        fprintf(out, "engine %-22s %*.*f %s\n", facts[i].name, whole ? 14 : 18, whole ? 0 : 3,
                facts[i].value, facts[i].doc);
    }
}

void report_stats(struct vm *vm, u64 wall_ns, u64 cpu_ns, bool icount, FILE *out)
{
    const char *name, *doc;
    char a[16], b[16], c[16];
    u64 count, insns = vm_icount(vm);
    bool on;

    fprintf(out, "\npersonality %s, %s on the clock, %s of host CPU, %" PRIu64 " guest instructions "
                 "(%s per second of host CPU)\n",
            vm_pv_name(vm), report_ns(a, (double)wall_ns), report_ns(b, (double)cpu_ns), insns,
            report_number(c, cpu_ns ? (double)insns * 1e9 / (double)cpu_ns : 0));
    fprintf(out, "resident %llu MiB at most\n", (unsigned long long)(host_rss_bytes() / MIB));
    if (icount)
        fprintf(out, "hash of RAM %016" PRIx64 "\n", vm_ram_hash(vm));
    report_classes(vm_stats(vm), out);
    print_engine(vm, out);
    for (unsigned i = 0; vm_pv_feature(vm, i, &name, &doc, &on, &count); i++)
        fprintf(out, "feature %-18s %-3s used %" PRIu64 " times: %s\n", name, on ? "on" : "off",
                count, doc);
}
