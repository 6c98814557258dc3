// SPDX-License-Identifier: Apache-2.0
#include "comm/tcp/board.h"

#include <algorithm>

#include "comm/blame.h"

namespace tutti::comm {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

uint64_t oldest_kept(uint64_t last) { return last < kHistory ? 1 : last - kHistory + 1; }

void write_ring(FrameWriter& frame, const Record* ring, uint64_t first, uint64_t last) {
  frame.put(last);
  frame.put(static_cast<uint32_t>(last + 1 - first));
  for (uint64_t n = first; n <= last; ++n) {
    uint64_t words[Record::kTravelWords];
    ring[n % kHistory].pack(words);
    frame.put(words);
  }
}

// Entry n of a ring of pairs has a number of its own; so the place is told by n, not by that.
void read_ring(FrameReader& frame, Record* ring, std::atomic<uint64_t>& count, int64_t shift) {
  const auto last = frame.get<uint64_t>();
  const auto entries = frame.get<uint32_t>();
  if (entries > kHistory) return;
  for (uint64_t n = last + 1 - entries; n <= last && frame.ok(); ++n) {
    struct Words {
      uint64_t at[Record::kTravelWords];
    };
    const auto words = frame.get<Words>();
    // What came with data in the meantime is newer.
    if (frame.ok() && n + kHistory > count.load(kRelaxed))
      ring[n % kHistory].unpack(words.at, shift);
  }
  if (frame.ok() && last > count.load(kRelaxed)) count.store(last, std::memory_order_release);
}

uint64_t first_open(const Record* ring, uint64_t from, uint64_t last) {
  uint64_t n = std::max(from, oldest_kept(last));
  while (n <= last && !ring[n % kHistory].is_open()) ++n;
  return n;
}

void raise(std::atomic<int64_t>& to, int64_t value) {
  if (value > to.load(kRelaxed)) to.store(value, kRelaxed);
}

}  // namespace

Board::Board(uint64_t id, int rank, int outer_size)
    : id_(id), rank_(rank), ranks_(new Activity[static_cast<size_t>(outer_size)]()) {}

void Board::heard(int outer, const uint64_t* record, int64_t now) {
  const std::lock_guard lock(mutex_);
  Activity& a = of(outer);
  const uint64_t number = record[0];
  if (number < a.collectives.load(kRelaxed)) return;
  uint64_t words[Record::kTravelWords];
  std::copy(record, record + Record::kTravelWords, words);
  words[Record::kTravelStart] = static_cast<uint64_t>(now);
  a.collective[number % kHistory].unpack(words, 0);
  a.collectives.store(number, std::memory_order_release);
  raise(a.seen_ns, now);
}

void Board::write_mine(FrameWriter& frame, bool whole) const {
  const Activity& a = ranks_[static_cast<size_t>(rank_)];
  const uint64_t collectives = a.collectives.load(std::memory_order_acquire);
  const uint64_t pairs = a.pairs.load(std::memory_order_acquire);
  const int32_t waits_for = a.waits_for.load(kRelaxed);
  frame.put(id_);
  // Who is seen to wait is alive, whatever it is doing about it.
  frame.put(waits_for != 0 ? now_ns() : a.seen_ns.load(kRelaxed));
  frame.put(waits_for);
  frame.put(a.left.load(kRelaxed));
  const auto first = [&](uint64_t fresh, uint64_t last) {
    return whole ? oldest_kept(last) : std::max(fresh, oldest_kept(last));
  };
  write_ring(frame, a.collective, first(new_collectives_, collectives), collectives);
  write_ring(frame, a.pair, first(new_pairs_, pairs), pairs);
}

void Board::turn() {
  const Activity& a = ranks_[static_cast<size_t>(rank_)];
  new_collectives_ = first_open(a.collective, new_collectives_, a.collectives.load());
  new_pairs_ = first_open(a.pair, new_pairs_, a.pairs.load());
}

void Board::read_from(int outer, FrameReader& frame, int64_t clock_shift_ns) {
  const std::lock_guard lock(mutex_);
  Activity& a = of(outer);
  const auto seen = frame.get<int64_t>();
  const auto waits_for = frame.get<int32_t>();
  const auto left = frame.get<uint32_t>();
  if (!frame.ok()) return;
  if (seen != 0) raise(a.seen_ns, seen + clock_shift_ns);
  a.waits_for.store(waits_for, kRelaxed);
  if (left != 0) a.left.store(left, std::memory_order_release);
  read_ring(frame, a.collective, a.collectives, clock_shift_ns);
  read_ring(frame, a.pair, a.pairs, clock_shift_ns);
}

}  // namespace tutti::comm
