/*
 * bundle.h: an archive for others to check a comparison with: the reports, the command, the
 * configuration, and what each side printed. A tar file (POSIX.1-2001, ustar), compressed.
 */
#pragma once

#include "frontends/compare_report.h"

bool bundle_write(const char *path, const struct comparison *cmp, const struct report_text *json,
                  const struct report_text *html, const struct report_text *csv, int argc, char **argv,
                  struct err *e);
