// SPDX-License-Identifier: Apache-2.0
// all_reduce by hosts, a run of elements at a time; shares.h says who does what. Five things are
// done with each run, one after the other, and with five runs at once:
//
//   scatter   to each rank of the host what it carries
//   combine   that of all of them; partial results go to those who finish them
//   finish    what hosts have combined; results go back to those who carry them
//   deliver   what came back, and what was finished here, to the ranks of the host
//   collect   what they deliver
#include "comm/gloo/by_hosts_reduce.h"
#include "comm/gloo/shares.h"

namespace tutti::comm {
namespace {

class AllReduce : HostReduction {
 public:
  using HostReduction::HostReduction;

  void run() {
    const int64_t runs = (c_.count + length() - 1) / length();
    const auto at = [&](int64_t run) { return run >= 0 && run < runs; };
    for (int64_t t = 0; t < runs + 4; ++t) {
      if (at(t)) scatter(t);
      if (at(t - 1)) combine(t - 1);
      if (at(t - 2)) finish(t - 2);
      if (at(t - 3)) deliver(t - 3);
      if (at(t - 4)) collect(t - 4);
    }
  }

 private:
  /// Elements of a run, for which all messages are short enough.
  int64_t length() const {
    const int64_t hosts = map_.count();
    const auto fits = [&](size_t size) { return static_cast<int64_t>(courier_.capacity() / size); };
    int64_t most = (fits(wide_) - 2 * unit_) * hosts;
    if (map_.least_shared != 0)
      most = std::min(most, (fits(element_) - 2 * hosts * unit_) * map_.least_shared);
    constexpr int64_t kRuns = 8, kLeast = 4096;
    const int64_t wanted = std::max(c_.count / kRuns, kLeast * courier_.size());
    return std::max(std::min(most, wanted) / unit_, int64_t{1}) * unit_;
  }
  int64_t base(int64_t run) const { return run * length(); }
  Shares shares(int64_t run) const {
    return {map_, std::min(length(), c_.count - base(run)), element_};
  }
  /// What rank r carries of the elements that rank `finisher` finishes.
  Part carried_to(const Shares& s, int r, int finisher) const {
    return common(s.carried(r, map_.host[static_cast<size_t>(finisher)]), s.finished(finisher));
  }
  bool is_far(int r) const { return map_.host[static_cast<size_t>(r)] != host_; }

  /// The ranks of other hosts that this one finishes for, or carries for.
  template <class F>
  uint64_t far_ranks(const F& part_with) const {
    uint64_t ranks = 0;
    for (int r = 0; r < courier_.size(); ++r)
      if (is_far(r) && part_with(r).size() != 0) ranks |= TcpGroup::bit(r);
    return ranks;
  }

  void scatter(int64_t run) {
    const Shares s = shares(run);
    for (int r : near_ranks()) {
      const int64_t n = s.carried_in_all(r);
      if (r == me_ || n == 0) continue;
      std::byte* to = courier_.room(r, bytes(n));
      for (int h = 0; h < map_.count(); ++h) {
        const Part part = s.carried(r, h);
        copy_bytes(to, in_ + bytes(base(run) + part.begin), bytes(part.size()));
        to += bytes(part.size());
      }
      courier_.go(r, bytes(n));
    }
  }

  void combine(int64_t run) {
    const Shares s = shares(run);
    if (s.carried_in_all(me_) == 0) return;
    courier_.await(near_);
    size_t at = 0;  // in the messages
    for (int h = 0; h < map_.count(); ++h) {
      const Part carried = s.carried(me_, h);
      for (int r : map_.ranks[static_cast<size_t>(h)]) {
        const Part part = common(carried, s.finished(r));
        if (part.size() == 0) continue;
        const bool mine = r == me_;
        std::byte* to = mine ? kept(run, length()) : courier_.room(r, wide(part.size()));
        combine_near(in_ + bytes(base(run) + part.begin), at + bytes(part.begin - carried.begin),
                     to, part.size());
        if (!mine) courier_.go(r, wide(part.size()));
      }
      at += bytes(carried.size());
    }
    courier_.take_all(near_);
  }

  void finish(int64_t run) {
    const Shares s = shares(run);
    const Part mine = s.finished(me_);
    if (mine.size() == 0) return;
    const uint64_t far = far_ranks([&](int r) { return carried_to(s, r, me_); });
    courier_.await(far);
    no_sources();
    for (int h = 0; h < map_.count(); ++h) {
      if (h == host_) {
        add_source(h, mine, kept(run, length()));
        continue;
      }
      for (int r : map_.ranks[static_cast<size_t>(h)])
        if (const Part part = carried_to(s, r, me_); part.size() != 0)
          add_source(h, part, message(r));
    }
    std::byte* result = out_ + bytes(base(run));
    combine_hosts(mine, result + bytes(mine.begin));
    courier_.take_all(far);
    for (uint64_t left = far; left != 0; left &= left - 1) {
      const int r = std::countr_zero(left);
      const Part part = carried_to(s, r, me_);
      courier_.send(r, {result + bytes(part.begin), bytes(part.size())});
    }
  }

  void deliver(int64_t run) {
    const Shares s = shares(run);
    const uint64_t far = far_ranks([&](int r) { return carried_to(s, me_, r); });
    courier_.await(far);
    std::byte* result = out_ + bytes(base(run));
    for (uint64_t left = far; left != 0; left &= left - 1) {
      const int r = std::countr_zero(left);
      copy_bytes(result + bytes(carried_to(s, me_, r).begin), message(r), courier_.front(r).bytes);
    }
    courier_.take_all(far);
    const int64_t n = s.carried_in_all(me_);
    for (int r : near_ranks()) {
      if (r == me_ || n == 0) continue;
      std::byte* to = courier_.room(r, bytes(n));
      for (int h = 0; h < map_.count(); ++h) {
        const Part part = s.carried(me_, h);
        copy_bytes(to, result + bytes(part.begin), bytes(part.size()));
        to += bytes(part.size());
      }
      courier_.go(r, bytes(n));
    }
  }

  void collect(int64_t run) {
    const Shares s = shares(run);
    uint64_t near = 0;
    for (int r : near_ranks())
      if (r != me_ && s.carried_in_all(r) != 0) near |= TcpGroup::bit(r);
    courier_.await(near);
    for (uint64_t left = near; left != 0; left &= left - 1) {
      const int r = std::countr_zero(left);
      const std::byte* from = message(r);
      for (int h = 0; h < map_.count(); ++h) {
        const Part part = s.carried(r, h);
        copy_bytes(out_ + bytes(base(run) + part.begin), from, bytes(part.size()));
        from += bytes(part.size());
      }
    }
    courier_.take_all(near);
  }
};

}  // namespace

void all_reduce_by_hosts(Courier& courier, const HostMap& map, const Collective& c,
                         const std::byte* in, std::byte* out, std::vector<std::byte>& kept) {
  AllReduce(courier, map, c, in, out, kept).run();
}

}  // namespace tutti::comm
