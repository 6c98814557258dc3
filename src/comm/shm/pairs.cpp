// SPDX-License-Identifier: Apache-2.0
// Sends and receives: messages cut into chunks that go through the ring of a channel. The first
// chunk of a message carries what the sender believes it is.
#include <sched.h>

#include <algorithm>

#include "comm/reduce.h"
#include "comm/shm/futex.h"
#include "comm/shm/shm_transport.h"
#include "core/error.h"

namespace tutti::comm {
namespace {

constexpr int kSpinRounds = 400;
constexpr int kYieldRounds = 600;

}  // namespace

void ShmTransport::open(Pair& pair, uint64_t label_hash) {
  group_.check();
  RankBlock& me = group_.mine();
  pair.entry = me.pairs.load(std::memory_order_relaxed) + 1;
  me.pair[pair.entry % kHistory].begin(pair.what, pair.number, label_hash, now_ns());
  me.pairs.store(pair.entry, std::memory_order_release);
  pair.label_hash = label_hash;
}

bool ShmTransport::advance(Pair& pair) {
  group_.check();
  const bool sends = pair.what.kind == Kind::send;
  const int from = sends ? rank() : pair.what.root;
  const int to = sends ? pair.what.root : rank();
  Channel& channel = group_.segment().channel(from, to);
  bool moved = false;
  while (!pair.done) {
    const uint32_t sent = channel.sent.load(std::memory_order_acquire);
    const uint32_t received = channel.received.load(std::memory_order_acquire);
    if (sends ? sent - received == Channel::kSlots : sent == received) break;
    const uint32_t slot = sends ? sent : received;
    std::byte* data = group_.segment().channel_slot(from, to, slot);
    Record& offer = channel.offer[slot % Channel::kSlots];
    const size_t bytes =
        std::min(pair.bytes - pair.moved, group_.segment().layout().pair_chunk_bytes);
    if (!pair.agreed) agree(pair, offer);
    copy_bytes(sends ? data : pair.data + pair.moved, sends ? pair.data + pair.moved : data, bytes);
    pair.moved += bytes;
    pair.done = pair.moved == pair.bytes;
    (sends ? channel.sent : channel.received).store(slot + 1, std::memory_order_release);
    moved = true;
  }
  if (!moved) return false;
  if (waits_) group_.show_waiting(-1);
  waits_ = false;
  group_.ring(pair.what.root);
  suspect_ = false;
  const int64_t now = now_ns();
  group_.show_alive(now);
  if (pair.done) record_of(pair).end(now);
  return true;
}

Record& ShmTransport::record_of(const Pair& pair) {
  return group_.mine().pair[pair.entry % kHistory];
}

/// The sender leaves what it sends beside the first chunk; the receiver compares.
void ShmTransport::agree(Pair& pair, Record& offer) {
  pair.agreed = true;
  if (pair.what.kind == Kind::send) return describe_message(pair, rank(), offer);
  Record wanted;
  describe_message(pair, rank(), wanted);
  if (wanted.matches(offer)) return;
  group_.fail(Errc::invalid_argument,
              difference_text(group_, record_of(pair), pair.what.root, offer));
}

void ShmTransport::idle(const Pair& blame, int64_t since_ns, int rounds) {
  if (group_.may_spin() && rounds < kSpinRounds) return spin_pause();
  if (rounds < kYieldRounds) {
    sched_yield();
  } else {
    group_.show_waiting(blame.what.root);
    waits_ = true;
    group_.wait_for_bell(bell_);
    const bool late = group_.is_late(since_ns);
    // Who is gone may have done its part before: the next round of advance decides.
    if (late || suspect_) group_.check_peer(blame.what.root, record_of(blame), late);
    suspect_ = group_.is_gone(blame.what.root);
  }
  bell_ = group_.mine().bell.load();
}

}  // namespace tutti::comm
