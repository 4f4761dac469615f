/*
 * net_kinds.h: what each kind of back end gives to net.c, and what net.c gives to them. Not for
 * devices or front ends.
 */
#pragma once

#include "devices/backend/net.h"

/* Each fills n->ops, priv and link; n->id and kind are set. */
bool net_open_user(struct net *n, const struct net_options *o, struct err *e);
bool net_open_socket(struct net *n, const struct net_options *o, struct err *e);
bool net_open_tap(struct net *n, const struct net_options *o, struct err *e);

/* A frame from the host for the device; it waits if it must. */
void net_input(struct net *n, const u8 *frame, size_t len);
void net_set_link(struct net *n, bool up);
void net_report(struct net *n, const struct err *e);

/* net_offload.c: a large TCP frame in pieces, or whole with its sums set. False: it is none. `emit`
 * gets each; the frame of `scratch` (NET_FRAME_MAX bytes) is good until it returns. */
bool net_segment(const u8 *frame, size_t len, u16 size, u8 *scratch,
                 void (*emit)(void *opaque, const u8 *frame, size_t len), void *opaque);
bool net_finish_large(u8 *frame, size_t len);

/* net_dump.c */
struct net_dump *net_dump_open(const struct net_dump_options *o, struct err *e);
/* False, once: the file does not take it, and why; nothing more is written then. */
bool net_dump_frame(struct net_dump *d, u64 now_ns, const u8 *frame, size_t len, struct err *e);
struct net_dump *net_dump_close(struct net_dump *d); /* returns the next */
void net_dump_push(struct net_dump **list, struct net_dump *d);
struct net_dump *net_dump_next(const struct net_dump *d);
