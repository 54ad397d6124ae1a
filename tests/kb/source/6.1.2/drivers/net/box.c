// SPDX-License-Identifier: Apache-2.0
#include "box.h"

static inline void box_say(const char *text) __printf(1, 0);

BOX_CALL_2(box_helper, struct box *, box, int, n)
{
	return n;
}

static noinline __must_check int
box_xmit(struct pkt *pkt, struct box *box)
{
#ifdef CONFIG_BOX
	if (ring_put(&box->ring, pkt)) {
		box_count_drop(box);
		return -1;
	}
#endif
	if (!box->ring) {
		box_say("if (!box->ring)");
		box_count_drop(box);
		return -1;
	}
	return 0;
}

static void box_get_stats(struct box *box, struct stats *sum)
{
	sum->tx_dropped = box->stats.tx_dropped;
}

static DEFINE_BROKEN(box
