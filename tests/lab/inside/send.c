// SPDX-License-Identifier: Apache-2.0
// Sends UDP: `send ADDRESS PACKETS_PER_S BURST BYTES FLOWS COUNT_FILE`; 0 packets/s is as fast as it goes. BYTES is the
// UDP payload; bursts go by FLOWS sockets in turn. COUNT_FILE holds, as one native 64-bit number, how many packets the
// kernel took so far.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 64, MAX_BYTES = 65000, MAX_FLOWS = 64 };

static int64_t now_ns(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return at.tv_sec * 1000000000LL + at.tv_nsec;
}

int main(int argc, char **argv) {
  if (argc != 7) return 2;
  double rate = atof(argv[2]);
  long burst = atol(argv[3]), bytes = atol(argv[4]), flows = atol(argv[5]);
  if (burst < 1 || bytes < 1 || bytes > MAX_BYTES || flows < 1 || flows > MAX_FLOWS) return 2;
  int file = open(argv[6], O_RDWR | O_CREAT | O_TRUNC, 0644);
  if (file < 0 || ftruncate(file, 8)) return 1;
  volatile uint64_t *sent = mmap(NULL, 8, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (sent == MAP_FAILED) return 1;
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(4000)};
  if (inet_pton(AF_INET, argv[1], &to.sin_addr) != 1) return 2;
  int ports[MAX_FLOWS], room = 8 << 20;
  for (long i = 0; i < flows; i++) {
    ports[i] = socket(AF_INET, SOCK_DGRAM, 0);
    setsockopt(ports[i], SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room));
    if (ports[i] < 0 || connect(ports[i], (struct sockaddr *)&to, sizeof(to))) return 1;
  }
  static char payload[MAX_BYTES];
  memset(payload, 0xa5, sizeof(payload));
  struct iovec data = {payload, bytes};
  struct mmsghdr messages[BATCH];
  memset(messages, 0, sizeof(messages));
  for (int i = 0; i < BATCH; i++) {
    messages[i].msg_hdr.msg_iov = &data;
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  int64_t due = now_ns();
  for (long turn = 0;; turn++) {
    int port = ports[turn % flows];
    for (long left = burst; left > 0;) {
      int done = sendmmsg(port, messages, left < BATCH ? left : BATCH, 0);
      // A refused packet (an ICMP error of an earlier one, no memory) is not sent; the burst goes on.
      if (done < 0) {
        if (errno == EINTR) continue;
        left--;
        continue;
      }
      left -= done;
      *sent += done;
    }
    if (rate <= 0) continue;
    due += (int64_t)(burst / rate * 1e9);
    int64_t late = now_ns() - 1000000000LL;
    if (due < late) due = late;
    struct timespec until = {due / 1000000000LL, due % 1000000000LL};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
  }
}
