// SPDX-License-Identifier: Apache-2.0
// Sends and receives: messages cut into pieces, on lanes of their own. The first piece of a message
// carries what the sender believes it is.
#include <algorithm>
#include <cstring>

#include "comm/gloo/gloo_transport.h"
#include "comm/reduce.h"
#include "core/error.h"

namespace tutti::comm {
namespace {

constexpr size_t kHeadBytes = 128;
static_assert(Record::kTravelWords * sizeof(uint64_t) <= kHeadBytes);

}  // namespace

void GlooTransport::open(Pair& pair, uint64_t label_hash) {
  group_.check();
  group_.begin_pair(pair.what, pair.number, label_hash, pair.entry);
  pair.label_hash = label_hash;
}

bool GlooTransport::advance(Pair& pair) {
  group_.check();
  Lane& lane = lanes_.pairs(pair.what.root);
  bool moved = false;
  while (!pair.done &&
         (pair.what.kind == Kind::send ? advance_send(pair, lane) : advance_recv(pair, lane)))
    moved = true;
  if (!moved) return false;
  suspect_ = false;
  group_.show_moving();
  if (pair.done) group_.end(group_.pair_record(pair.entry));
  return true;
}

bool GlooTransport::advance_send(Pair& pair, Lane& lane) {
  if (!lane.has_room()) return false;
  const size_t head = pair.agreed ? 0 : kHeadBytes;
  const size_t most = lanes_.pair_capacity() - head;
  const size_t bytes = std::min(pair.bytes - pair.moved, most);
  std::byte* to = lane.place(head + bytes);
  if (!pair.agreed) {
    Record offer;
    describe_message(pair, rank(), offer);
    uint64_t words[Record::kTravelWords];
    offer.pack(words);
    std::memcpy(to, words, sizeof words);
  }
  copy_bytes(to + head, pair.data + pair.moved, bytes);
  lane.send(head + bytes);
  pair.agreed = true;
  pair.moved += bytes;
  pair.done = pair.moved == pair.bytes;
  return true;
}

bool GlooTransport::advance_recv(Pair& pair, Lane& lane) {
  if (!lane.has_message()) return false;
  const auto message = lane.front();
  const size_t head = pair.agreed ? 0 : kHeadBytes;
  if (!pair.agreed) {
    Record wanted, offer;
    describe_message(pair, rank(), wanted);
    offer.unpack(reinterpret_cast<const uint64_t*>(message.data()), 0);
    if (!wanted.matches(offer))
      group_.fail(Errc::invalid_argument,
                  difference_text(group_, group_.pair_record(pair.entry), pair.what.root, offer));
  }
  pair.agreed = true;
  copy_bytes(pair.data + pair.moved, message.data() + head, message.size() - head);
  pair.moved += message.size() - head;
  pair.done = pair.moved == pair.bytes;
  lane.pop();
  return true;
}

void GlooTransport::idle(const Pair& blame, int64_t since_ns, int rounds) {
  group_.pause_pair(since_ns, rounds);
  group_.look_at(blame.what.root, group_.pair_record(blame.entry), since_ns, suspect_);
}

}  // namespace tutti::comm
