// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>

#include "comm/gloo/by_hosts.h"
#include "comm/part.h"

namespace tutti::comm {

/// What all_reduce and reduce_scatter by hosts have in common.
class HostReduction {
 public:
  HostReduction(Courier& courier, const HostMap& map, const Collective& c, const std::byte* in,
                std::byte* out, std::vector<std::byte>& kept)
      : courier_(courier), map_(map), c_(c), in_(in), out_(out), kept_(kept) {
    for (int r : near_ranks())
      if (r != me_) near_ |= TcpGroup::bit(r);
  }

 protected:
  /// A host's partial result of some elements.
  struct Source {
    Part part;
    const std::byte* data = nullptr;
  };

  const std::vector<int>& near_ranks() const { return map_.ranks[static_cast<size_t>(host_)]; }
  size_t wide(int64_t n) const { return static_cast<size_t>(n) * wide_; }
  size_t bytes(int64_t n) const { return static_cast<size_t>(n) * element_; }
  const std::byte* message(int r) { return courier_.front(r).data; }

  /// Two places for partial results of this rank's own elements, of this run and the one before.
  std::byte* kept(int64_t run, int64_t most) {
    if (kept_.size() < 2 * wide(most)) kept_.resize(2 * wide(most));
    return kept_.data() + static_cast<size_t>(run % 2) * wide(most);
  }

  /// Combines n elements of this host's ranks: those of this one, and of messages at byte `at`.
  void combine_near(const std::byte* own, size_t at, std::byte* to, int64_t n) {
    std::array<const void*, kMostRanks> ins;
    size_t count = 0;
    for (int r : near_ranks()) ins[count++] = r == me_ ? own : message(r) + at;
    reduce_to_partial(c_.dtype, c_.reduce, std::span(ins.data(), count), to, n);
  }

  void no_sources() { counts_.fill(0); }
  void add_source(int host, Part part, const std::byte* data) {
    const auto h = static_cast<size_t>(host);
    sources_[h][counts_[h]++] = {part, data};
  }
  /// Combines what the hosts' sources say of `part`, which each host's cover in order.
  void combine_hosts(Part part, std::byte* to) {
    std::array<size_t, kMostRanks> at{};
    std::array<const void*, kMostRanks> ins;
    const auto hosts = static_cast<size_t>(map_.count());
    for (int64_t x = part.begin; x < part.end;) {
      int64_t end = part.end;
      for (size_t h = 0; h < hosts; ++h) {
        while (sources_[h][at[h]].part.end <= x) ++at[h];
        const Source& source = sources_[h][at[h]];
        ins[h] = source.data + wide(x - source.part.begin);
        end = std::min(end, source.part.end);
      }
      reduce_from_partial(c_.dtype, c_.reduce, std::span(ins.data(), hosts),
                          to + bytes(x - part.begin), end - x, courier_.size());
      x = end;
    }
  }

  Courier& courier_;
  const HostMap& map_;
  const Collective& c_;
  const std::byte* in_;
  std::byte* out_;
  std::vector<std::byte>& kept_;
  const int me_ = courier_.rank();
  const int host_ = map_.host[static_cast<size_t>(me_)];
  const size_t element_ = size_of(c_.dtype);
  const size_t wide_ = size_of(partial_dtype(c_.dtype));
  const int64_t unit_ = static_cast<int64_t>(64 / element_);
  uint64_t near_ = 0;  // the other ranks of this host

 private:
  std::array<std::array<Source, kMostRanks>, kMostRanks> sources_;
  std::array<size_t, kMostRanks> counts_;
};

}  // namespace tutti::comm
