/* keys.h: KEY=VALUE,KEY=VALUE as QEMU writes it: a comma in a value is written twice. */
#pragma once

#include "base/err.h"
#include "base/types.h"

/* Cuts the first item off *rest (NULL after the last); ",," in it becomes one comma. */
char *keys_next(char **rest);
/* on, off, yes, no; `option` and `key` are for the error. */
bool keys_switch(const char *option, const char *key, const char *value, bool *v, struct err *e);
