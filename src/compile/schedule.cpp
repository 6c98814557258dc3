// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <vector>

#include "compile/pass.h"
#include "ops/collectives.h"
#include "ops/view_layout.h"

namespace tutti {
namespace {

// How many nodes may overtake one that would wait: what they compute takes memory meanwhile.
constexpr size_t kLookAhead = 64;

// Puts nodes in an order in which each collective starts as soon as what it sends is there, and
// nodes that need its result come as late as others can run before them. Collectives keep their
// order among themselves, which ranks share.
class Scheduler {
 public:
  explicit Scheduler(Function& f)
      : f_(f), made_(f.values.size(), true), running_(f.values.size(), 0), done_(f.nodes.size()) {
    for (size_t n = 0; n < f.nodes.size(); ++n) {
      for (const ValueId id : f.nodes[n].outputs) made_[index(id)] = false;
      if (is_collective(f.nodes[n].op)) collectives_.push_back(n);
    }
    mark_ancestors();
  }

  bool run() {
    if (collectives_.empty()) return false;
    std::vector<size_t> order;
    for (size_t front = 0; front < f_.nodes.size();) {
      if (done_[front]) {
        ++front;
        continue;
      }
      const size_t n = choose(front);
      take(n);
      order.push_back(n);
    }
    return apply(order);
  }

 private:
  static size_t index(ValueId id) { return static_cast<size_t>(id); }

  // For each node the first collective that needs it, directly or not.
  void mark_ancestors() {
    first_need_.assign(f_.nodes.size(), SIZE_MAX);
    for (size_t c = 0; c < collectives_.size(); ++c) first_need_[collectives_[c]] = c;
    for (size_t n = f_.nodes.size(); n-- > 0;) {
      for (const ValueId id : f_.nodes[n].inputs) {
        const int32_t producer = f_.value(id).producer;
        if (producer == kNone) continue;
        size_t& need = first_need_[static_cast<size_t>(producer)];
        need = std::min(need, first_need_[n]);
      }
    }
  }

  bool ready(size_t n) const {
    return std::all_of(f_.nodes[n].inputs.begin(), f_.nodes[n].inputs.end(),
                       [&](ValueId id) { return made_[index(id)]; });
  }

  // How many collectives must have ended before the node runs, beyond those that were waited for;
  // 0 for none. A group runs its collectives in order, so the last one counts. A view of what is
  // on its way needs no wait.
  size_t waits_for(size_t n) const {
    if (is_view(f_.nodes[n].op)) return 0;
    size_t last = 0;
    for (const ValueId id : f_.nodes[n].inputs) last = std::max(last, running_[index(id)]);
    return last > ended_ ? last : 0;
  }

  bool is_turn(size_t n) const {
    return !is_collective(f_.nodes[n].op) ||
           (next_collective_ < collectives_.size() && collectives_[next_collective_] == n);
  }

  // The next collective if it can start; else, of the nodes near the front, those that wait for the
  // fewest collectives, and of these one that the next collective needs, or the first.
  size_t choose(size_t front) const {
    if (next_collective_ < collectives_.size()) {
      const size_t c = collectives_[next_collective_];
      if (ready(c) && waits_for(c) == 0) return c;
    }
    size_t best = front;
    auto price = std::pair(SIZE_MAX, true);
    const size_t end = std::min(f_.nodes.size(), front + kLookAhead);
    for (size_t n = front; n < end; ++n) {
      if (done_[n] || !is_turn(n) || !ready(n)) continue;
      const auto own = std::pair(waits_for(n), first_need_[n] > next_collective_);
      if (own >= price) continue;
      price = own;
      best = n;
    }
    return best;
  }

  void take(size_t n) {
    const Node& node = f_.nodes[n];
    ended_ = std::max(ended_, waits_for(n));
    size_t pending = is_view(node.op) ? running_[index(node.inputs[0])] : 0;
    if (is_collective(node.op)) pending = ++next_collective_;
    done_[n] = true;
    for (const ValueId id : node.outputs) {
      made_[index(id)] = true;
      running_[index(id)] = pending;
    }
  }

  bool apply(const std::vector<size_t>& order) {
    if (std::is_sorted(order.begin(), order.end())) return false;
    std::vector<Node> nodes;
    for (const size_t n : order) nodes.push_back(std::move(f_.nodes[n]));
    f_.nodes = std::move(nodes);
    for (size_t n = 0; n < f_.nodes.size(); ++n)
      for (const ValueId id : f_.nodes[n].outputs) f_.value(id).producer = static_cast<int32_t>(n);
    return true;
  }

  Function& f_;
  std::vector<bool> made_;           // by value: computed
  std::vector<size_t> running_;      // by value: the number, from 1, of the collective it is of
  std::vector<bool> done_;           // by node
  std::vector<size_t> collectives_;  // nodes, in order
  std::vector<size_t> first_need_;   // by node: index in collectives_
  size_t next_collective_ = 0;       // index in collectives_: as many have started
  size_t ended_ = 0;                 // as many have been waited for
};

}  // namespace

bool schedule(Compilation& c) { return Scheduler(c.function).run(); }

}  // namespace tutti
