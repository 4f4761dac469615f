/* gunzip.h: unpacks a kernel that is a gzip file (RFC 1952), as boot loaders do. */
#pragma once

#include "base/err.h"
#include "base/types.h"

bool gunzip_matches(const u8 *file, u64 len);
/* The first member of the file; the caller frees. Refuses more than max_bytes. */
u8 *gunzip(const char *name, const u8 *file, u64 len, u64 max_bytes, u64 *out_len, struct err *e);
