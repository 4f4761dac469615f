/* waits.h: what an interrupt controller says of the requests that wait in it. */
#pragma once

#include "devices/device.h"
#include <check.h>
#include <stdlib.h>

static inline void assert_waits(const struct dev *d, const char *sentences)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    ck_assert(f != NULL);
    d->cls->explain_waits(d, f);
    fclose(f);
    ck_assert_str_eq(text, sentences);
    free(text);
}
