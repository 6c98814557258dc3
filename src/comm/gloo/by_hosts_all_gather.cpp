// SPDX-License-Identifier: Apache-2.0
// all_gather by hosts, a piece of every block at a time: each rank sends its piece to one rank of
// each other host, which relays it, in one message with others that it got, to those beside it.
#include <algorithm>

#include "comm/gloo/by_hosts.h"

namespace tutti::comm {
namespace {

class AllGather {
 public:
  AllGather(Courier& courier, const HostMap& map, const Collective& c, std::byte* out)
      : courier_(courier),
        map_(map),
        out_(out),
        block_(static_cast<size_t>(c.count) * size_of(c.dtype)) {
    for (int r = 0; r < courier_.size(); ++r) {
      if (r == me_) continue;
      if (host_of(r) == host_) {
        near_ |= TcpGroup::bit(r);
      } else {
        if (map_.receiver(r, host_) == me_) sources_ |= TcpGroup::bit(r);
      }
    }
  }

  void run() {
    const size_t pieces = (block_ + piece() - 1) / piece();
    for (size_t t = 0; t < pieces + 2; ++t) {
      if (t < pieces) send(t);
      if (t >= 1 && t <= pieces) relay(t - 1);
      if (t >= 1 && t <= pieces) take(t - 1, near_);
      if (t >= 2) take_relayed(t - 2);
    }
  }

 private:
  int host_of(int r) const { return map_.host[static_cast<size_t>(r)]; }
  /// As many bytes that a message holds one of each source.
  size_t piece() const {
    const int shared = std::max(map_.least_shared, 1);
    const auto sources = static_cast<size_t>((courier_.size() + shared - 1) / shared);
    const size_t most = courier_.capacity() / (map_.least_shared == 0 ? 1 : sources);
    constexpr size_t kPieces = 8, kLeast = 16 << 10;
    return std::max(std::min(most, std::max(block_ / kPieces, kLeast)) / 64, size_t{1}) * 64;
  }
  size_t bytes(size_t p) const { return std::min(piece(), block_ - p * piece()); }
  std::byte* place(int r, size_t p) const {
    return out_ + static_cast<size_t>(r) * block_ + p * piece();
  }

  void send(size_t p) {
    const Block mine{place(me_, p), bytes(p)};
    for (int h = 0; h < map_.count(); ++h)
      if (h != host_) courier_.send(map_.receiver(me_, h), mine);
    for (uint64_t left = near_; left != 0; left &= left - 1)
      courier_.send(std::countr_zero(left), mine);
  }

  void take(size_t p, uint64_t ranks) {
    courier_.await(ranks);
    for (uint64_t left = ranks; left != 0; left &= left - 1) {
      const int r = std::countr_zero(left);
      copy_bytes(place(r, p), courier_.front(r).data, courier_.front(r).bytes);
    }
    courier_.take_all(ranks);
  }

  void relay(size_t p) {
    take(p, sources_);
    if (sources_ == 0) return;
    const size_t all = static_cast<size_t>(std::popcount(sources_)) * bytes(p);
    for (uint64_t left = near_; left != 0; left &= left - 1) {
      const int r = std::countr_zero(left);
      std::byte* to = courier_.room(r, all);
      for (uint64_t from = sources_; from != 0; from &= from - 1, to += bytes(p))
        copy_bytes(to, place(std::countr_zero(from), p), bytes(p));
      courier_.go(r, all);
    }
  }

  void take_relayed(size_t p) {
    for (uint64_t left = near_; left != 0; left &= left - 1) {
      const int r = std::countr_zero(left);
      size_t at = 0;
      for (int from = 0; from < courier_.size(); ++from) {
        if (host_of(from) == host_ || map_.receiver(from, host_) != r) continue;
        if (at == 0) courier_.await(TcpGroup::bit(r));
        copy_bytes(place(from, p), courier_.front(r).data + at, bytes(p));
        at += bytes(p);
      }
      if (at != 0) courier_.take(r);
    }
  }

  Courier& courier_;
  const HostMap& map_;
  std::byte* out_;
  size_t block_;
  const int me_ = courier_.rank();
  const int host_ = host_of(me_);
  uint64_t near_ = 0, sources_ = 0;
};

}  // namespace

void all_gather_by_hosts(Courier& courier, const HostMap& map, const Collective& c,
                         const std::byte* in, std::byte* out) {
  const size_t block = static_cast<size_t>(c.count) * size_of(c.dtype);
  copy_bytes(out + static_cast<size_t>(courier.rank()) * block, in, block);
  AllGather(courier, map, c, out).run();
}

}  // namespace tutti::comm
