// SPDX-License-Identifier: Apache-2.0
#include "shard/cost.h"

#include <algorithm>
#include <map>

#include "comm/collective.h"
#include "ops/attention.h"
#include "ops/collectives.h"
#include "ops/flops.h"
#include "ops/view_layout.h"
#include "ops/views.h"
#include "shard/localize.h"

namespace tutti::shard {
namespace {

int64_t count(const TensorType& type) { return elements(type.shape).value(); }
int64_t bytes(const TensorType& type) {
  return count(type) * static_cast<int64_t>(size_of(type.dtype));
}

class Pricer {
 public:
  Pricer(const Function& f, const Profile& profile) : f_(f), profile_(profile) {}

  Cost run() {
    for (const Node& node : f_.nodes) add(node);
    cost_.weight_bytes = weight_bytes();
    cost_.live_bytes = live_bytes();
    cost_.seconds += travelling_;
    return cost_;
  }

 private:
  void add(const Node& node) {
    if (is_collective(node.op)) return add_collective(node);
    if (is_view(node.op)) return;
    const double sums = sums_of(node);
    int64_t moved = 0;
    for (const ValueId id : node.outputs) moved += bytes(f_.type(id));
    if (sums > 0)
      for (const ValueId id : node.inputs) moved += bytes(f_.type(id));
    double seconds =
        std::max(sums / profile_.sums_per_s, static_cast<double>(moved) / profile_.bytes_per_s);
    // Messages travel while attention runs.
    if (node.op.as<Attention>()) {
      const double hidden = std::min(seconds, travelling_);
      travelling_ -= hidden;
    }
    cost_.sums += sums;
    cost_.moved_bytes += moved;
    cost_.seconds += seconds;
  }

  double sums_of(const Node& node) const {
    const auto shapes = [&](const std::vector<ValueId>& ids) {
      std::vector<Dims> list;
      for (const ValueId id : ids) list.push_back(constant_dims(f_.type(id).shape));
      return list;
    };
    return flops(node.op, shapes(node.inputs), shapes(node.outputs)) / 2;
  }

  void add_collective(const Node& node) {
    std::vector<Tensor> in, out;
    const auto layout = [&](ValueId id) {
      const TensorType& type = f_.type(id);
      return Tensor{nullptr, type.dtype, constant_dims(type.shape), {}, nullptr};
    };
    for (const ValueId id : node.inputs) in.push_back(layout(id));
    for (const ValueId id : node.outputs) out.push_back(layout(id));
    const auto call = group_call(node.op, in, out);
    comm::Collective what = call->what;
    what.sends = call->sends;
    what.receives = call->receives;
    const int size = static_cast<int>(call->where.size);
    const int64_t sent =
        comm::sent_elements(what, 0, size) * static_cast<int64_t>(size_of(what.dtype));
    cost_.sent_bytes += sent;
    ++cost_.collectives;
    const double seconds =
        profile_.link_latency_s + static_cast<double>(sent) / profile_.link_bytes_per_s;
    if (comm::is_pair(what.kind))
      travelling_ += seconds;
    else
      cost_.seconds += seconds;
  }

  // Of the whole of a weight, or of the parts that are cut out before anything else.
  int64_t weight_bytes() const {
    std::vector<std::vector<const Node*>> users(f_.values.size());
    for (const Node& node : f_.nodes)
      for (const ValueId id : node.inputs) users[static_cast<size_t>(id)].push_back(&node);
    int64_t sum = 0;
    const auto read = [&](const auto& self, ValueId id) -> int64_t {
      int64_t parts = 0;
      for (const Node* node : users[static_cast<size_t>(id)]) {
        if (node->op.as<Slice>())
          parts += bytes(f_.type(node->outputs[0]));
        else if (is_view(node->op))
          parts += self(self, node->outputs[0]);
        else
          return bytes(f_.type(id));
      }
      return std::min(parts, bytes(f_.type(id)));
    };
    for (size_t v = 0; v < f_.values.size(); ++v)
      if (f_.values[v].resident != kNone) sum += read(read, static_cast<ValueId>(v));
    return sum;
  }

  int64_t live_bytes() const {
    std::vector<int64_t> last(f_.values.size(), -1);
    std::vector<ValueId> base(f_.values.size());
    for (size_t v = 0; v < base.size(); ++v) base[v] = static_cast<ValueId>(v);
    for (size_t n = 0; n < f_.nodes.size(); ++n) {
      const Node& node = f_.nodes[n];
      for (const ValueId id : node.inputs)
        last[static_cast<size_t>(base[static_cast<size_t>(id)])] = static_cast<int64_t>(n);
      if (is_view(node.op))
        base[static_cast<size_t>(node.outputs[0])] = base[static_cast<size_t>(node.inputs[0])];
    }
    std::vector<int64_t> change(f_.nodes.size() + 1);
    for (size_t n = 0; n < f_.nodes.size(); ++n) {
      if (is_view(f_.nodes[n].op)) continue;
      for (const ValueId id : f_.nodes[n].outputs) {
        const int64_t end = last[static_cast<size_t>(id)];
        change[n] += bytes(f_.type(id));
        if (end >= 0) change[static_cast<size_t>(end) + 1] -= bytes(f_.type(id));
      }
    }
    int64_t now = 0, most = 0;
    for (const int64_t c : change) most = std::max(most, now += c);
    return most;
  }

  const Function& f_;
  const Profile& profile_;
  Cost cost_;
  double travelling_ = 0;  // seconds of messages on their way
};

}  // namespace

Cost price(const Function& local, const Profile& profile) { return Pricer(local, profile).run(); }

Cost price(const Function& f, const Strategy& strategy, const Profile& profile) {
  const Ways ways = ways_of(strategy);
  if (ways.mesh.size() == 1) return price(f, profile);
  Function whole = f;
  const Placements placements = shard(whole, ways);
  Cost worst;
  for (const int rank : {0, ways.mesh.size() - 1}) {
    const Cost cost = price(localize(whole, ways.mesh, placements, rank).function, profile);
    const int64_t memory = std::max(worst.memory_bytes(), cost.memory_bytes());
    if (cost.seconds > worst.seconds) worst = cost;
    worst.live_bytes = memory - worst.weight_bytes;
  }
  return worst;
}

std::vector<Judged> judge(const Function& f, int ranks, const Profile& profile,
                          int64_t memory_limit) {
  std::vector<Judged> all;
  for (NamedStrategy& named : strategies(ranks)) {
    const Cost cost = price(f, named.strategy, profile);
    Judged judged{std::move(named), cost, true};
    judged.fits = memory_limit == 0 || judged.cost.memory_bytes() <= memory_limit;
    all.push_back(std::move(judged));
  }
  std::stable_sort(all.begin(), all.end(), [](const Judged& a, const Judged& b) {
    if (a.fits != b.fits) return a.fits;
    return a.fits ? a.cost.seconds < b.cost.seconds : a.cost.memory_bytes() < b.cost.memory_bytes();
  });
  return all;
}

}  // namespace tutti::shard
