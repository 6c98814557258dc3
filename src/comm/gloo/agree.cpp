// SPDX-License-Identifier: Apache-2.0
// The first message of a collective: what its sender runs, the counts of an all_to_all_v, and the
// data if there are few. Nothing is written before all have said the same.
#include <algorithm>
#include <cstring>
#include <numeric>

#include "comm/gloo/gloo_transport.h"
#include "comm/reduce.h"
#include "core/error.h"

namespace tutti::comm {
namespace {

constexpr size_t kRecordBytes = Record::kTravelWords * sizeof(uint64_t);

size_t round_up(size_t bytes) { return (bytes + 63) / 64 * 64; }

int64_t before(std::span<const int64_t> counts, int r) {
  return std::accumulate(counts.begin(), counts.begin() + r, int64_t{0});
}

}  // namespace

/// What rank r needs of this one in all.
Block GlooTransport::gives(const Work& w, int r) const {
  const size_t bytes = static_cast<size_t>(w.c.count) * w.element;
  const Block block{w.in + static_cast<size_t>(r) * bytes, bytes};
  switch (w.c.kind) {
    case Kind::all_reduce:
    case Kind::all_gather:
      return {w.in, bytes};
    case Kind::reduce:
    case Kind::gather:
      return r == w.c.root ? Block{w.in, bytes} : Block{};
    case Kind::broadcast:
      return rank() == w.c.root ? Block{w.in, bytes} : Block{};
    case Kind::scatter:
      return rank() == w.c.root ? block : Block{};
    case Kind::reduce_scatter:
    case Kind::all_to_all:
      return block;
    case Kind::all_to_all_v:
      return {w.in + static_cast<size_t>(before(w.c.sends, r)) * w.element,
              static_cast<size_t>(w.c.sends[static_cast<size_t>(r)]) * w.element};
    default:
      return {};
  }
}

/// How many bytes this rank needs of rank r; what gives() says there.
size_t GlooTransport::gets(const Work& w, int r) const {
  const size_t bytes = static_cast<size_t>(w.c.count) * w.element;
  switch (w.c.kind) {
    case Kind::barrier:
      return 0;
    case Kind::reduce:
    case Kind::gather:
      return rank() == w.c.root ? bytes : 0;
    case Kind::broadcast:
    case Kind::scatter:
      return r == w.c.root ? bytes : 0;
    case Kind::all_to_all_v:
      return static_cast<size_t>(w.c.receives[static_cast<size_t>(r)]) * w.element;
    default:
      return bytes;
  }
}

/// Where what rank r gives goes, when nothing is reduced.
std::byte* GlooTransport::place_of(const Work& w, int r) const {
  if (w.c.kind == Kind::all_to_all_v)
    return w.out + static_cast<size_t>(before(w.c.receives, r)) * w.element;
  if (w.c.kind == Kind::broadcast || w.c.kind == Kind::scatter) return w.out;
  return w.out + static_cast<size_t>(r * w.c.count) * w.element;
}

/// Whether all data go along with the first messages.
bool GlooTransport::is_short(const Work& w) const {
  if (w.c.kind == Kind::all_to_all_v) return false;
  return ahead(w, static_cast<size_t>(w.c.count) * w.element) != 0 || w.c.count == 0 ||
         w.c.kind == Kind::barrier;
}

size_t GlooTransport::head_bytes(const Work& w) const {
  const size_t counts = w.c.kind == Kind::all_to_all_v ? 2 * static_cast<size_t>(size()) : 0;
  return round_up(kRecordBytes + counts * sizeof(int64_t));
}

/// How many of so many bytes go along: all or none.
size_t GlooTransport::ahead(const Work& w, size_t bytes) const {
  const size_t most =
      std::min(lanes_.site().options.short_bytes, lanes_.capacity() - head_bytes(w));
  return bytes <= most ? bytes : 0;
}

void GlooTransport::agree(Work& w) {
  const size_t head = head_bytes(w);
  uint64_t words[Record::kTravelWords];
  w.record.pack(words);
  for (int k = 1; k < size(); ++k) {
    const int r = (rank() + k) % size();
    const Block block = gives(w, r);
    const size_t data = ahead(w, block.bytes);
    std::byte* to = w.courier.room(r, head + data);
    std::memcpy(to, words, sizeof words);
    if (w.c.kind == Kind::all_to_all_v) {
      std::memcpy(to + kRecordBytes, w.c.sends.data(), w.c.sends.size_bytes());
      std::memcpy(to + kRecordBytes + w.c.sends.size_bytes(), w.c.receives.data(),
                  w.c.receives.size_bytes());
    }
    copy_bytes(to + head, block.data, data);
    w.courier.go(r, head + data);
  }
  w.courier.await(group_.others());
  compare(w);
  // The data stay for finish_short, all_to_all_v's too.
  if (is_short(w) || w.c.kind == Kind::all_to_all_v) return;
  for (int r = 0; r < size(); ++r)
    if (r != rank()) w.courier.take(r);
}

void GlooTransport::compare(Work& w) {
  const auto words = [&](int r) {
    return reinterpret_cast<const uint64_t*>(w.courier.front(r).data);
  };
  for (int r = 0; r < size(); ++r)
    if (r != rank()) group_.heard(r, words(r));
  Record records[2];
  const auto record = [&](int r, Record& its) -> const Record& {
    if (r == rank()) return w.record;
    its.unpack(words(r), 0);
    return its;
  };
  const Record& first = record(0, records[0]);
  for (int r = 1; r < size(); ++r)
    if (const Record& its = record(r, records[1]); !its.matches(first))
      group_.fail(Errc::invalid_argument, difference_text(group_, r, its, first));
  if (w.c.kind == Kind::all_to_all_v) compare_counts(w);
}

void GlooTransport::compare_counts(Work& w) {
  const auto n = static_cast<size_t>(size());
  const auto count = [&](int r, bool receives, int other) {
    const auto i = static_cast<size_t>(other);
    if (r == rank()) return receives ? w.c.receives[i] : w.c.sends[i];
    int64_t value;
    std::memcpy(&value,
                w.courier.front(r).data + kRecordBytes + (receives ? n + i : i) * sizeof value,
                sizeof value);
    return value;
  };
  for (int from = 0; from < size(); ++from) {
    for (int to = 0; to < size(); ++to) {
      const int64_t sent = count(from, false, to), wanted = count(to, true, from);
      if (sent != wanted)
        group_.fail(Errc::invalid_argument,
                    counts_text(group_, w.record.read(), from, to, sent, wanted));
    }
  }
}

void GlooTransport::finish_short(Work& w) {
  const size_t head = head_bytes(w);
  if (reduces(w.c.kind)) {
    Inputs ins{};
    for (int r = 0; r < size(); ++r)
      ins[static_cast<size_t>(r)] = r == rank() ? gives(w, r).data : w.courier.front(r).data + head;
    if (gets(w, rank()) != 0) reduce_pieces(w, ins, w.out, gets(w, rank()));
  } else {
    for (int r = 0; r < size(); ++r) {
      if (gets(w, r) == 0) continue;
      const std::byte* from = r == rank() ? gives(w, r).data : w.courier.front(r).data + head;
      copy_bytes(place_of(w, r), from, gets(w, r));
    }
  }
  for (int r = 0; r < size(); ++r)
    if (r != rank()) w.courier.take(r);
}

}  // namespace tutti::comm
