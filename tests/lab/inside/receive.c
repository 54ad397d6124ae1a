// SPDX-License-Identifier: Apache-2.0
// Takes UDP on port 4000. SIGUSR1: read no more, so that the socket fills; SIGUSR2: go on.
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

static volatile sig_atomic_t stands;

static void stand(int number) { stands = number == SIGUSR1; }

int main(void) {
  struct sigaction action = {.sa_handler = stand};
  sigaction(SIGUSR1, &action, NULL);
  sigaction(SIGUSR2, &action, NULL);
  int port = socket(AF_INET, SOCK_DGRAM, 0);
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(4000)};
  if (port < 0 || bind(port, (struct sockaddr *)&at, sizeof(at))) return 1;
  char data[65536];
  for (;;) {
    if (stands) {
      pause();
    } else if (recv(port, data, sizeof(data), 0) < 0 && !stands) {
      return 1;
    }
  }
}
