// SPDX-License-Identifier: Apache-2.0
// reduce_scatter by hosts, a run of elements of every block at a time: each rank gets the elements
// of its own block from the others of its host, and of blocks of other hosts' ranks a part, which
// it combines and sends to the rank whose block it is.
#include "comm/gloo/by_hosts_reduce.h"

namespace tutti::comm {
namespace {

class ReduceScatter : HostReduction {
 public:
  using HostReduction::HostReduction;

  void run() {
    const int64_t runs = (c_.count + length() - 1) / length();
    const auto at = [&](int64_t run) { return run >= 0 && run < runs; };
    for (int64_t t = 0; t < runs + 2; ++t) {
      if (at(t)) scatter(t);
      if (at(t - 1)) combine(t - 1);
      if (at(t - 2)) finish(t - 2);
    }
  }

 private:
  int64_t length() const {
    const auto fits = [&](size_t size) { return static_cast<int64_t>(courier_.capacity() / size); };
    const int64_t far = courier_.size() - 1;
    int64_t most = fits(wide_) - unit_;
    if (map_.least_shared != 0)
      most = std::min(most, (fits(element_) - far * unit_) / (2 + far / map_.least_shared));
    constexpr int64_t kRuns = 8, kLeast = 4096;
    const int64_t wanted = std::max(c_.count / kRuns, kLeast);
    return std::max(std::min(most, wanted) / unit_, int64_t{1}) * unit_;
  }
  int64_t elements(int64_t run) const { return std::min(length(), c_.count - run * length()); }
  /// What rank r carries of each block of another host.
  Part carried(int r, int64_t run) const {
    return part_of(elements(run), element_, map_.index[static_cast<size_t>(r)],
                   map_.ranks_of(map_.host[static_cast<size_t>(r)]));
  }
  const std::byte* input(int block, int64_t run) const {
    return in_ + bytes(block * c_.count + run * length());
  }
  template <class F>
  void for_far(const F& f) {
    for (int r = 0; r < courier_.size(); ++r)
      if (map_.host[static_cast<size_t>(r)] != host_) f(r);
  }

  void scatter(int64_t run) {
    const int far = courier_.size() - map_.ranks_of(host_);
    for (int r : near_ranks()) {
      if (r == me_) continue;
      const Part part = carried(r, run);
      const size_t all = bytes(elements(run) + far * part.size());
      std::byte* to = courier_.room(r, all);
      copy_bytes(to, input(r, run), bytes(elements(run)));
      to += bytes(elements(run));
      for_far([&](int block) {
        copy_bytes(to, input(block, run) + bytes(part.begin), bytes(part.size()));
        to += bytes(part.size());
      });
      courier_.go(r, all);
    }
  }

  void combine(int64_t run) {
    courier_.await(near_);
    combine_near(input(me_, run), 0, kept(run, length()), elements(run));
    size_t at = bytes(elements(run));
    const Part part = carried(me_, run);
    for_far([&](int block) {
      if (part.size() == 0) return;
      combine_near(input(block, run) + bytes(part.begin), at,
                   courier_.room(block, wide(part.size())), part.size());
      courier_.go(block, wide(part.size()));
      at += bytes(part.size());
    });
    courier_.take_all(near_);
  }

  void finish(int64_t run) {
    uint64_t far = 0;
    for_far([&](int r) {
      if (carried(r, run).size() != 0) far |= TcpGroup::bit(r);
    });
    courier_.await(far);
    no_sources();
    add_source(host_, {0, elements(run)}, kept(run, length()));
    for_far([&](int r) {
      if ((far >> r & 1) != 0)
        add_source(map_.host[static_cast<size_t>(r)], carried(r, run), message(r));
    });
    combine_hosts({0, elements(run)}, out_ + bytes(run * length()));
    courier_.take_all(far);
  }
};

}  // namespace

void reduce_scatter_by_hosts(Courier& courier, const HostMap& map, const Collective& c,
                             const std::byte* in, std::byte* out, std::vector<std::byte>& kept) {
  ReduceScatter(courier, map, c, in, out, kept).run();
}

}  // namespace tutti::comm
