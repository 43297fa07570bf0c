/* peer_list.h - each peer has a file of its own, peer_NAME.c; these are what they define. */
#ifndef BENCH_PEER_LIST_H
#define BENCH_PEER_LIST_H

#include "peer.h"

extern const struct peer peer_ringd, peer_ringd_batch, peer_ringd_single, peer_ringd_single_batch, peer_ringd_monotonic,
    peer_ringd_tsc;
extern const struct peer peer_pipe, peer_seqpacket, peer_posix_mq;
extern const struct peer peer_libqb_ring, peer_libqb_ipc;
extern const struct peer peer_boost_mq;
extern const struct peer peer_zeromq, peer_nng;
extern const struct peer peer_rte_mpmc, peer_rte_hts, peer_rte_spsc;
extern const struct peer peer_ck_mpmc, peer_ck_spsc;
extern const struct peer peer_lttng_flight, peer_lttng_discard;

#endif
