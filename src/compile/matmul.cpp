// SPDX-License-Identifier: Apache-2.0
#include "ops/matmul.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <optional>

#include "compile/pass.h"
#include "device/cpu/dnnl_matmul.h"
#include "device/cpu/packed_matrix.h"
#include "ops/collectives.h"
#include "ops/concat.h"
#include "ops/constant.h"
#include "ops/elementwise.h"
#include "ops/fused_conv.h"
#include "ops/fused_matmul.h"
#include "ops/view_layout.h"

namespace tutti {
namespace {

constexpr size_t kMaxSteps = 8;

bool small(DType t) { return t == DType::bf16 || t == DType::f16; }

}  // namespace

std::vector<bool> fixed_values(const Compilation& c) {
  const Function& f = c.function;
  std::vector<bool> fixed(f.values.size());
  for (size_t i = 0; i < f.values.size(); ++i) {
    const ResidentId r = f.values[i].resident;
    fixed[i] = r != kNone &&
               c.program.graph.residents[static_cast<size_t>(r)].kind != Resident::Kind::carried;
  }
  for (const Node& node : f.nodes) {
    bool all = !node.op.has_effects() && !node.op.as<RankInGroup>();
    for (ValueId id : node.inputs) all = all && fixed[static_cast<size_t>(id)];
    for (ValueId id : node.outputs) fixed[static_cast<size_t>(id)] = all;
  }
  return fixed;
}

namespace {

// Products become fused ones; those of one input with different weights become one.
class Merger {
 public:
  explicit Merger(Compilation& c) : c_(c), f_(c.function), fixed_(fixed_values(c)) {}

  bool run() {
    std::map<ValueId, std::vector<size_t>> groups;  // by the input they share
    std::vector<std::vector<size_t>> alone;
    for (size_t n = 0; n < f_.nodes.size(); ++n) {
      const Node& node = f_.nodes[n];
      if (!node.op.as<Matmul>() || !is_float(f_.type(node.inputs[0]).dtype) ||
          size_of(f_.type(node.inputs[0]).dtype) == 1 ||
          fixed_[static_cast<size_t>(node.outputs[0])])
        continue;
      if (mergeable(node))
        groups[node.inputs[0]].push_back(n);
      else
        alone.push_back({n});
    }
    for (auto& [input, group] : groups) alone.push_back(group);
    std::map<size_t, std::vector<size_t>> at;  // by first node
    for (auto& group : alone) at[group[0]] = group;
    if (at.empty()) return false;
    rebuild(at);
    return true;
  }

 private:
  bool mergeable(const Node& node) const {
    return fixed_[static_cast<size_t>(node.inputs[1])] && f_.type(node.inputs[1]).rank() == 2 &&
           (node.inputs.size() < 3 || fixed_[static_cast<size_t>(node.inputs[2])]);
  }

  void rebuild(const std::map<size_t, std::vector<size_t>>& groups) {
    std::vector<Node> old = std::move(f_.nodes);
    f_.nodes.clear();
    std::vector<bool> done(old.size());
    for (const auto& [first, group] : groups)
      for (size_t n : group) done[n] = true;
    // What comes from weights alone goes first, so that it exists where a group begins.
    for (size_t n = 0; n < old.size(); ++n) {
      if (done[n] || old[n].outputs.empty() || !fixed_[static_cast<size_t>(old[n].outputs[0])])
        continue;
      done[n] = true;
      push(std::move(old[n]));
    }
    for (size_t n = 0; n < old.size(); ++n) {
      const auto group = groups.find(n);
      if (group != groups.end())
        add_group(old, group->second);
      else if (!done[n])
        push(std::move(old[n]));
    }
  }

  void push(Node node) {
    for (ValueId id : node.outputs) f_.value(id).producer = static_cast<int32_t>(f_.nodes.size());
    f_.nodes.push_back(std::move(node));
  }

  void add_group(const std::vector<Node>& old, const std::vector<size_t>& group) {
    FusedMatmul op;
    Node node{{}, {old[group[0]].inputs[0]}, {}, old[group[0]].scope};
    std::vector<ValueId> weights, operands;
    for (size_t n : group) {
      weights.push_back(old[n].inputs[1]);
      op.columns.push_back(f_.type(old[n].outputs[0]).shape.back().value());
      Epilogue& epilogue = op.epilogues.emplace_back();
      if (old[n].inputs.size() > 2) {
        epilogue.push_back({EpilogueStep::Kind::add, static_cast<int64_t>(2 + operands.size())});
        operands.push_back(old[n].inputs[2]);
      }
      node.outputs.push_back(old[n].outputs[0]);
    }
    node.inputs.push_back(weights.size() == 1 ? weights[0]
                                              : f_.add1(Concat{1}, weights, "merged", node.scope));
    node.inputs.insert(node.inputs.end(), operands.begin(), operands.end());
    node.op = std::move(op);
    push(std::move(node));
  }

  Compilation& c_;
  Function& f_;
  std::vector<bool> fixed_;
};

// Moves elementwise functions that follow a product or a convolution into it.
class Absorber {
 public:
  explicit Absorber(Function& f) : f_(f), alive_(f.nodes.size(), true), uses_(f.use_counts()) {}

  bool run() {
    bool changed = false;
    for (size_t n = 0; n < f_.nodes.size(); ++n) {
      const Op& op = f_.nodes[n].op;
      if (!alive_[n] || !(op.as<FusedMatmul>() || op.as<FusedConv>())) continue;
      for (size_t i = 0; i < f_.nodes[n].outputs.size(); ++i)
        for (size_t at = n; absorb(at, i);) changed = true;
    }
    if (changed) f_.nodes = in_order();
    for (size_t n = 0; n < f_.nodes.size(); ++n)
      for (ValueId id : f_.nodes[n].outputs) f_.value(id).producer = static_cast<int32_t>(n);
    return changed;
  }

 private:
  std::optional<size_t> only_user(ValueId id) const {
    if (uses_[static_cast<size_t>(id)] != 1) return std::nullopt;
    for (size_t n = 0; n < f_.nodes.size(); ++n) {
      if (!alive_[n]) continue;
      const auto& in = f_.nodes[n].inputs;
      if (std::find(in.begin(), in.end(), id) != in.end()) return n;
    }
    return std::nullopt;
  }

  // The step that a node is for output `id` of the product, or nothing.
  std::optional<EpilogueStep> step_for(const Node& user, ValueId id, ValueId& operand) const {
    const auto* op = user.op.as<ElementwiseOp>();
    if (op == nullptr || f_.type(user.outputs[0]) != f_.type(id)) return std::nullopt;
    EpilogueStep step{EpilogueStep::Kind::unary};
    switch (op->fn) {
      case Elementwise::relu:
        step.unary = cpu::Unary::relu;
        return step;
      case Elementwise::gelu:
        step.unary = cpu::Unary::gelu_erf;
        return step;
      case Elementwise::gelu_tanh:
        step.unary = cpu::Unary::gelu_tanh;
        return step;
      case Elementwise::silu:
        step.unary = cpu::Unary::silu;
        return step;
      case Elementwise::tanh:
        step.unary = cpu::Unary::tanh;
        return step;
      case Elementwise::sigmoid:
        step.unary = cpu::Unary::sigmoid;
        return step;
      case Elementwise::add:
        step.kind = EpilogueStep::Kind::add;
        break;
      case Elementwise::mul:
        step.kind = EpilogueStep::Kind::mul;
        break;
      default:
        return std::nullopt;
    }
    operand = user.inputs[user.inputs[0] == id ? 1 : 0];
    if (operand == id) return std::nullopt;
    const Node* from = f_.producer(operand);
    while (from != nullptr && is_view(from->op)) from = f_.producer(from->inputs[0]);
    if (const Full* full = from ? from->op.as<Full>() : nullptr) {
      if (step.kind != EpilogueStep::Kind::mul) return std::nullopt;
      step.kind = EpilogueStep::Kind::scale;
      step.factor = full->value;
      operand = kNone;
    }
    return step;
  }

  // Absorbs the only user of an output; `n` follows the product, which may move.
  bool absorb(size_t& n, size_t output) {
    Node& node = f_.nodes[n];
    const ValueId id = node.outputs[output];
    if (f_.type(id).dtype == DType::f64) return false;
    const auto user = only_user(id);
    if (!user || *user <= n) return false;
    ValueId operand = kNone;
    auto step = step_for(f_.nodes[*user], id, operand);
    if (!step) return false;
    // With several outputs the product stays where it is: the operand must come before it.
    if (operand != kNone && node.outputs.size() > 1 && made_at(operand) >= static_cast<int64_t>(n))
      return false;
    std::vector<Epilogue> epilogues = epilogues_of(node.op);
    Epilogue& epilogue = epilogues[output];
    if (epilogue.size() + 2 > kMaxSteps) return false;
    if (small(f_.type(id).dtype)) epilogue.push_back({EpilogueStep::Kind::round});
    if (operand != kNone) {
      step->operand = static_cast<int64_t>(node.inputs.size());
      node.inputs.push_back(operand);
    }
    epilogue.push_back(*step);
    node.op = with_epilogues(node.op, std::move(epilogues));
    node.outputs[output] = f_.nodes[*user].outputs[0];
    alive_[*user] = false;
    if (node.outputs.size() == 1) {  // the product moves to where its last operand exists
      std::swap(f_.nodes[n], f_.nodes[*user]);
      alive_[n] = false;
      alive_[*user] = true;
      n = *user;
    }
    for (ValueId out : f_.nodes[n].outputs) f_.value(out).producer = static_cast<int32_t>(n);
    return true;
  }

  static const std::vector<Epilogue>& epilogues_of(const Op& op) {
    const auto* matmul = op.as<FusedMatmul>();
    return matmul ? matmul->epilogues : op.as<FusedConv>()->epilogues;
  }

  static Op with_epilogues(const Op& op, std::vector<Epilogue> epilogues) {
    const auto change = [&](auto copy) {
      copy.epilogues = std::move(epilogues);
      return Op(std::move(copy));
    };
    const auto* matmul = op.as<FusedMatmul>();
    return matmul ? change(*matmul) : change(*op.as<FusedConv>());
  }

  int64_t made_at(ValueId id) const { return f_.value(id).producer; }

  std::vector<Node> in_order() {
    std::vector<Node> kept;
    for (size_t n = 0; n < f_.nodes.size(); ++n)
      if (alive_[n]) kept.push_back(std::move(f_.nodes[n]));
    return kept;
  }

  Function& f_;
  std::vector<bool> alive_;
  std::vector<int> uses_;
};

}  // namespace

bool merge_matmuls(Compilation& c) { return c.options.fuse && Merger(c).run(); }

bool absorb_epilogues(Compilation& c) { return c.options.fuse && Absorber(c.function).run(); }

namespace {

// oneDNN, where it is wanted, reads some weights only as they are.
bool is_better_packed(const Compilation& c, const TensorType& weight, const FusedMatmul& op) {
  return c.options.matmul != "onednn" || weight.dtype != DType::f32 ||
         cpu::dnnl_reads_packed(cpu::current_isa(), weight.shape[0].value(), op.columns);
}

}  // namespace

bool pack_weights(Compilation& c) {
  if (!c.options.fuse) return false;
  Function& f = c.function;
  const std::vector<bool> fixed = fixed_values(c);
  std::vector<Node> old = std::move(f.nodes);
  f.nodes.clear();
  bool changed = false;
  for (Node& node : old) {
    const auto* fused = node.op.as<FusedMatmul>();
    if (fused != nullptr && fused->packed.empty() && fixed[static_cast<size_t>(node.inputs[1])] &&
        f.type(node.inputs[1]).rank() == 2 && elements(f.type(node.inputs[1]).shape).value() > 0 &&
        is_better_packed(c, f.type(node.inputs[1]), *fused)) {
      FusedMatmul op = *fused;
      op.packed =
          to_string(cpu::PackedLayout::of(cpu::current_isa(), f.type(node.inputs[1]).dtype));
      node.inputs[1] = f.add1(PackMatrix{op.packed}, {node.inputs[1]}, "packed", node.scope);
      node.op = std::move(op);
      changed = true;
    }
    for (ValueId id : node.outputs) f.value(id).producer = static_cast<int32_t>(f.nodes.size());
    f.nodes.push_back(std::move(node));
  }
  return changed;
}

}  // namespace tutti
