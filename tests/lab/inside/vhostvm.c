// SPDX-License-Identifier: Apache-2.0
// Stands in for a VM: owns a tap and its vhost_net workers as QEMU does, and plays the guest's virtio-net driver. A guest
// under TCG takes some hundred packets a second; this one as many as the vhost worker hands over.
//
// Settings are words of $VHOSTVM, so that the command line can look like QEMU's: tap=NAME queues=N slots=N (of each
// virtqueue) bytes=N (of a receive buffer) mergeable=0|1 rate=N (packets/s that the guest takes, 0: all) stuck=N (queue
// that gets no buffer back) transmit=N (packets/s that the guest sends; 1 is enough for switches to know where it is)
// transmit_bytes=N number=N (last byte of the guest's address) count=FILE cause=NAME.
// SIGUSR1: give no buffer back; SIGUSR2: go on; SIGHUP: make the cause. FILE holds two native 64-bit numbers: packets
// received, packets sent.
//
// Layouts: Virtual I/O Device 1.1, 2.6 (split virtqueues) and 5.1 (network device); uapi linux/vhost.h, linux/if_tun.h.
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/vhost.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { MAX_QUEUES = 8, HEADER = 12, POLL_NS = 20000000 };

struct ring {
  struct vring_desc *descriptors;
  struct vring_avail *avail;
  struct vring_used *used;
  char *buffers;
  uint16_t added, taken;
  int kick, call;
};

struct queue {
  int tap, vhost;
  unsigned merged;  // further buffers of the packet that is being read
  struct ring receive, transmit;
};

static struct queue queues[MAX_QUEUES];
static long queue_count = 1, slots = 256, buffer_bytes = 2048, mergeable = 1, rate, stuck = -1, transmit_rate = 1,
            transmit_bytes = 1400, number = 1;
static char tap_name[IFNAMSIZ] = "vnet0", count_file[256] = "/run/received", cause[32] = "";
static volatile sig_atomic_t hangs, wanted;
static volatile uint64_t *counts;

static void hang(int number) { hangs = number == SIGUSR1; }

static void want(int number) { wanted = number; }

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static int64_t now_ns(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return at.tv_sec * 1000000000LL + at.tv_nsec;
}

static void read_settings(void) {
  struct {
    const char *name;
    long *value;
  } numbers[] = {
      {"queues", &queue_count}, {"slots", &slots},   {"bytes", &buffer_bytes},
      {"mergeable", &mergeable}, {"rate", &rate},    {"stuck", &stuck},
      {"transmit", &transmit_rate}, {"transmit_bytes", &transmit_bytes}, {"number", &number},
  };
  char *text = strdup(getenv("VHOSTVM") ? getenv("VHOSTVM") : "");
  for (char *word = strtok(text, " "); word; word = strtok(NULL, " ")) {
    char *value = strchr(word, '=');
    if (!value) exit(2);
    *value++ = 0;
    if (!strcmp(word, "tap")) {
      snprintf(tap_name, sizeof(tap_name), "%s", value);
      continue;
    }
    if (!strcmp(word, "cause")) {
      snprintf(cause, sizeof(cause), "%s", value);
      continue;
    }
    if (!strcmp(word, "count")) {
      snprintf(count_file, sizeof(count_file), "%s", value);
      continue;
    }
    size_t i = 0;
    while (i < sizeof(numbers) / sizeof(*numbers) && strcmp(numbers[i].name, word)) i++;
    if (i == sizeof(numbers) / sizeof(*numbers)) exit(2);
    *numbers[i].value = atol(value);
  }
  if (queue_count < 1 || queue_count > MAX_QUEUES) exit(2);
}

static void give(struct ring *ring, uint16_t number) {
  ring->avail->ring[ring->added % slots] = number;
  __atomic_store_n(&ring->avail->idx, ++ring->added, __ATOMIC_RELEASE);
}

static void notify(struct ring *ring) {
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  uint64_t one = 1;
  if (!(ring->used->flags & VRING_USED_F_NO_NOTIFY) && write(ring->kick, &one, 8) != 8) fail("kick");
}

// Memory of a virtqueue, from `at` on; the addresses that vhost gets are this process's own.
static char *lay_out(struct ring *ring, char *at, long bytes) {
  ring->descriptors = (void *)at;
  at += slots * sizeof(struct vring_desc);
  ring->avail = (void *)at;
  at += 8 + slots * 2;
  at += -(uintptr_t)at & 4095;
  ring->used = (void *)at;
  at += 8 + slots * sizeof(struct vring_used_elem);
  at += -(uintptr_t)at & 4095;
  ring->buffers = at;
  at += slots * bytes;
  return at + (-(uintptr_t)at & 4095);
}

static void offer(struct queue *queue, unsigned index, struct ring *ring) {
  struct vhost_vring_state state = {index, slots};
  if (ioctl(queue->vhost, VHOST_SET_VRING_NUM, &state)) fail("VHOST_SET_VRING_NUM");
  state.num = 0;
  if (ioctl(queue->vhost, VHOST_SET_VRING_BASE, &state)) fail("VHOST_SET_VRING_BASE");
  struct vhost_vring_addr address = {
      .index = index,
      .desc_user_addr = (uintptr_t)ring->descriptors,
      .used_user_addr = (uintptr_t)ring->used,
      .avail_user_addr = (uintptr_t)ring->avail,
  };
  if (ioctl(queue->vhost, VHOST_SET_VRING_ADDR, &address)) fail("VHOST_SET_VRING_ADDR");
  ring->kick = eventfd(0, EFD_NONBLOCK);
  ring->call = eventfd(0, EFD_NONBLOCK);
  struct vhost_vring_file file = {index, ring->kick};
  if (ioctl(queue->vhost, VHOST_SET_VRING_KICK, &file)) fail("VHOST_SET_VRING_KICK");
  file.fd = ring->call;
  if (ioctl(queue->vhost, VHOST_SET_VRING_CALL, &file)) fail("VHOST_SET_VRING_CALL");
  file.fd = queue->tap;
  if (ioctl(queue->vhost, VHOST_NET_SET_BACKEND, &file)) fail("VHOST_NET_SET_BACKEND");
}

static void open_queue(struct queue *queue) {
  queue->tap = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
  if (queue->tap < 0) fail("/dev/net/tun");
  struct ifreq wanted = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
  if (queue_count > 1) wanted.ifr_flags |= IFF_MULTI_QUEUE;
  memcpy(wanted.ifr_name, tap_name, IFNAMSIZ);
  if (ioctl(queue->tap, TUNSETIFF, &wanted)) fail("TUNSETIFF");
  int header = HEADER;
  if (ioctl(queue->tap, TUNSETVNETHDRSZ, &header)) fail("TUNSETVNETHDRSZ");
  queue->vhost = open("/dev/vhost-net", O_RDWR);
  if (queue->vhost < 0) fail("/dev/vhost-net");
  if (ioctl(queue->vhost, VHOST_SET_OWNER)) fail("VHOST_SET_OWNER");
  uint64_t features;
  if (ioctl(queue->vhost, VHOST_GET_FEATURES, &features)) fail("VHOST_GET_FEATURES");
  features &= (1ULL << VIRTIO_F_VERSION_1) | (mergeable ? 1ULL << VIRTIO_NET_F_MRG_RXBUF : 0);
  if (ioctl(queue->vhost, VHOST_SET_FEATURES, &features)) fail("VHOST_SET_FEATURES");
  size_t size = 4 * 65536 + slots * (buffer_bytes + transmit_bytes + 256);
  char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (memory == MAP_FAILED) fail("mmap");
  struct {
    struct vhost_memory head;
    struct vhost_memory_region region;
  } table = {{.nregions = 1}, {(uintptr_t)memory, size, (uintptr_t)memory, 0}};
  if (ioctl(queue->vhost, VHOST_SET_MEM_TABLE, &table)) fail("VHOST_SET_MEM_TABLE");
  char *next = lay_out(&queue->receive, memory, buffer_bytes);
  lay_out(&queue->transmit, next, HEADER + transmit_bytes);
  for (long i = 0; i < slots; i++) {
    char *buffer = queue->receive.buffers + i * buffer_bytes;
    queue->receive.descriptors[i] =
        (struct vring_desc){(uintptr_t)buffer, buffer_bytes, VRING_DESC_F_WRITE, 0};
    give(&queue->receive, i);
    char *frame = queue->transmit.buffers + i * (HEADER + transmit_bytes);
    // To the neighbour on the switch, from the guest, an ethertype for local experiments.
    memcpy(frame + HEADER, "\x02\0\0\0\0\x09\x52\x54\0\xaa\xbb\0\x88\xb5", 14);
    frame[HEADER + 11] = (char)number;
    queue->transmit.descriptors[i] = (struct vring_desc){(uintptr_t)frame, HEADER + transmit_bytes, 0, 0};
  }
  offer(queue, 0, &queue->receive);
  offer(queue, 1, &queue->transmit);
  notify(&queue->receive);
}

// Takes what arrived, at most `limit` buffers, and gives the buffers back; returns how many packets that were.
static long take(struct queue *queue, long limit) {
  struct ring *ring = &queue->receive;
  long packets = 0, taken = 0;
  while (taken < limit && __atomic_load_n(&ring->used->idx, __ATOMIC_ACQUIRE) != ring->taken) {
    uint32_t number = ring->used->ring[ring->taken++ % slots].id;
    if (queue->merged) {
      queue->merged--;
    } else {
      uint16_t buffers;
      memcpy(&buffers, ring->buffers + number * buffer_bytes + 10, 2);
      queue->merged = mergeable && buffers ? buffers - 1 : 0;
      packets++;
    }
    give(ring, number);
    taken++;
  }
  if (taken) notify(ring);
  return packets;
}

static long transmit(struct queue *queue, long wanted) {
  struct ring *ring = &queue->transmit;
  long sent = 0;
  ring->taken = __atomic_load_n(&ring->used->idx, __ATOMIC_ACQUIRE);
  while (sent < wanted && (uint16_t)(ring->added - ring->taken) < slots) {
    give(ring, ring->added % slots);
    sent++;
  }
  if (sent) notify(ring);
  return sent;
}

static void *play_guest(void *nothing) {
  (void)nothing;
  prctl(PR_SET_NAME, "CPU 0/KVM");
  int64_t last = now_ns();
  double may_take = 0, may_send = 0;
  for (;;) {
    int64_t at = now_ns();
    double passed = (at - last) / 1e9;
    last = at;
    may_take = rate ? may_take + rate * passed : 1e9;
    may_send += transmit_rate * passed;
    for (long i = 0; i < queue_count && !hangs; i++) {
      if (i == stuck) continue;
      long packets = take(&queues[i], (long)may_take);
      may_take -= packets;
      counts[0] += packets;
    }
    if (may_take > slots && rate) may_take = slots;
    long sent = hangs ? 0 : transmit(&queues[0], (long)may_send);
    counts[1] += sent;
    may_send -= sent;
    if (may_send > slots) may_send = slots;
    struct timespec pause = {0, POLL_NS};
    nanosleep(&pause, NULL);
  }
  return NULL;
}

// Lets no frame in: a program that keeps 0 bytes of each.
static void attach_socket_filter(int tap) {
  struct sock_filter drop = {BPF_RET | BPF_K, 0, 0, 0};
  struct sock_fprog program = {1, &drop};
  if (ioctl(tap, TUNATTACHFILTER, &program)) fail("TUNATTACHFILTER");
}

// Lets in only short frames.
static void attach_length_filter(int tap) {
  struct sock_filter code[] = {
      {BPF_LD | BPF_W | BPF_LEN, 0, 0, 0},
      {BPF_JMP | BPF_JGT | BPF_K, 0, 1, 500},
      {BPF_RET | BPF_K, 0, 0, 0},
      {BPF_RET | BPF_K, 0, 0, 0xffffffff},
  };
  struct sock_fprog program = {4, code};
  if (ioctl(tap, TUNATTACHFILTER, &program)) fail("TUNATTACHFILTER");
}

static void attach_ebpf_filter(int tap, int keep) {
  struct bpf_insn code[] = {
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = keep},
      {.code = BPF_JMP | BPF_EXIT},
  };
  union bpf_attr attributes;
  memset(&attributes, 0, sizeof(attributes));
  attributes.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
  attributes.insns = (uintptr_t)code;
  attributes.insn_cnt = 2;
  attributes.license = (uintptr_t)"GPL";
  int program = syscall(SYS_bpf, BPF_PROG_LOAD, &attributes, sizeof(attributes));
  if (program < 0) fail("BPF_PROG_LOAD");
  if (ioctl(tap, TUNSETFILTEREBPF, &program)) fail("TUNSETFILTEREBPF");
  close(program);
}

// Lets in only frames for another guest than this.
static void set_address_filter(int tap) {
  struct {
    struct tun_filter head;
    uint8_t address[6];
  } filter = {{0, 1}, {0x52, 0x54, 0, 0xaa, 0xbb, 0xff}};
  if (ioctl(tap, TUNSETTXFILTER, &filter) < 0) fail("TUNSETTXFILTER");
}

static void make_cause(void) {
  int off = 0, on = 1;
  for (long i = 0; i < queue_count; i++) {
    int tap = queues[i].tap;
    struct ifreq detach = {.ifr_flags = IFF_DETACH_QUEUE};
    if (!strcmp(cause, "socket-filter")) attach_socket_filter(tap);
    if (!strcmp(cause, "length-filter")) attach_length_filter(tap);
    if (!strcmp(cause, "ebpf-filter")) attach_ebpf_filter(tap, 0);
    if (!strcmp(cause, "ebpf-truncate")) attach_ebpf_filter(tap, 40);
    if (!strcmp(cause, "tx-filter")) set_address_filter(tap);
    if (!strcmp(cause, "carrier-off") && ioctl(tap, TUNSETCARRIER, &off)) fail("TUNSETCARRIER");
    if (!strcmp(cause, "detach") && ioctl(tap, TUNSETQUEUE, &detach)) fail("TUNSETQUEUE");
    if (!strcmp(cause, "persist") && ioctl(tap, TUNSETPERSIST, on)) fail("TUNSETPERSIST");
  }
}

int main(void) {
  read_settings();
  prctl(PR_SET_NAME, "qemu-system-x86");
  int file = open(count_file, O_RDWR | O_CREAT | O_TRUNC, 0644);
  if (file < 0 || ftruncate(file, 16)) fail(count_file);
  counts = mmap(NULL, 16, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (counts == MAP_FAILED) fail("mmap");
  signal(SIGUSR1, hang);
  signal(SIGUSR2, hang);
  signal(SIGHUP, want);
  for (long i = 0; i < queue_count; i++) open_queue(&queues[i]);
  pthread_t guest;
  if (pthread_create(&guest, NULL, play_guest, NULL)) fail("pthread_create");
  // Not pause(): a signal between the question and the sleep would wait for the next one.
  for (;; usleep(50000)) {
    if (!wanted) continue;
    wanted = 0;
    make_cause();
  }
}
