/*
 * fuzz_options.c: any command line is taken, or refused with one message of one line that a terminal
 * can show. The input is the words, separated by newlines; a byte below 32 at the beginning of a
 * word stands for the option of the table with that number.
 *
 * Not here: options that open files (-D, -stats=json:FILE), and what files contain (fuzz_boot.c).
 */
#include "base/host.h"
#include "cpu/model.h"
#include "frontends/config.h"
#include "pv/pv.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#define MAX_WORDS 40

static void check_refusal(const struct err *e)
{
    BUG_ON(e->exit_code != EXIT_USAGE && e->exit_code != EXIT_HOST);
    BUG_ON(!e->msg[0]);
}

/* The word at `text`, with its option spelled out; freed by the caller. */
static char *spell(const char *text)
{
    unsigned n = (u8)text[0];
    size_t cap = strlen(text) + 64;
    char *word = malloc(cap);

    BUG_ON(!word);
    if (n && n < 32)
        snprintf(word, cap, "-%s%s", opt_rows[n % OPT_COUNT].name, text + 1);
    else
        snprintf(word, cap, "%s", text);
    return word;
}

static unsigned split(char *text, char **words)
{
    unsigned n = 0;
    char *word;

    words[n++] = spell("parallax");
    while (n < MAX_WORDS && (word = strsep(&text, "\n")))
        words[n++] = spell(word);
    return n;
}

static void try_values(const char *text)
{
    struct err e = {0};
    u64 v;

    if (!options_size(text, &v, &e))
        check_refusal(&e);
    else
        BUG_ON(v < MIB || v % MIB || v > 1024 * GIB);
    if (!options_seconds(OPT_TIMEOUT, text, &v, &e))
        check_refusal(&e);
    if (!model_find(text, &e))
        check_refusal(&e);
}

/* In a config without a file to write. */
static bool opens_files(const struct options *o)
{
    return o->given[OPT_D_FILE] || (o->value[OPT_STATS] && strchr(o->value[OPT_STATS], ':'));
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    char *text = malloc(size + 1), *words[MAX_WORDS + 1] = {NULL};
    struct options o;
    struct config c;
    struct err e = {0};
    unsigned count;

    BUG_ON(!text);
    memcpy(text, data, size);
    text[size] = '\0';
    count = split(text, words);
    for (unsigned i = 1; i < count; i++)
        try_values(words[i]);
    if (!options_parse(&o, (int)count, words, &e))
        check_refusal(&e);
    else if (o.command <= CMD_COMPARE && !opens_files(&o)) {
        if (!config_from_options(&c, &o, &e))
            check_refusal(&e);
        config_free(&c);
    }
    for (unsigned i = 0; i < count; i++)
        free(words[i]);
    free(text);
    return 0;
}
