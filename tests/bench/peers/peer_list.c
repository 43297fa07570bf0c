/* peer_list.c - all peers, in the order of the table. */
#include "peer_list.h"

const struct peer *const peers_all[] = {
    &peer_ringd,
    &peer_ringd_batch,
    &peer_ringd_single,
    &peer_ringd_single_batch,
    &peer_ringd_monotonic,
    &peer_ringd_tsc,
    &peer_pipe,
    &peer_seqpacket,
    &peer_posix_mq,
    &peer_libqb_ring,
    &peer_libqb_ipc,
    &peer_boost_mq,
    &peer_zeromq,
    &peer_nng,
    &peer_rte_mpmc,
    &peer_rte_hts,
    &peer_rte_spsc,
    &peer_ck_mpmc,
    &peer_ck_spsc,
    &peer_lttng_flight,
    &peer_lttng_discard,
    NULL,
};
