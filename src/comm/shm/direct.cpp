// SPDX-License-Identifier: Apache-2.0
// Collectives between threads, from buffer to buffer. All buffers are known after the first step;
// the last step lets a rank go when nobody needs its buffers any more.
#include <algorithm>
#include <array>
#include <numeric>

#include "comm/reduce.h"
#include "comm/shm/shm_transport.h"

namespace tutti::comm {
namespace {

constexpr size_t kTileBytes = 16 << 10;    // of each input, so that a tile stays in the L1 or L2
constexpr size_t kPieceBytes = 256 << 10;  // copied between looks at the group's failure

int64_t sum_before(const int64_t* counts, int r) {
  return std::accumulate(counts, counts + r, int64_t{0});
}

}  // namespace

const std::byte* ShmTransport::peer_in(const Work& w, int r) {
  return static_cast<const std::byte*>(
      group_.block(r).collective[w.record.number() % kHistory].in());
}

std::byte* ShmTransport::peer_out(const Work& w, int r) {
  return static_cast<std::byte*>(group_.block(r).collective[w.record.number() % kHistory].out());
}

void ShmTransport::direct_copy(Work& w, std::byte* to, const std::byte* from, size_t bytes) {
  for (size_t at = 0; at < bytes; at += kPieceBytes) {
    group_.check();
    copy_bytes(to + at, from + at, std::min(kPieceBytes, bytes - at), w.stream);
  }
}

/// Elements [begin, end) of all inputs, reduced into the outputs of ranks [first, last); outputs
/// start at element `begin` when each rank gets its own part only.
void ShmTransport::direct_reduce(Work& w, int64_t begin, int64_t end, int first, int last) {
  const bool scatter = w.c.kind == Kind::reduce_scatter;
  const auto tile = static_cast<int64_t>(kTileBytes / w.element);
  std::array<const void*, kMostRanks> ins;
  for (int64_t at = begin; at < end; at += tile) {
    group_.check();
    const int64_t n = std::min(tile, end - at);
    const size_t offset = static_cast<size_t>(at) * w.element;
    const size_t to = static_cast<size_t>(scatter ? at - begin : at) * w.element;
    for (int r = 0; r < size(); ++r) ins[static_cast<size_t>(r)] = peer_in(w, r) + offset;
    std::byte* result = peer_out(w, first) + to;
    reduce_elements(w.c.dtype, w.c.reduce, std::span(ins.data(), static_cast<size_t>(size())),
                    result, n);
    for (int r = first + 1; r < last; ++r)
      copy_bytes(peer_out(w, r) + to, result, static_cast<size_t>(n) * w.element, w.stream);
  }
}

void ShmTransport::direct(Work& w) {
  const int n = size(), me = rank();
  const size_t bytes = static_cast<size_t>(w.c.count) * w.element;
  const auto at = [&](int r) { return static_cast<size_t>(r) * bytes; };
  group_.begin_access();
  switch (w.c.kind) {
    case Kind::all_reduce:
    case Kind::reduce: {
      const auto unit = static_cast<int64_t>(64 / w.element);
      const int64_t units = (w.c.count + unit - 1) / unit;
      const auto edge = [&](int r) { return std::min(w.c.count, units * r / n * unit); };
      const bool all = w.c.kind == Kind::all_reduce;
      direct_reduce(w, edge(me), edge(me + 1), all ? 0 : w.c.root, all ? n : w.c.root + 1);
      break;
    }
    case Kind::reduce_scatter:
      direct_reduce(w, w.c.count * me, w.c.count * (me + 1), me, me + 1);
      break;
    case Kind::all_gather:
      for (int k = 0; k < n; ++k) {
        const int r = (me + k) % n;
        direct_copy(w, w.out + at(r), peer_in(w, r), bytes);
      }
      break;
    case Kind::all_to_all:
      for (int k = 0; k < n; ++k) {
        const int r = (me + k) % n;
        direct_copy(w, w.out + at(r), peer_in(w, r) + at(me), bytes);
      }
      break;
    case Kind::all_to_all_v:
      for (int k = 0; k < n; ++k) {
        const int r = (me + k) % n;
        const int64_t* sends = group_.segment().counts(r, group_.steps() - 1);
        direct_copy(w, w.out + static_cast<size_t>(sum_before(w.c.receives.data(), r)) * w.element,
                    peer_in(w, r) + static_cast<size_t>(sum_before(sends, me)) * w.element,
                    static_cast<size_t>(sends[me]) * w.element);
      }
      break;
    case Kind::broadcast:
      direct_copy(w, w.out, peer_in(w, w.c.root), bytes);
      break;
    case Kind::gather:
      direct_copy(w, peer_out(w, w.c.root) + at(me), w.in, bytes);
      break;
    case Kind::scatter:
      direct_copy(w, w.out, peer_in(w, w.c.root) + at(me), bytes);
      break;
    default:
      break;
  }
  group_.end_access();
  step(w);
}

}  // namespace tutti::comm
