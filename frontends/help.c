/* help.c: what the table of options says to people: help, the manual page, completion of bash. */
#include "frontends/monitor.h"
#include "frontends/options.h"

#include <string.h>

#define HELP_COLUMN 26

/* Prints text from column `column` on, breaking lines at spaces before `width`. */
static void wrap(FILE *out, const char *text, unsigned column, unsigned width)
{
    unsigned room = width > column + 20 ? width - column : 20, used = 0;

    while (*text) {
        unsigned len = (unsigned)strcspn(text, " ");

        if (used && used + 1 + len > room) {
            fprintf(out, "\n%*s", (int)column, "");
            used = 0;
        }
        fprintf(out, "%s%.*s", used ? " " : "", (int)len, text);
        used += len + (used ? 1 : 0);
        text += len;
        text += strspn(text, " ");
    }
    fputc('\n', out);
}

static void print_commands(FILE *out, unsigned width)
{
    for (unsigned c = 0; command_name(c); c++) {
        fprintf(out, "  parallax %-*s", HELP_COLUMN - 11, c == CMD_DEMO ? "" : command_name(c));
        wrap(out, command_doc(c), HELP_COLUMN, width);
    }
}

static const char *where_it_applies(const struct opt_row *r)
{
    if (r->commands == FOR_RUN)
        return " (run)";
    if (r->commands == FOR_COMPARE)
        return " (compare)";
    if (r->commands == (FOR_COMPARE | FOR_DEMO))
        return " (compare, demo)";
    return "";
}

static void option_words(const struct opt_row *r, char *buf, size_t size)
{
    size_t len = strlen(r->argument);
    bool repeated = len > 3 && !strcmp(r->argument + len - 3, "...") && r->argument[len - 4] != ',';

    if (repeated)
        len -= 3;
    snprintf(buf, size, "-%s%s%.*s", r->name, r->argument[0] && r->argument[0] != '[' ? " " : "",
             (int)len, r->argument);
}

/* At the beginning of the line, where Makefiles of courses look for "-gdb". */
static void print_option(FILE *out, const struct opt_row *r, unsigned width)
{
    char left[64], text[512];

    option_words(r, left, sizeof left);
    snprintf(text, sizeof text, "%s%s", r->help, where_it_applies(r));
    if (strlen(left) + 2 > HELP_COLUMN)
        fprintf(out, "%s\n%*s", left, HELP_COLUMN, "");
    else
        fprintf(out, "%-*s", HELP_COLUMN, left);
    wrap(out, text, HELP_COLUMN, width);
}

void help_print(FILE *out, unsigned width)
{
    const char *group = "";

    fputs("parallax: one x86 guest, run in full and paravirtualized, compared.\n\nUse:\n", out);
    print_commands(out, width);
    for (unsigned i = 0; i < OPT_COUNT; i++) {
        if (strcmp(group, opt_rows[i].group))
            fprintf(out, "\n%s:\n", opt_rows[i].group);
        group = opt_rows[i].group;
        print_option(out, &opt_rows[i], width);
    }
    fputs("\nOne dash or two, '-option value' or '-option=value'. On the terminal: Ctrl-A x quits, "
          "Ctrl-A h\nlists the keys.\n\n"
          "Exit codes: 0 the guest powered off or printed the -until text; 1 it ended without that "
          "text;\n2 usage; 3 host; 4 triple fault; 5 timeout; isa-debug-exit v gives (v<<1)|1.\n",
          out);
}

/* In roff a leading dot or quote and every backslash and hyphen of an option need care. */
static void roff(FILE *out, const char *text)
{
    if (*text == '.' || *text == '\'')
        fputs("\\&", out);
    for (; *text; text++) {
        if (*text == '\\')
            fputs("\\e", out);
        else if (*text == '-')
            fputs("\\-", out);
        else
            fputc(*text, out);
    }
}

void help_man(FILE *out)
{
    const char *group = "";
    char words[64];

    fputs(".TH PARALLAX 1\n.SH NAME\nparallax \\- x86 emulator that compares full emulation and "
          "paravirtualization\n.SH SYNOPSIS\n",
          out);
    for (unsigned c = 0; command_name(c); c++)
        fprintf(out, ".B parallax%s%s\n.br\n", c ? " " : "", c ? command_name(c) : "");
    fputs(".SH DESCRIPTION\nRuns an unmodified x86 guest by emulation, and shows what the "
          "paravirtual interfaces of a hypervisor change for it.\n.SH COMMANDS\n",
          out);
    for (unsigned c = 0; command_name(c); c++) {
        fprintf(out, ".TP\n.B %s\n", command_name(c));
        roff(out, command_doc(c));
        fputs(".\n", out);
    }
    fputs(".SH OPTIONS\n", out);
    for (unsigned i = 0; i < OPT_COUNT; i++) {
        const struct opt_row *r = &opt_rows[i];

        if (strcmp(group, r->group))
            fprintf(out, ".SS %s\n", r->group);
        group = r->group;
        option_words(r, words, sizeof words);
        fputs(".TP\n.B ", out);
        roff(out, words);
        fputc('\n', out);
        roff(out, r->help);
        roff(out, where_it_applies(r));
        fputs(".\n", out);
    }
    fputs(".SH MONITOR\nCommands of \\-monitor, of Ctrl\\-A c, and of gdb's monitor.\n", out);
    monitor_man(out);
    fputs(".SH EXIT STATUS\n0: the guest powered off or printed the \\-until text. 1: it ended "
          "without that text. 2: usage. 3: host. 4: triple fault. 5: timeout. With isa\\-debug\\-exit, "
          "a value v gives (v<<1)|1.\n",
          out);
}

static bool takes_file(const struct opt_row *r)
{
    return strstr(r->argument, "FILE") && r->argument[0] != '[';
}

void help_completion(FILE *out)
{
    fputs("# Completion of bash for parallax: source this file.\n_parallax()\n{\n"
          "    local word=${COMP_WORDS[COMP_CWORD]} last=${COMP_WORDS[COMP_CWORD-1]}\n"
          "    case $last in\n    ",
          out);
    for (unsigned i = 0, n = 0; i < OPT_COUNT; i++)
        if (takes_file(&opt_rows[i]))
            fprintf(out, "%s-%s", n++ ? "|" : "", opt_rows[i].name);
    fputs(") COMPREPLY=($(compgen -f -- \"$word\")); return ;;\n    ", out);
    for (unsigned i = 0, n = 0; i < OPT_COUNT; i++)
        if (opt_rows[i].argument[0] && opt_rows[i].argument[0] != '[' && !takes_file(&opt_rows[i]))
            fprintf(out, "%s-%s", n++ ? "|" : "", opt_rows[i].name);
    fputs(") return ;;\n    esac\n    COMPREPLY=($(compgen -W '", out);
    for (unsigned i = 0; i < OPT_COUNT; i++)
        fprintf(out, "-%s ", opt_rows[i].name);
    for (unsigned c = 0; command_name(c); c++)
        fprintf(out, "%s ", command_name(c));
    fputs("' -- \"$word\"))\n}\ncomplete -o default -F _parallax parallax\n", out);
}
