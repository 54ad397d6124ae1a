// SPDX-License-Identifier: Apache-2.0
static int f(int a)
{
	int i = 0;

	if (a &&
	    i) {
		a++;
		goto out;
	} else if (i)
		return 1;
	while (a)
		a--;
	for (i = 0; i < a; i++)
		g(i);
	switch (a) {
	case ONE:
		break;
	default:
		continue;
	}
	do {
		h();
	} while (i);
out:
	return a;
}
