// SPDX-License-Identifier: Apache-2.0
#include "box.h"

#define BOX_COUNT(name)			\
	box_count_##name

static const struct box_ops ops = {
	.xmit = box_xmit,
};

/* Sends. */
static int box_xmit(struct pkt *pkt,
		    struct box *box)
{
	if (!box->ring)
		return -1;	/* box->stats.tx_dropped++; */

	if (ring_put(&box->ring,
		     pkt)) {
		/* full */
		box->stats.tx_dropped++;
		return -1;
	}
	return 0;
}

static void box_get_stats(struct box *box, struct stats *sum)
{
	sum->tx_dropped += box->stats.tx_dropped;
}
