// SPDX-License-Identifier: Apache-2.0
#include "runtime/call_order.h"

#include <algorithm>
#include <deque>
#include <map>
#include <set>

#include "comm/collective.h"
#include "core/error.h"

namespace tutti::runtime {
namespace {

using Members = std::vector<int>;

// A call of a rank.
struct Place {
  int rank;
  size_t call;
};

class Order {
 public:
  Order(Agreement& agreement, size_t plan)
      : agreement_(agreement), plan_(plan), ranks_(agreement.manifests.size()) {
    for (int r = 0; r < size(); ++r) {
      rank(r).done.resize(calls(r).size());
      for (const PlannedCall& call : calls(r)) groups_.insert(members(r, call));
    }
    groups_.erase(Members{});
  }

  void run() {
    for (bool moved = true; moved;) {
      moved = false;
      for (int r = 0; r < size(); ++r) moved = start_calls(r) || moved;
      for (const Members& group : groups_) moved = meet(group) || pass_messages(group) || moved;
    }
    for (int r = 0; r < size(); ++r)
      if (rank(r).first_open() < calls(r).size()) fail_stuck();
  }

 private:
  struct Rank {
    size_t next = 0;                              // call to start
    std::vector<bool> done;                       // by call
    std::map<Members, std::deque<size_t>> queue;  // started calls of a group that are not done
    std::map<Members, std::vector<size_t>> started;

    size_t first_open() const {
      return static_cast<size_t>(std::find(done.begin(), done.end(), false) - done.begin());
    }
  };

  int size() const { return static_cast<int>(agreement_.manifests.size()); }
  Rank& rank(int r) { return ranks_[static_cast<size_t>(r)]; }
  const std::vector<PlannedCall>& calls(int r) const {
    return agreement_.manifests[static_cast<size_t>(r)].plans[plan_];
  }
  const PlannedCall& call(Place p) const { return calls(p.rank)[p.call]; }
  const Members& members(int r, const PlannedCall& call) const {
    return agreement_.members[static_cast<size_t>(r)][static_cast<size_t>(call.list)];
  }

  bool start_calls(int r) {
    Rank& own = rank(r);
    const size_t before = own.next;
    for (; own.next < calls(r).size(); ++own.next) {
      const PlannedCall& next = calls(r)[own.next];
      const bool waits = std::any_of(next.waits.begin(), next.waits.end(), [&](int32_t needed) {
        return needed >= 0 && static_cast<size_t>(needed) < own.next &&
               !own.done[static_cast<size_t>(needed)];
      });
      const Members& group = members(r, next);
      if (waits || is_full(own, group)) break;
      if (group.empty()) {
        own.done[own.next] = true;
      } else {
        check_peer({r, own.next}, group);
        own.queue[group].push_back(own.next);
        own.started[group].push_back(own.next);
      }
    }
    return own.next != before;
  }

  // Whether a group has as many calls on their way as it takes.
  static bool is_full(Rank& own, const Members& group) {
    const std::vector<size_t>& started = own.started[group];
    return started.size() >= Communicator::kOutstanding &&
           !own.done[started[started.size() - Communicator::kOutstanding]];
  }

  void check_peer(Place p, const Members& group) const {
    const comm::Collective& what = call(p).what;
    if (!comm::is_pair(what.kind) && !comm::has_root(what.kind)) return;
    require_argument(what.root >= 0 && static_cast<size_t>(what.root) < group.size(), side(p),
                     "; positions 0 to ", group.size() - 1, " are there");
    require_argument(!comm::is_pair(what.kind) || group[static_cast<size_t>(what.root)] != p.rank,
                     side(p), ", which is itself; another rank is wanted");
  }

  // Runs a collective when all of the group have come to it.
  bool meet(const Members& group) {
    std::vector<Place> places;
    for (const int m : group) {
      const std::deque<size_t>& queue = rank(m).queue[group];
      if (queue.empty() || comm::is_pair(call({m, queue.front()}).what.kind)) return false;
      places.push_back({m, queue.front()});
    }
    ++numbers_[group];
    for (const Place& p : places) compare(group, places[0], p);
    compare_counts(group, places);
    for (const Place& p : places) finish(group, p, call(places[0]).label);
    return true;
  }

  // Brings together the first send and the first recv between each two ranks.
  bool pass_messages(const Members& group) {
    bool moved = false;
    for (size_t from = 0; from < group.size(); ++from) {
      for (size_t to = 0; to < group.size(); ++to) {
        const size_t send = first_message(group, from, to, comm::Kind::send);
        const size_t recv = first_message(group, to, from, comm::Kind::recv);
        if (send == kNothing || recv == kNothing) continue;
        const Place sender{group[from], send}, receiver{group[to], recv};
        const comm::Collective &x = call(sender).what, &y = call(receiver).what;
        if (x.dtype != y.dtype || x.count != y.count) fail_different(group, sender, receiver);
        const std::string label = call(sender).label;
        finish(group, sender, label);
        finish(group, receiver, label);
        moved = true;
      }
    }
    return moved;
  }

  size_t first_message(const Members& group, size_t at, size_t peer, comm::Kind kind) {
    for (const size_t c : rank(group[at]).queue[group]) {
      const comm::Collective& what = call({group[at], c}).what;
      if (!comm::is_pair(what.kind)) return kNothing;
      if (what.kind == kind && what.root == static_cast<int>(peer)) return c;
    }
    return kNothing;
  }

  void finish(const Members& group, Place p, const std::string& label) {
    std::deque<size_t>& queue = rank(p.rank).queue[group];
    queue.erase(std::find(queue.begin(), queue.end(), p.call));
    rank(p.rank).done[p.call] = true;
    agreement_.labels[static_cast<size_t>(p.rank)][plan_][p.call] = label;
  }

  void compare(const Members& group, Place a, Place b) const {
    const comm::Collective &x = call(a).what, &y = call(b).what;
    const bool same = x.kind == y.kind && x.dtype == y.dtype && x.count == y.count &&
                      (!comm::reduces(x.kind) || x.reduce == y.reduce) &&
                      (!comm::has_root(x.kind) || x.root == y.root);
    if (!same) fail_different(group, a, b);
  }

  void compare_counts(const Members& group, const std::vector<Place>& places) const {
    if (call(places[0]).what.kind != comm::Kind::all_to_all_v) return;
    for (const Place& p : places)
      for (const auto* counts : {&call(p).sends, &call(p).receives})
        require_argument(counts->size() == group.size(), side(p), " with ", counts->size(),
                         " counts; ", group.size(), " are wanted");
    for (size_t i = 0; i < places.size(); ++i) {
      for (size_t j = 0; j < places.size(); ++j) {
        const int64_t sent = call(places[i]).sends[j], expected = call(places[j]).receives[i];
        require_argument(sent == expected, kUnfit, here(group), ": rank ", group[i], " sends ",
                         sent, " elements to rank ", group[j], ", which expects ", expected);
      }
    }
  }

  std::string here(const Members& group) const {
    const auto number = numbers_.find(group);
    return join("plan ", plan_, ", collective #", number == numbers_.end() ? 0 : number->second,
                " of ", ranks_text(group));
  }

  std::string side(Place p) const {
    const PlannedCall& c = call(p);
    return join("rank ", p.rank, " runs ", describe(c.collective()),
                c.label.empty() ? "" : join(" '", c.label, "'"));
  }

  [[noreturn]] void fail_different(const Members& group, Place a, Place b) const {
    fail(Errc::invalid_argument, kUnfit,
         comm::is_pair(call(a).what.kind) ? join("plan ", plan_, ", ", ranks_text(group))
                                          : here(group),
         ": ", side(a), "; ", side(b));
  }

  [[noreturn]] void fail_stuck() {
    std::string text;
    for (int r = 0; r < size(); ++r) {
      const Place p{r, rank(r).first_open()};
      text += r ? "; " : "";
      if (p.call == calls(r).size())
        text += join("rank ", r, " runs no more");
      else
        text += join(side(p), " with ", ranks_text(members(r, call(p))));
    }
    fail(Errc::invalid_argument, kUnfit, "in plan ", plan_, " ranks would wait for ever: ", text);
  }

  static constexpr size_t kNothing = SIZE_MAX;
  static constexpr std::string_view kUnfit = "engines do not fit each other: ";

  Agreement& agreement_;
  size_t plan_;
  std::vector<Rank> ranks_;
  std::set<Members> groups_;
  std::map<Members, int> numbers_;
};

}  // namespace

void check_order(Agreement& agreement, size_t plan) { Order(agreement, plan).run(); }

}  // namespace tutti::runtime
