// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "compile/pass.h"
#include "ops/collectives.h"
#include "ops/concat.h"
#include "ops/views.h"

namespace tutti {
namespace {

// Rows that a collective sends or gets: one for each rank of its group, or one for all.
struct Rows {
  int64_t in, out;
};

std::optional<Rows> rows_of(const Op& op) {
  const int64_t n = op.has_effects() ? rank_list(op)->size : 0;
  if (op.as<AllReduce>()) return Rows{1, 1};
  if (op.as<AllGather>()) return Rows{1, n};
  if (op.as<ReduceScatter>()) return Rows{n, 1};
  if (op.as<AllToAll>()) return Rows{n, n};
  return std::nullopt;
}

// Collectives that are ready together: none follows from another, and they are alike but for what
// they send.
using Key = std::tuple<int, std::string, DType>;

class Merger {
 public:
  Merger(Function& f, std::vector<int> rounds)
      : f_(f), old_(std::move(f.nodes)), rounds_(std::move(rounds)), emitted_(old_.size()) {
    f_.nodes.clear();
    find_groups();
  }

  bool run() {
    const bool any = std::any_of(groups_.begin(), groups_.end(),
                                 [](const auto& group) { return group.second.size() > 1; });
    if (!any) {
      f_.nodes = std::move(old_);
      return false;
    }
    for (size_t n = 0; n < old_.size(); ++n) emit(n);
    return true;
  }

 private:
  void find_groups() {
    rounds_.resize(f_.values.size());
    key_of_.resize(old_.size());
    producer_.assign(f_.values.size(), kNone);
    const Effect* message = nullptr;
    effects_.reserve(old_.size());
    for (size_t n = 0; n < old_.size(); ++n) {
      const Node& node = old_[n];
      int own = 0;
      for (const ValueId id : node.inputs) own = std::max(own, rounds(id));
      if (is_message(node.op)) {
        for (const ValueId id : node.outputs) own = std::max(own, rounds(id));
        own = std::max(own, message != nullptr ? message->round : 0);
        message = &effects_.emplace_back(Effect{n, own, true});
      } else if (is_collective(node.op)) {
        effects_.push_back({n, ++own, false});
      } else {
        for (const ValueId id : node.outputs) own = std::max(own, rounds(id));
      }
      for (const ValueId id : node.outputs) {
        rounds(id) = own;
        producer_[static_cast<size_t>(id)] = static_cast<int32_t>(n);
      }
      const bool uneven = node.op.as<AllToAllV>() && f_.type(node.inputs[0]).rank() == 1;
      if (!rows_of(node.op) && !uneven) continue;
      key_of_[n] = Key{own, text_of(node.op), f_.type(node.inputs[0]).dtype};
      groups_[*key_of_[n]].push_back(n);
    }
  }

  // A collective, or a message; and the round that it is of or comes behind.
  struct Effect {
    size_t node;
    int round;
    bool message;
  };
  int& rounds(ValueId id) { return rounds_[static_cast<size_t>(id)]; }

  // What must be equal: everything but counts.
  static std::string text_of(const Op& op) {
    std::string text(op.name());
    for (const auto& [name, value] : op.attributes())
      if (name != "sends" && name != "receives") text += " " + value;
    return text;
  }

  // A node after all that it needs; a collective together with those of its group.
  void emit(size_t n) {
    std::vector<size_t> stack = {n};
    while (!stack.empty()) {
      const size_t at = stack.back();
      if (emitted_[at]) {
        stack.pop_back();
        continue;
      }
      const std::vector<size_t> members =
          key_of_[at] ? groups_.at(*key_of_[at]) : std::vector<size_t>{at};
      const size_t before = stack.size();
      for (const size_t m : members)
        for (const ValueId id : old_[m].inputs)
          if (const int32_t p = producer_[static_cast<size_t>(id)];
              p != kNone && !emitted_[static_cast<size_t>(p)])
            stack.push_back(static_cast<size_t>(p));
      need_effects(members.back(), stack);
      if (stack.size() != before) continue;
      stack.pop_back();
      if (members.size() == 1)
        append(old_[at]);
      else if (old_[at].op.as<AllToAllV>())
        merge_uneven(members);
      else
        merge(members);
      for (const size_t m : members) emitted_[m] = true;
    }
  }

  // A message follows those before it, as the peer waits for them in their order. A collective
  // follows all of earlier rounds, whether this rank needs them or not: ranks keep one order.
  void need_effects(size_t n, std::vector<size_t>& stack) const {
    if (!is_collective(old_[n].op)) return;
    const auto own = std::find_if(effects_.begin(), effects_.end(),
                                  [&](const Effect& effect) { return effect.node == n; });
    for (const bool messages : {true, false}) {
      for (auto e = std::make_reverse_iterator(own); e != effects_.rend(); ++e) {
        const bool first = own->message ? e->message : e->round < own->round;
        if (first && e->message == messages && !emitted_[e->node]) stack.push_back(e->node);
      }
    }
  }

  void append(const Node& node) {
    f_.nodes.push_back(node);
    for (const ValueId id : node.outputs)
      f_.value(id).producer = static_cast<int32_t>(f_.nodes.size()) - 1;
  }

  ValueId add(Op op, std::vector<ValueId> in, const std::string& scope) {
    return f_.add1(std::move(op), std::move(in), "merged", scope);
  }

  // Row by row, what all send lies side by side.
  void merge(const std::vector<size_t>& members) {
    const Node& first = old_[members[0]];
    const Rows rows = *rows_of(first.op);
    std::vector<ValueId> parts;
    std::vector<int64_t> widths;
    for (const size_t m : members) {
      const ValueId x = old_[m].inputs[0];
      const int64_t width = elements(f_.type(x).shape).value() / rows.in;
      parts.push_back(add(Reshape{{rows.in, width}}, {x}, first.scope));
      widths.push_back(width);
    }
    const ValueId sent = add(Concat{1}, parts, first.scope);
    const int64_t width = f_.type(sent).shape[1].value();
    const ValueId flat = add(Reshape{{rows.in * width}}, {sent}, first.scope);
    const ValueId got = add(first.op, {flat}, first.scope);
    const ValueId table = add(Reshape{{rows.out, width}}, {got}, first.scope);
    int64_t start = 0;
    for (size_t i = 0; i < members.size(); ++i) {
      const ValueId y = old_[members[i]].outputs[0];
      const ValueId part = add(Slice{1, start, widths[i], 1}, {table}, first.scope);
      append({Reshape{f_.type(y).shape}, {part}, {y}, first.scope});
      start += widths[i];
    }
  }

  // The same where the rows of each have lengths of their own.
  void merge_uneven(const std::vector<size_t>& members) {
    const std::string& scope = old_[members[0]].scope;
    AllToAllV merged = *old_[members[0]].op.as<AllToAllV>();
    const size_t peers = merged.sends.size();
    const auto call = [&](size_t m) -> const AllToAllV& { return *old_[m].op.as<AllToAllV>(); };
    std::vector<ValueId> sent;
    std::vector<int64_t> starts(members.size());
    for (size_t peer = 0; peer < peers; ++peer) {
      merged.sends[peer] = merged.receives[peer] = 0;
      for (size_t i = 0; i < members.size(); ++i) {
        const int64_t count = call(members[i]).sends[peer];
        sent.push_back(add(Slice{0, starts[i], count, 1}, {old_[members[i]].inputs[0]}, scope));
        starts[i] += count;
        merged.sends[peer] += count;
        merged.receives[peer] += call(members[i]).receives[peer];
      }
    }
    const ValueId got = add(merged, {add(Concat{0}, sent, scope)}, scope);
    std::vector<std::vector<ValueId>> parts(members.size());
    int64_t start = 0;
    for (size_t peer = 0; peer < peers; ++peer) {
      for (size_t i = 0; i < members.size(); ++i) {
        const int64_t count = call(members[i]).receives[peer];
        parts[i].push_back(add(Slice{0, start, count, 1}, {got}, scope));
        start += count;
      }
    }
    for (size_t i = 0; i < members.size(); ++i)
      append({Concat{0}, parts[i], old_[members[i]].outputs, scope});
  }

  Function& f_;
  std::vector<Node> old_;
  std::vector<int> rounds_;  // by value
  std::vector<bool> emitted_;
  std::vector<int32_t> producer_;           // by value: node of old_
  std::vector<Effect> effects_;             // in the order of nodes
  std::vector<std::optional<Key>> key_of_;  // by node
  std::map<Key, std::vector<size_t>> groups_;
};

}  // namespace

bool merge_collectives(Function& f, std::vector<int> rounds) {
  return Merger(f, std::move(rounds)).run();
}

}  // namespace tutti
