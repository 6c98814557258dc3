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
  explicit Merger(Function& f) : f_(f), old_(std::move(f.nodes)), emitted_(old_.size()) {
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
    std::vector<int> level(f_.values.size());
    key_of_.resize(old_.size());
    producer_.assign(f_.values.size(), kNone);
    message_before_.assign(old_.size(), kNone);
    int32_t message = kNone;
    int message_level = 0;
    for (size_t n = 0; n < old_.size(); ++n) {
      const Node& node = old_[n];
      int own = 0;
      for (const ValueId id : node.inputs) own = std::max(own, level[static_cast<size_t>(id)]);
      // A message follows the one before it: the peer waits for messages in their order.
      const bool is_message = node.op.as<Send>() || node.op.as<Recv>();
      if (is_message) {
        message_before_[n] = std::exchange(message, static_cast<int32_t>(n));
        own = std::max(own, message_level);
      }
      if (is_collective(node.op)) ++own;
      if (is_message) message_level = own;
      for (const ValueId id : node.outputs) {
        level[static_cast<size_t>(id)] = own;
        producer_[static_cast<size_t>(id)] = static_cast<int32_t>(n);
      }
      const bool uneven = node.op.as<AllToAllV>() && f_.type(node.inputs[0]).rank() == 1;
      if (!rows_of(node.op) && !uneven) continue;
      key_of_[n] = Key{own, text_of(node.op), f_.type(node.inputs[0]).dtype};
      groups_[*key_of_[n]].push_back(n);
    }
  }

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
      const auto need = [&](int32_t node) {
        if (node != kNone && !emitted_[static_cast<size_t>(node)])
          stack.push_back(static_cast<size_t>(node));
      };
      for (const size_t m : members) {
        need(message_before_[m]);
        for (const ValueId id : old_[m].inputs) need(producer_[static_cast<size_t>(id)]);
      }
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
  std::vector<bool> emitted_;
  std::vector<int32_t> producer_;           // by value: node of old_
  std::vector<int32_t> message_before_;     // by node: the send or recv before this one
  std::vector<std::optional<Key>> key_of_;  // by node
  std::map<Key, std::vector<size_t>> groups_;
};

}  // namespace

bool merge_collectives(Compilation& c) {
  // Programs that differ by rank keep what they are: ranks would merge in different ways.
  if (c.program.mesh.empty()) return false;
  return Merger(c.function).run();
}

}  // namespace tutti
